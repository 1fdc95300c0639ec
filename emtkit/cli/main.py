"""The command line: glue, and nothing else. Whatever is heavy is imported inside a command."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import click

from emtkit import __version__
from emtkit.cli.answer import answer_of, tell
from emtkit.cli.authors import AUTHORS_COMMANDS, plugin_names
from emtkit.cli.engine import Limits, Percent, opened_engine
from emtkit.cli.options import only_option, seeds_option, store_option, study_argument
from emtkit.cli.store import gc, merge, verify
from emtkit.cli.views import VIEW_COMMANDS
from emtkit.errors import EmtkitError, PluginError
from emtkit.places import STORE
from emtkit.plugin.guard import EXIT, Terminated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emtkit.execute.monitor import Monitor

TIERS = ("cuda", "native", "dense", "vmap", "loop")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="emtkit")
def cli() -> None:
    """Compare how recurrent networks and attention hold the recent past."""


@cli.command()
@study_argument
@store_option
@only_option
@seeds_option
@click.option("-j", "--jobs", type=click.IntRange(1), help="Worker processes.  [default: cores]")
@click.option("--tier", type=click.Choice(TIERS), help="Train in this tier.")
@click.option("--engine", type=click.Choice(["local", "dask"]), default="local", show_default=True)
@click.option("--scheduler", help="Address of a Dask scheduler, e.g. tcp://10.0.0.1:8786.")
@click.option(
    "--retry",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="More tries for a cell whose worker died.",
)
@click.option("--retry-failed", is_flag=True, help="Train failed cells again.")
@click.option("--max-failures", type=click.IntRange(0), help="Stop after more failures.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first failure.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Seconds until a worker without an answer counts as lost.",
)
@click.option(
    "--memory",
    type=click.FloatRange(min=0, min_open=True),
    help="GiB that a worker may take.  [default: an equal share]",
)
@click.option("--audit", type=Percent(), help="Train this share again and compare, e.g. 5%.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what went wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else.")
@click.option("--events", type=click.Path(path_type=Path), help="Write a JSON line per change.")
@click.option("--check-claims", is_flag=True, help="Exit with 5 if a claim is not supported.")
def run(
    study: Path,
    store: Path | None,
    only: str | None,
    seeds: str | None,
    jobs: int | None,
    tier: str | None,
    engine: str,
    scheduler: str | None,
    retry: int,
    retry_failed: bool,
    max_failures: int | None,
    fail_fast: bool,
    timeout: float,
    memory: float | None,
    audit: float | None,
    quiet: bool,
    as_json: bool,
    events: Path | None,
    check_claims: bool,
) -> int:
    """Train and measure what a study asks for, and write its report."""
    from emtkit.cli.rerun_cache import Asked, Begun

    path = store or STORE
    asked = Asked(str(study), str(path), only, seeds, tier, engine, scheduler)
    begun, silent = Begun.now(asked), quiet or as_json
    special = retry_failed or audit is not None or events is not None
    known = None if special else begun.answer(shown=not silent)
    if known is not None:
        if not silent:
            click.echo(known.progress, err=True)
        return tell(known, None, quiet, as_json, check_claims)

    if engine == "local" and study.is_file() and _cores() > 1:
        from emtkit.execute.engines import _forkserver

        _forkserver.begin()
    from emtkit.execute.run import Options
    from emtkit.session import open_session

    session = open_session(study, store=path, only=only, seeds=seeds)
    options = Options(
        retry=retry,
        retry_failed=retry_failed,
        max_failures=0 if fail_fast else max_failures,
        tier=tier,
    )
    limits = Limits(jobs or _cores(), timeout, None if memory is None else int(memory * 2**30))
    audited = None
    with (
        _monitor(silent, events) as monitor,
        opened_engine(session, engine, scheduler, limits) as workers,
    ):
        found = session.run(workers, monitor, options)
        if audit is not None:
            audited = session.audit(workers, monitor, audit)
    ground = begun.ground()
    files = session.write_report()
    answer = answer_of(session, found, files[0])
    begun.keep(answer, ground, session.plan.study.plugins, files)
    return tell(answer, audited, quiet, as_json, check_claims)


@cli.command()
@study_argument
@store_option
@only_option
@seeds_option
@click.option("-j", "--jobs", type=click.IntRange(1), help="Worker processes.  [default: cores]")
@click.option("--no-plugins", is_flag=True, help="Do not run the study's own plugin files.")
def plan(
    study: Path,
    store: Path | None,
    only: str | None,
    seeds: str | None,
    jobs: int | None,
    no_plugins: bool,
) -> int:
    """Show what a study asks for and what is already stored; train nothing."""
    if study.is_file():
        from emtkit.execute.engines import _forkserver

        _forkserver.begin()
    from emtkit.execute.overview import overview
    from emtkit.session import open_session

    session = open_session(study, store=store, only=only, seeds=seeds, plugins=not no_plugins)
    failures: dict[str, str] = {}
    with session.read() as opened:
        for line in overview(session.plan, opened, jobs or _cores(), failures):
            click.echo(line)
    for warning in session.warnings():
        click.echo(f"warning: {warning}", err=True)
    for what, why in failures.items():
        click.echo(f"{what}: {why}", err=True)
    return PluginError.exit_code if failures else 0


@cli.command()
@study_argument
@store_option
def watch(study: Path, store: Path | None) -> int:
    """Show how a run of a study gets on, from another terminal, until it ends."""
    from emtkit.execute.progress import follow

    with _monitor(False, None) as monitor:
        last = follow(store or STORE, study.stem, monitor)
    if last.state == "running":
        click.echo("nothing was heard of the run for a while; it was killed, or hangs", err=True)
    elif last.state == "stopped":
        click.echo("the run was stopped; `emtkit run` goes on from what is stored", err=True)
    lacking = last.counts.get("failed", 0) + last.counts.get("lost", 0)
    return 0 if last.state == "done" and not lacking else 1


@cli.command("list")
@click.argument("family", type=click.Choice(["tasks", "architectures", "analyses"]), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_plugins(family: str | None, as_json: bool) -> int:
    """List the plugins that are installed, and those that are broken."""
    from emtkit.plugin.catalogue import listing_text
    from emtkit.plugin.index import installed

    found = installed().listing(family)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return 0
    for line in listing_text(found).splitlines():
        click.secho(line, fg="red" if line.startswith("BROKEN") else None)
    return 0


@cli.command()
@click.argument("name", shell_complete=plugin_names)
def show(name: str) -> int:
    """Show one plugin: what it is, its equations, its parameters, its references."""
    from emtkit.plugin.index import installed

    click.echo(installed().page(name))
    return 0


for command in (*VIEW_COMMANDS, verify, merge, gc, *AUTHORS_COMMANDS):
    cli.add_command(command)


def main() -> None:
    """The entry point: errors become sentences and exit codes, never tracebacks."""
    own = _own_stdout()
    signal.signal(signal.SIGTERM, _terminated)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, _hung_up)
    try:
        code = cli.main(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted; what is done is stored, run again to go on", err=True)
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except EmtkitError as error:
        click.echo(str(error), err=True)
        code = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    _leave(code or 0, own)


def _own_stdout() -> TextIO | None:
    """Stdout for our own output; what plugins write to its descriptor then goes to stderr.

    None where the process has no such streams, or is one that uses the command as a function.
    """
    now = sys.__stdout__
    if now is None or sys.stdout is not now or sys.stderr is None:
        return None
    own = os.fdopen(os.dup(1), "w", encoding=now.encoding, errors=now.errors)
    os.dup2(2, 1)
    sys.stdout = own
    return own


def _leave(code: int, own: TextIO | None) -> NoReturn:
    """End, even where a plugin left a thread that never does; its last words go to stderr."""
    if own is not None:
        sys.stdout = sys.stderr
        with suppress(BrokenPipeError):
            own.close()
    others = [t for t in threading.enumerate() if t is not threading.main_thread()]
    if any(not thread.daemon for thread in others):
        sys.stderr.flush()
        EXIT(code)
    sys.exit(code)


def _terminated(number: int, frame: object) -> None:
    click.echo("terminated; what is done is stored, run again to go on", err=True)
    raise Terminated(143)


def _hung_up(number: int, frame: object) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (
        0,
        1,
        2,
        sys.stdout.fileno(),
    ):  # the terminal is closed: nobody can be told, and writing would fail
        os.dup2(nowhere, stream)
    raise Terminated(129)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


@contextmanager
def _monitor(quiet: bool, events: Path | None) -> Iterator[Monitor]:
    from emtkit.execute.monitor import Bars, Events, Lines, Quiet

    inner: Monitor = Quiet()
    if not quiet:
        inner = Bars() if sys.stderr.isatty() else Lines(sys.stderr)
    try:
        if events is None:
            yield inner
        else:
            with events.open("a", encoding="utf-8") as out:
                yield Events(out, inner)
    finally:
        inner.close()
