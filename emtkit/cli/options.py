"""Options that several commands share, each stated once."""

from __future__ import annotations

from pathlib import Path

import click

from emtkit.errors import did_you_mean
from emtkit.plugin.methods import Methods


class OneOf(click.Choice[str]):
    """The name of a method out of its folder."""

    def __init__(self, methods: Methods) -> None:
        super().__init__(methods.names)
        self._kind = methods.kind

    def get_invalid_choice_message(self, value: object, ctx: object) -> str:
        """What is wrong with another name, and which one was meant."""
        return f"there is no {self._kind} '{value}'; {did_you_mean(str(value), self.choices)}"


study_argument = click.argument("study", type=click.Path(path_type=Path))
store_option = click.option(
    "--store",
    type=click.Path(path_type=Path),
    help="The file that holds all results.  [default: results/emtkit.sqlite]",
)
only_option = click.option(
    "--only", help="A part of the study, e.g. task.delay=3,architecture.hidden=2."
)
seeds_option = click.option("--seeds", help="Some of its seeds, e.g. 0-2 or 0,4.")
