"""Options that several commands share, each stated once."""

from __future__ import annotations

from pathlib import Path

import click

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
