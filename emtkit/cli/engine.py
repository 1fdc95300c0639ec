"""Options and lines of the command line that concern a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from emtkit.execute.audit import Audit


class Percent(click.ParamType[float]):
    """A share, written `5%` or `0.05`."""

    name = "share"

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> float:
        """The share as a number between 0 and 1."""
        text = str(value).strip()
        try:
            share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            share = -1.0
        if not 0 < share <= 1:
            self.fail(f"'{text}' is not a share; write for instance 5% or 0.05", param, context)
        return share


def print_audit(audit: Audit) -> None:
    """What an audit found, in lines."""
    made = f"audit: {audit.cells} cells and {audit.findings} findings were computed again"
    if not audit.differing:
        click.echo(f"{made}; every byte is equal")
        return
    click.echo(f"{made}; {len(audit.differing)} differ (other machine, versions or code?):")
    for key in audit.differing:
        click.echo(f"  {key}")
