"""What a study wants to see: tables, figures and claims, as its file says them."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from emtkit.methods.settings import Count, Share
from emtkit.study.quantity import (
    Columns,
    Direction,
    Name,
    Quantity,
    ShareOf,
    ShortValue,
    Stat,
    Value,
    View,
    Where,
    matches,
)

__all__ = [
    "CORE_KINDS",
    "Claim",
    "EachShare",
    "Expect",
    "Figure",
    "Quantity",
    "Selection",
    "ShareOf",
    "Table",
    "Value",
    "matches",
]

CORE_KINDS = ("line", "heatmap", "phase_diagram", "box")


class Table(View):
    """Rows and columns are axes, every other varying axis is averaged `over` or fixed by `where`.

    Either `values` (each its own column) or `cell` (several values written into one cell by
    `format`, for instance `"{0} ({1})"`). `baseline` names the row or column that the others are
    compared with, paired by seed.
    """

    name: Name
    caption: str | None = None
    rows: Columns
    columns: Columns = ()
    values: tuple[ShortValue, ...] = ()
    cell: tuple[ShortValue, ...] = ()
    format: str | None = None
    over: Columns = ("seed",)
    where: Where = Field(default_factory=dict)
    baseline: Where | None = None

    @model_validator(mode="after")
    def _values_or_cell(self) -> Table:
        if bool(self.values) == bool(self.cell):
            raise ValueError("give `values` or `cell`, one of them and not empty")
        if self.format is not None:
            _check_template(self.format, len(self.cell))
        return self

    @property
    def shown(self) -> tuple[Value, ...]:
        """The values of the table, whether each has its own column or all share one cell."""
        return self.values or self.cell

    @property
    def template(self) -> str:
        """How a composed cell is written: the first value, and the others in parentheses."""
        rest = ", ".join(f"{{{position}}}" for position in range(1, len(self.cell)))
        return self.format or ("{0}" + (f" ({rest})" if rest else ""))


class Selection(View):
    """Which networks an analysis's drawing shows, per combination of the figure's facets."""

    select: Literal["first", "best", "all"] = "first"
    by: str | None = None
    direction: Direction = "min"
    count: Count = 1
    where: Where = Field(default_factory=dict)

    @model_validator(mode="after")
    def _best_by_what(self) -> Selection:
        if (self.select == "best") != (self.by is not None):
            raise ValueError("`select: best` and `by` go together")
        return self


class Figure(View):
    """A core kind (`line`, `heatmap`, `phase_diagram`, `box`) or `<analysis label>.<drawing>`.

    `line` and `box` show one or more columns `y` against `x`; `heatmap` and `phase_diagram` show
    the column `value` over the axes `x` and `y`; a drawing shows the `cells` chosen. `labels`
    replace column names on axes, with units.
    """

    name: Name
    use: str
    title: str | None = None
    caption: str | None = None
    x: str | None = None
    y: Columns = ()
    value: str | None = None
    hue: str | None = None
    facet: Columns = ()
    over: Columns = ("seed",)
    where: Where = Field(default_factory=dict)
    stat: Stat = "mean"
    by: str | None = None
    direction: Direction = "min"
    log: Literal["x", "y", "both"] | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    cells: Selection = Field(default_factory=Selection)

    @model_validator(mode="after")
    def _parts_of_its_kind(self) -> Figure:
        given = self.model_fields_set
        if self.use not in CORE_KINDS:
            if "." not in self.use:
                raise ValueError(
                    f"`use` is {', '.join(CORE_KINDS)} or <analysis label>.<drawing>, "
                    f"not '{self.use}'"
                )
            _none_of(given, {"x", "y", "value", "hue", "stat", "by", "log"}, self.use)
            return self
        _none_of(given, {"cells"}, self.use)
        if self.x is None or not self.y:
            raise ValueError(f"a {self.use} needs `x` and `y`")
        if self.use in {"line", "box"}:
            _none_of(given, {"value"}, self.use)
        elif self.value is None or len(self.y) > 1:
            raise ValueError(f"a {self.use} needs `value`, and one axis as `y`")
        if self.by is not None and self.stat != "best":
            raise ValueError(f"`by` belongs to `stat: best`; this has `stat: {self.stat}`")
        return self

    @property
    def is_drawing(self) -> bool:
        """Whether an analysis draws it, not one of the core kinds."""
        return self.use not in CORE_KINDS


class EachShare(View):
    """The claim holds if at least this share of its combinations supports it."""

    share: Share


def _kind(bound: Any) -> str:
    return "quantity" if isinstance(bound, dict | Quantity) else "plain"


Number = Annotated[
    Annotated[float, Tag("plain")] | Annotated[Quantity, Tag("quantity")], Discriminator(_kind)
]
Plain = Annotated[
    Annotated[bool | int | float | str, Tag("plain")] | Annotated[Quantity, Tag("quantity")],
    Discriminator(_kind),
]


class Expect(Quantity):
    """A quantity and the side of a number, or of another quantity, on which it must lie.

    A compared quantity inherits what it does not say: `below: {where: {...}}` compares the same
    value under another condition, whose keys replace those of the own `where`. `for: each` judges
    every combination of the axes that are neither in `where` nor in `over`.
    """

    below: Number | None = None
    above: Number | None = None
    equals: Plain | None = None
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    scope: Literal["each", "all"] | EachShare = Field("each", alias="for")
    over: Columns = ("seed",)
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05

    @model_validator(mode="after")
    def _one_expectation(self) -> Expect:
        self.check_complete()
        sides = {"below", "above", "equals"} & self.model_fields_set
        if len(sides) != 1 or self.bound is None:
            raise ValueError("give exactly one of `below`, `above`, `equals`")
        if isinstance(self.bound, Quantity) and not self.bound.model_fields_set:
            raise ValueError("the compared quantity says nothing of its own")
        if self.other is not None:
            self.other.check_complete()
        return self

    @property
    def bound(self) -> bool | int | float | str | Quantity | None:
        """What the quantity is compared with, as written."""
        return next((x for x in (self.below, self.above, self.equals) if x is not None), None)

    @property
    def other(self) -> Quantity | None:
        """The compared quantity in full, or None where it is a plain value."""
        if not isinstance(self.bound, Quantity):
            return None
        given = self.bound.model_fields_set
        mine: dict[str, Any] = {key: getattr(self, key) for key in Quantity.model_fields}
        if given & {"value", "share"}:
            mine |= {"value": None, "share": None}
        if "share" in given or ("stat" in given and self.bound.stat != "best"):
            mine["by"] = None
        mine |= {key: getattr(self.bound, key) for key in given}
        mine["where"] = {**self.where, **self.bound.where}
        if mine["share"] is not None:
            del mine["stat"]
        return Quantity.model_validate(mine)


class Claim(View):
    """A sentence with a testable expectation; `source` says where it comes from."""

    id: Name
    text: str
    source: str = ""
    expect: Expect


def _none_of(given: set[str], foreign: set[str], use: str) -> None:
    if extra := sorted(given & foreign):
        raise ValueError(f"a {use} has no {', '.join(f'`{key}`' for key in extra)}")


def _check_template(template: str, count: int) -> None:
    try:
        fields = [part for part in Formatter().parse(template) if part[1] is not None]
    except ValueError:
        raise ValueError(
            f"'{template}' is no template; write for instance '{{0}} ({{1}})'"
        ) from None
    allowed = {str(position) for position in range(count)}
    if any(
        field not in allowed or specification or conversion
        for _, field, specification, conversion in fields
    ):
        raise ValueError(
            f"'{template}' may hold {{0}} to {{{count - 1}}}, one per entry of `cell`, and nothing "
            "else in braces"
        )
