"""The commands that maintain stores: verify, merge, gc."""

from pathlib import Path

import click

from emtkit.cli.options import StorePath, store_option
from emtkit.cli.terminal import echo

DAMAGED = 4


@click.command()
@store_option
@click.option("--salvage", type=StorePath(), help="Copy everything intact to this new file.")
def verify(store: Path, salvage: Path | None) -> int:
    """Check every row and every blob of a store; copy what is intact in a damaged one."""
    from emtkit.store import maintenance

    if salvage is not None:
        saved = maintenance.salvage(store, salvage)
        for fault in saved.faults:
            echo(f"not saved: {fault}")
        echo(
            f"{salvage}: {saved.cells} cells and {saved.findings} findings saved; "
            f"`emtkit run STUDY --store {salvage}` computes the rest again"
        )
        return 0
    found = maintenance.verify(store)
    for fault in found.faults:
        echo(str(fault))
    echo(f"{store}: {found.cells} cells, {found.findings} findings, {len(found.faults)} faults")
    if found.faults:
        echo(f"copy what is intact: emtkit verify --store {store} --salvage NEW", err=True)
    return DAMAGED if found.faults else 0


@click.command()
@click.argument("first", type=StorePath())
@click.argument("second", type=StorePath())
def merge(first: Path, second: Path) -> int:
    """Add to the store FIRST what only SECOND has; what both have must be equal."""
    from emtkit.store import maintenance

    found = maintenance.merge(first, second)
    for key in found.conflicts:
        echo(f"conflict: {key} has other bytes in {second}; {first} keeps its own")
    echo(
        f"{first}: {found.cells} cells and {found.findings} findings came from {second}, "
        f"{len(found.conflicts)} conflicts"
    )
    return 1 if found.conflicts else 0


@click.command()
@click.argument("studies", nargs=-1, required=True, type=click.Path(path_type=Path))
@store_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def gc(studies: tuple[Path, ...], store: Path, yes: bool) -> int:
    """Delete every result that none of these STUDIES uses."""
    from emtkit.execute.required import Required
    from emtkit.store import maintenance
    from emtkit.store.store import Store
    from emtkit.study.plan import plan_study

    plans = [plan_study(study) for study in studies]
    demands = [Required.of(plan.rows, plan.pairs) for plan in plans]
    cells = {key for required in demands for key in required.cells}
    findings = {key for required in demands for key in required.findings}
    with Store.open(store) as opened:
        held_cells, held_findings = opened.keys()
    gone = len(set(held_cells) - cells), len(set(held_findings) - findings)
    if not any(gone):
        echo(f"{store}: nothing to delete")
        return 0
    if not yes:
        click.confirm(f"delete {gone[0]} cells and {gone[1]} findings of {store}?", abort=True)
    freed = maintenance.gc(store, cells, findings)
    echo(f"{store}: {gone[0]} cells and {gone[1]} findings deleted, {freed:,} bytes freed")
    return 0
