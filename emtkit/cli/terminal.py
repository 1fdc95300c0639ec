"""The only way from the command line to a terminal: no control characters, any encoding."""

import sys
from io import TextIOWrapper
from typing import TextIO

import click

from emtkit.text import SPELLED, printable


def echo(text: object, *, err: bool = False, color: str | None = None) -> None:
    """Print one line, in a colour if the terminal has any."""
    click.secho(printable(text), file=_stream(err), fg=color)


def show(text: str) -> None:
    """Print text that has its own lines and styles, which the terminal is known to have."""
    click.echo(text, file=_stream(err=False), nl=False, color=True)


def spell_what_cannot_be_encoded() -> None:
    """What the encoding of stdout and stderr lacks is spelled out: `θ` as `theta`, `²` as `^2`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=SPELLED)


def _stream(err: bool) -> TextIO:
    """Named, for by itself click writes UTF-8 to a terminal of ASCII."""
    return sys.stderr if err else sys.stdout
