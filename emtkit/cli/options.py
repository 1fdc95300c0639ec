"""Options that several commands share, and the types of their values, each stated once."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from emtkit.errors import StoreError, did_you_mean
from emtkit.methods.folder import Methods
from emtkit.places import RESULTS, STORE
from emtkit.store.schema import resolved
from emtkit.text import read_number

F = TypeVar("F", bound=Callable[..., int])


class OneOf(click.Choice[str]):
    """The name of a method out of its folder."""

    def __init__(self, methods: Methods) -> None:
        super().__init__(methods.names)
        self._kind = methods.kind

    def get_invalid_choice_message(self, value: object, ctx: object) -> str:
        """What is wrong with another name, and which one was meant."""
        return f"there is no {self._kind} '{value}'; {did_you_mean(str(value), self.choices)}"


class StorePath(click.Path):
    """The path of a store: a file, or where one can be made."""

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> Path:
        """The path as it was given; a folder, a pipe and an empty name are refused."""
        text, path = str(value), Path(str(value))
        try:
            resolved(path)
        except StoreError as error:
            self.fail(str(error), param, context)
        if not text or text.endswith(("/", "\\")):
            what = f"'{text}' is a folder" if text else "the path is empty"
            self.fail(f"{what}; a store is a file, for instance {STORE}", param, context)
        return path


class Number(click.ParamType[float]):
    """A number in ASCII digits: a whole one, or any one above `least`; at most `most`."""

    def __init__(self, least: float, most: float, *, whole: bool) -> None:
        self.name = "integer" if whole else "number"
        self._least, self._most, self._whole = least, most, whole

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> float:
        """The number, or a sentence with the range that is allowed."""
        found = read_number(str(value))
        if found is None or not self._least <= found <= self._most:
            kind = "a whole number" if self._whole else "a number"
            span = f"from {self._least:g} to {self._most:,.0f}"
            self.fail(f"'{value}' is not {kind} {span}", param, context)
        if self._whole and not found.is_integer():
            self.fail(f"'{value}' is not a whole number", param, context)
        return math.floor(found) if self._whole else found


class Share(click.ParamType[float]):
    """A share, written `5%` or `0.05`."""

    name = "share"

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> float:
        """The share as a number between 0 and 1."""
        text = str(value).strip()
        found = read_number(text.removesuffix("%"))
        share = -1.0 if found is None else found / 100 if text.endswith("%") else found
        if not 0 < share <= 1:
            self.fail(f"'{text}' is not a share; write for instance 5% or 0.05", param, context)
        return share


study_argument = click.argument("study", type=click.Path(path_type=Path))
store_option = click.option(
    "--store",
    type=StorePath(),
    default=STORE,
    show_default=True,
    help="The file that holds all results.",
)
jobs_option = click.option(
    "-j",
    "--jobs",
    type=Number(1, 1024, whole=True),
    help="Worker processes.  [default: cores]",
)
only_option = click.option(
    "--only", help="A part of the study, e.g. task.delay=3,architecture.hidden=2."
)
seeds_option = click.option("--seeds", help="Some of its seeds, e.g. 0-2 or 0,4.")


def out_option(parameter: str) -> Callable[[F], F]:
    """Where reports go, as a parameter of that name."""
    return click.option(
        "--out",
        parameter,
        type=click.Path(path_type=Path, file_okay=False),
        default=RESULTS,
        show_default=True,
        help="The folder in which a folder of the study's name gets its report.",
    )


def study_options(command: F) -> F:
    """The argument STUDY and the options that say where its results are and what part is meant."""
    for option in (seeds_option, only_option, store_option, study_argument):
        command = option(command)
    return command


class SessionCommand(click.Command):
    """A command with `study_options` that is called with the open `session` in their place."""

    def invoke(self, context: click.Context) -> Any:
        """Open what the options say, then call the command."""
        from emtkit.session import load

        study, part = context.params.pop("study"), ("store", "only", "seeds")
        chosen = {name: context.params.pop(name) for name in part}
        session = load(study, out=context.params.pop("folder", None), **chosen)
        if not session.store.exists():
            raise StoreError(
                f"there is no store {session.store}; `emtkit run {session.options.reads}` makes "
                "it, and `--store` names another"
            )
        context.params["session"] = session
        return super().invoke(context)
