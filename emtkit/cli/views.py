"""Commands that only read: tables, figures, comparisons, reports, exports, citations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from emtkit.cli import options
from emtkit.cli.terminal import echo, show
from emtkit.errors import EmtkitError
from emtkit.plugin.statistic import STATISTICS
from emtkit.report.tables.format import FORMATS, Format
from emtkit.text import printable

if TYPE_CHECKING:
    from emtkit.report.tables.contrast import Sides
    from emtkit.report.tables.drawn import DrawnTable, IntervalStyle
    from emtkit.session import Session

_STUDIES = (".yaml", ".yml")


@click.command(cls=options.SessionCommand)
@options.study_options
@click.argument("name", required=False)
@click.option("--format", "form", type=options.OneOf(FORMATS), default="terminal")
@click.option("--bare", is_flag=True, help="The table alone, without caption and notes.")
@click.option("--no-intervals", "intervals", flag_value="none", help="Numbers alone.")
@click.option("--pm", "intervals", flag_value="plus_minus", help="Intervals as 0.53 ± 0.02.")
def table(
    session: Session, name: str | None, form: str, intervals: IntervalStyle | None, *, bare: bool
) -> int:
    """Print one table of a study, or all of them."""
    names = [name] if name else [spec.name for spec in session.plan.study.tables.values()]
    for one in names:
        drawn = session.table(one).with_intervals(intervals or "brackets")
        _print_table(drawn.alone() if bare else drawn, form)
    return 0


@click.command()
@click.argument("what", metavar="STUDY_OR_STORE", type=click.Path(path_type=Path))
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@options.store_option
@options.only_option
@click.option("--value", "values", multiple=True, help="A column, e.g. spectrum.radius.  [test.*]")
@click.option("--stat", type=options.OneOf(STATISTICS), default="mean")
@click.option(
    "--of",
    type=options.Number(1, 10**6, whole=True),
    help="Runs of which `--stat expected_best` is best.",
)
@click.option("--format", "form", type=options.OneOf(FORMATS), default="terminal")
def compare(
    what: Path,
    first: str,
    second: str,
    store: Path,
    only: str | None,
    values: tuple[str, ...],
    stat: str,
    of: int | None,
    form: str,
) -> int:
    """Compare A with B, paired by seed: architectures of a study, its stores, or a store's studies.

    \b
    emtkit compare study.yaml elman twm_linear
    emtkit compare study.yaml before.sqlite after.sqlite
    emtkit compare results/emtkit.sqlite one.yaml two.yaml
    """
    from emtkit.report.tables.contrast import contrast

    drawn = contrast(_sides(what, first, second, store, only), values, stat, of)
    _print_table(drawn, form)
    return 0


@click.command(cls=options.SessionCommand)
@options.study_options
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="A .svg, .png or .pdf file.")
def figure(session: Session, name: str, out: Path | None) -> int:
    """Draw one figure of a study from what is stored."""
    from emtkit.report.figures.drawn import save

    drawn = session.figure(name)
    path = out or session.folder / "figures" / f"{name}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    save(drawn, path)
    for note in drawn.notes:
        echo(note, err=True)
    echo(path)
    return 0


@click.command(cls=options.SessionCommand)
@options.study_options
@options.out_option("folder")
def report(session: Session) -> int:
    """Write the report of a study from what is stored."""
    echo(session.report())
    return 0


@click.command(cls=options.SessionCommand)
@options.study_options
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A folder to write to.")
def export(session: Session, out: Path) -> int:
    """Write a study's frame, tables, arrays and weights as plain files."""
    from emtkit.report.page.export import export as write

    with session.read() as opened:
        files = write(session.plan.rows, opened, out, session.plan.pairs)
    echo(f"{len(files)} files in {out}")
    return 0


@click.command()
@options.study_argument
@options.store_option
def cite(study: Path, store: Path) -> int:
    """Print the references of every plugin that a study uses."""
    from emtkit.report.page.write import citations
    from emtkit.session import load

    for citation in citations(load(study, store=store).plan):
        echo(f"{citation.plugin}: {citation.text}")
    return 0


def printed_tables(session: Session) -> str:
    """All tables of a study as this terminal shows them."""
    from emtkit.report.page.write import remarked

    text, remarks = "", list[str]()
    for spec in session.plan.study.tables.values():
        with remarked(f"table '{spec.name}'", remarks):
            text += _written(session.table(spec.name), "terminal")
    return text + "".join(f"{printable(remark)}\n" for remark in remarks)


def _print_table(drawn: DrawnTable, form: str) -> None:
    if form == "terminal":  # its texts are made printable one by one, for it has styles of its own
        show(_written(drawn, form))
    else:
        echo(_written(drawn, form).removesuffix("\n"))


def _written(drawn: DrawnTable, form: str) -> str:
    return FORMATS.load(form, Format).text(drawn)


VIEW_COMMANDS = (table, compare, figure, report, export, cite)


def _sides(what: Path, first: str, second: str, store: Path, only: str | None) -> Sides:
    """The two sides that the arguments name.

    A study with two of its architectures; a study with two stores, each of which holds it; or a
    store with two studies.

    Raises:
        EmtkitError: the arguments name none of these, or a store that does not exist.
    """
    from emtkit.report.tables.contrast import Sides, joined
    from emtkit.session import load

    paths = (Path(first), Path(second))
    if what.suffix in _STUDIES and not all(path.is_file() for path in paths):
        session = load(what, store=store, only=only)
        return Sides(session.results, "architecture", first, second)
    if what.suffix in _STUDIES:
        axis, sessions = "store", [load(what, store=path, only=only) for path in paths]
    elif what.is_file() and all(path.suffix in _STUDIES for path in paths):
        axis, sessions = "study", [load(path, store=what, only=only) for path in paths]
    else:
        raise EmtkitError(
            f"{what} is neither a study (.yaml), with two architectures or two stores to compare, "
            "nor a store, with two studies: emtkit compare results/emtkit.sqlite one.yaml two.yaml"
        )
    one, two = (session.results for session in sessions)
    return joined(axis, (first, one), (second, two))
