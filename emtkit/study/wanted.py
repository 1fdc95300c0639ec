"""What a column must hold: a value, one of several, or a criterion that it meets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, model_validator

from emtkit.methods.settings import Settings

Atom = None | bool | int | float | str
Several = tuple[Atom | tuple[Atom, ...], ...]
Exactly = Atom | Several
"""A value to match; a tuple matches any of its members, or a list-valued column as a whole."""
Span = tuple[float, float]
Matched = Mapping[str, Exactly]


def frozen(value: Any) -> Any:
    """The value with tuples in place of its lists."""
    if isinstance(value, list | tuple):
        return tuple(frozen(entry) for entry in value)
    if isinstance(value, dict):
        return {key: frozen(entry) for key, entry in value.items()}
    return value


class View(Settings):
    """Base of all views: strict and frozen, lists read as tuples."""

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, given: Any) -> Any:
        return frozen(given)


class Criterion(View):
    """What a value must be; all that is given must hold. A value that is not there meets none."""

    above: float | None = None
    """Number that it must exceed."""
    below: float | None = None
    """Number that it must stay below."""
    between: Span | None = None
    """Least and greatest number that it may be."""
    not_: Exactly = Field(None, alias="not")
    """Value, or list of values, that it must not be."""
    in_: Several | None = Field(None, alias="in")
    """Values one of which it must be."""

    @model_validator(mode="after")
    def _says_something(self) -> Criterion:
        if not self.model_fields_set:
            raise ValueError("needs one or more of above, below, between, not, in")
        _check_span(self.between)
        return self

    def holds(self, value: object) -> bool:
        """Whether a value meets it; None and NaN, which say that there is none, never do."""
        if value is None or value != value:
            return False
        within = _within(value, self.above, self.below, self.between)
        refused = "not_" in self.model_fields_set and matches(value, self.not_)
        return within and not refused and (self.in_ is None or matches(value, self.in_))

    def __str__(self) -> str:
        parts = _side_texts(self.above, self.below, self.between)
        if "not_" in self.model_fields_set:
            parts.append(f"not {_text(self.not_)}")
        if self.in_ is not None:
            parts.append(f"in {_text(self.in_)}")
        return " and ".join(parts)


Wanted = Exactly | Criterion
Where = Annotated[
    Mapping[str, Wanted],
    Field(
        description="Columns with the value, the list of values, or the mapping of `above`, "
        "`below`, `between`, `not`, `in` that rows must have to count."
    ),
]


class ShareOf(View):
    """The share of rows whose column `of` is there and equals, or lies below, above or between."""

    of: str
    """Name of the column."""
    equals: bool | int | float | str | None = None
    """The value that is counted."""
    below: float | None = None
    """Numbers below are counted."""
    above: float | None = None
    """Numbers above are counted."""
    between: Span | None = None
    """Numbers from the first to the second are counted."""

    @model_validator(mode="after")
    def _one_side(self) -> ShareOf:
        if len(self.model_fields_set - {"of"}) != 1:
            raise ValueError("a share has exactly one of `equals`, `below`, `above`, `between`")
        _check_span(self.between)
        return self

    def counts(self, value: object) -> bool:
        """Whether a row with this value is counted; one without a value is not."""
        if value is None or value != value:
            return False
        if self.equals is not None:
            return matches(value, self.equals)
        return _within(value, self.above, self.below, self.between)

    def __str__(self) -> str:
        if self.equals is not None:
            return f"share of {self.of} = {_text(self.equals)}"
        (side,) = _side_texts(self.above, self.below, self.between)
        return f"share of {self.of} {side}"


def matches(actual: object, wanted: Wanted) -> bool:
    """Whether a column's value is the wanted one, or one of several; 1 and 1.0 are equal.

    A list-valued parameter matches its whole list as well as any list of such lists.
    """
    if isinstance(wanted, Criterion):
        return wanted.holds(actual)
    several = wanted if isinstance(wanted, tuple) else ()
    return _equal(actual, wanted) or any(_equal(actual, one) for one in several)


def matching(values: Sequence[object], wanted: Wanted) -> list[bool]:
    """Which values match; equal ones, which are many, are asked once."""
    if any(isinstance(value, list) for value in values):
        return [matches(value, wanted) for value in values]
    # 1 and True are equal, and not the same.
    kinds = [(type(value), value) for value in values]
    known = {kind: matches(kind[1], wanted) for kind in dict.fromkeys(kinds)}
    return [known[kind] for kind in kinds]


def _equal(actual: object, wanted: object) -> bool:
    if isinstance(actual, list | tuple) and isinstance(wanted, list | tuple):
        return len(actual) == len(wanted) and all(map(_equal, actual, wanted))
    if isinstance(actual, bool) != isinstance(wanted, bool):
        return False
    return actual == wanted


def _within(value: object, above: float | None, below: float | None, between: Span | None) -> bool:
    if above is None and below is None and between is None:
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high = between or (value, value)
    return (
        (above is None or value > above)
        and (below is None or value < below)
        and low <= value <= high
    )


def _check_span(between: Span | None) -> None:
    if between is not None and between[0] > between[1]:
        raise ValueError(f"`between` is [least, greatest], and {between[0]:g} > {between[1]:g}")


def _side_texts(above: float | None, below: float | None, between: Span | None) -> list[str]:
    sides = {"above": above, "below": below}
    found = [f"{side} {bound:g}" for side, bound in sides.items() if bound is not None]
    return found + ([f"between {between[0]:g} and {between[1]:g}"] if between else [])


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def label_and_scalar(column: str) -> tuple[str, str]:
    """What a column belongs to, and its scalar: `test.longer.loss` is of `test.longer`."""
    if column.startswith("test."):
        label, _, scalar = column.rpartition(".")
    else:
        label, _, scalar = column.partition(".")
    return label, scalar
