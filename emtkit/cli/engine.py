"""What the command line says of an audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emtkit.cli.terminal import echo

if TYPE_CHECKING:
    from emtkit.execute.audit import Audit


def print_audit(audit: Audit) -> None:
    """What an audit found, in lines."""
    made = f"audit: {audit.cells} cells and {audit.findings} findings were computed again"
    if not audit.differing:
        echo(f"{made}; every byte is equal")
        return
    echo(f"{made}; {len(audit.differing)} differ (other machine, versions or code?):")
    for key in audit.differing:
        echo(f"  {key}")
