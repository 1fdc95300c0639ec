"""The only way from the command line to a terminal: no text passes with control characters."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from emtkit.text import printable

if TYPE_CHECKING:
    from rich.console import Console


def echo(text: object, *, err: bool = False, color: str | None = None) -> None:
    """Print one line, in a colour if the terminal has any."""
    click.secho(printable(text), err=err, fg=color)


def console() -> Console:
    """Where tables are printed; their texts are made printable by `to_terminal`."""
    from rich.console import Console

    # A pipe has no width of its own; a table cut at 80 columns would lose numbers.
    return Console(width=None if sys.stdout.isatty() else 200)
