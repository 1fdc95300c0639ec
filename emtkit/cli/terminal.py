"""The only way from the command line to a terminal: no text passes with control characters."""

import click

from emtkit.text import printable


def echo(text: object, *, err: bool = False, color: str | None = None) -> None:
    """Print one line, in a colour if the terminal has any."""
    click.secho(printable(text), err=err, fg=color)
