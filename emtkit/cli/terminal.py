"""The only way from the command line to a terminal: no control characters, any encoding."""

import sys
from io import TextIOWrapper

import click

from emtkit.text import SPELLED, printable


def echo(text: object, *, err: bool = False, color: str | None = None) -> None:
    """Print one line, in a colour if the terminal has any."""
    show(printable(text) + "\n", err=err, color=color)


def show(text: str, *, err: bool = False, color: str | None = None) -> None:
    """Print text that has its own lines and styles.

    The stream is named, for by itself click writes UTF-8 to a terminal of ASCII.
    """
    click.secho(text, file=sys.stderr if err else sys.stdout, fg=color, nl=False)


def spell_what_cannot_be_encoded() -> None:
    """What the encoding of stdout and stderr lacks is spelled out: `θ` as `theta`, `²` as `^2`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=SPELLED)
