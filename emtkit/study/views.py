"""What a study shows: tables, figures and claims, as its file says them."""

from collections.abc import Collection, Mapping
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from emtkit.errors import did_you_mean
from emtkit.methods.folder import Methods
from emtkit.methods.settings import Count, Share
from emtkit.plugin.statistic import statistic_named
from emtkit.study.quantity import (
    Columns,
    Direction,
    Name,
    Over,
    Quantity,
    ShortValue,
    Stat,
    Value,
    check_ranking,
    listed,
)
from emtkit.study.roles import Role
from emtkit.study.wanted import Matched, View, Wanted, Where

CHARTS = Methods("emtkit.report.figures.charts", "chart")
MAPS = Methods("emtkit.report.figures.maps", "map")
FIGURE_KINDS = (*CHARTS.names, *MAPS.names)
OF_NETWORKS = ("embedding", "dendrogram")
"""Figures in which every network is a mark, placed by the distances of a comparison."""
ITERATION, LOSS = "iteration", "train.loss"
"""What a chart has as `x` to show training, and the column that every training has then."""


def _figure_use(schema: dict[str, Any]) -> None:
    """Editors complete the kinds, and let an analysis's drawing pass."""
    schema |= {"anyOf": [{"enum": [*FIGURE_KINDS, *OF_NETWORKS]}, {"pattern": r"^[^.]+\.[^.]+$"}]}


_OF_CHARTS = {"x", "y", "value", "less", "lines", "hue", "stat", "by", "of", "log"}


class Table(View):
    """Rows and columns are axes, every other varying axis is averaged `over` or fixed by `where`.

    Either `values` or `cell` says what is shown.
    """

    name: Name
    """Name of the table and of the files that hold it."""
    caption: str | None = None
    """Text printed with the table; null prints its name."""
    rows: Columns
    """Axes whose values head the rows."""
    columns: Columns = ()
    """Axes whose values head the columns."""
    values: tuple[ShortValue, ...] = ()
    """Values that are shown, each in a column of its own."""
    cell: tuple[ShortValue, ...] = ()
    """Values that are written into one cell together."""
    format: str | None = None
    """How `cell` is written, for instance `{0} ({1})`; null puts all but the first in brackets."""
    over: Over = ("seed",)
    where: Where = Field(default_factory=dict)
    baseline: Matched | None = None
    """The row or column, by its axes, that the others are compared with, paired by seed."""

    @model_validator(mode="after")
    def _values_or_cell(self) -> "Table":
        if bool(self.values) == bool(self.cell):
            raise ValueError("give `values` or `cell`, one of them and not empty")
        if self.format is not None:
            _check_template(self.format, len(self.cell))
        return self

    @property
    def named(self) -> frozenset[str]:
        """Every column that it names."""
        own = {*self.rows, *self.columns, *self.over, *self.where, *(self.baseline or {})}
        return frozenset(own.union(*(value.named for value in self.shown)))

    @property
    def over_training(self) -> bool:
        """Whether it shows networks at iterations of their training."""
        return ITERATION in self.named

    @property
    def shown(self) -> tuple[Value, ...]:
        """The values of the table, whether each has its own column or all share one cell."""
        return self.values or self.cell

    @property
    def template(self) -> str:
        """How a composed cell is written: the first value, and the others in parentheses."""
        rest = ", ".join(f"{{{position}}}" for position in range(1, len(self.cell)))
        return self.format or ("{0}" + (f" ({rest})" if rest else ""))


class CellChoice(View):
    """Which networks an analysis's drawing shows, per combination of the figure's facets."""

    select: Literal["first", "best", "all"] = "first"
    """Whether the first networks by seed are drawn, the best, or all."""
    by: str | None = None
    """Column that ranks the networks for `select: best`."""
    direction: Direction = "min"
    count: Count = 1
    """Number of networks per combination of the facets, where not all are drawn."""
    where: Where = Field(default_factory=dict)

    @model_validator(mode="after")
    def _best_by_what(self) -> "CellChoice":
        if (self.select == "best") != (self.by is not None):
            raise ValueError("`select: best` and `by` go together")
        return self


class Figure(View):
    """A chart, a map, or a drawing of an analysis (`<analysis label>.<drawing>`).

    A chart (`line`, `box`, `learning_curve`) shows one or more columns `y` against `x`, or over
    training (`x: iteration`): `train.loss`, and scalars of analyses with `at: snapshots`. A map
    (`heatmap`, `phase_diagram`) shows the column `value` over the axes `x` and `y`; an `embedding`
    places networks in a plane by the distance `value` of a comparison, a `dendrogram` in a tree; a
    drawing shows the `cells` chosen.
    """

    name: Name
    """Name of the figure and of the files that hold it."""
    use: Annotated[str, Field(json_schema_extra=_figure_use)]
    """Kind of chart or map, or `<analysis label>.<drawing>`."""
    title: str | None = None
    """Text above the figure."""
    caption: str | None = None
    """Text printed with the figure."""
    key: bool = False
    """Whether the report opens with this figure; without any, it opens with the first."""
    x: str | None = None
    """Column along the horizontal axis, or `iteration`."""
    y: Columns = ()
    """Columns along the vertical axis."""
    value: str | None = None
    """Column shown as colour by `heatmap` and `phase_diagram`, as distance by the others."""
    less: Where | None = None
    """Networks whose number at the same place a map subtracts, by what differs from `where`."""
    lines: tuple[Quantity, ...] = ()
    """Quantities drawn over a `phase_diagram`: at each x of a panel, the y that they have."""
    hue: str | None = None
    """Axis whose values are told apart by colour."""
    facet: Columns = ()
    """Axes whose values get a panel each."""
    over: Over = ("seed",)
    where: Where = Field(default_factory=dict)
    stat: Stat = "mean"
    """Statistic of the column over the rows that are taken together."""
    by: str | None = None
    """Column that ranks the rows for `stat: best`; null ranks by the column that is shown."""
    of: Annotated[int, Field(ge=1)] | None = None
    """Number of runs of which `stat: expected_best` is the best, in the mean."""
    direction: Direction = "min"
    log: Literal["x", "y", "both"] | None = None
    """Axes that are logarithmic."""
    labels: Mapping[str, str] = Field(default_factory=dict)
    """Texts that replace the names of columns, with their units."""
    cells: CellChoice = Field(default_factory=CellChoice)
    """Networks that a drawing shows."""

    @model_validator(mode="after")
    def _parts_of_its_kind(self) -> "Figure":
        given = self.model_fields_set
        if self.use in OF_NETWORKS:
            _none_of(given, {"cells", *_OF_CHARTS} - {"value", "hue"}, self.use)
            if self.value is None:
                raise ValueError(f"{self.use} needs `value`, the distance of a comparison")
            return self
        if self.use not in FIGURE_KINDS:
            if "." not in self.use:
                raise ValueError(
                    f"`use` is a kind of figure or <analysis label>.<drawing>, not '{self.use}'; "
                    f"{did_you_mean(self.use, (*FIGURE_KINDS, *OF_NETWORKS))}"
                )
            _none_of(given, _OF_CHARTS, self.use)
            return self
        _none_of(given, {"cells"}, self.use)
        if self.x is None or not self.y:
            raise ValueError(f"a {self.use} needs `x` and `y`")
        if self.use != "phase_diagram":
            _none_of(given, {"lines"}, self.use)
        for line in self.lines:
            line.check_complete()
        if self.use in CHARTS.names:
            _none_of(given, {"value", "less"}, self.use)
        elif self.value is None or len(self.y) > 1:
            raise ValueError(f"a {self.use} needs `value`, and one axis as `y`")
        check_ranking(self.by, self.of, self.stat)
        return self

    @property
    def named(self) -> frozenset[str]:
        """Every column that it names."""
        own = {self.x, self.hue, self.value, self.by, *self.y, *self.facet, *self.over}
        wheres = {*self.where, *self.cells.where, *(self.less or {})}
        lines = (line.named for line in self.lines)
        return frozenset(filter(None, (own | wheres).union(*lines)))

    @property
    def over_training(self) -> bool:
        """Whether it shows networks at iterations of their training."""
        return ITERATION in self.named

    @property
    def is_curve(self) -> bool:
        """Whether it is a chart against the iterations of training."""
        return self.use in CHARTS.names and self.x == ITERATION

    @property
    def is_drawing(self) -> bool:
        """Whether an analysis draws it."""
        return self.use not in (*FIGURE_KINDS, *OF_NETWORKS)


class EachShare(View):
    """The claim holds if at least this share of its combinations supports it."""

    share: Share
    """Least share of the combinations that must support the claim."""


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
    value under another condition, whose keys replace those of the own `where`. The other axes are
    those that are neither in `where` nor in `over`.
    """

    below: Number | None = None
    """Number or quantity that it must be below."""
    above: Number | None = None
    """Number or quantity that it must be above."""
    equals: Plain | None = None
    """Value or quantity that it must equal."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Distance within which numbers count as equal."""
    scope: Literal["each", "all"] | EachShare = Field("each", alias="for")
    """One verdict per combination of the other axes (`each`), or one over `all` or a share."""
    over: Over = ("seed",)
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Level that p must stay below, corrected for the number of combinations."""

    @model_validator(mode="after")
    def _one_expectation(self) -> "Expect":
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
        stat = statistic_named(self.bound.stat if "stat" in given else self.stat)
        if "share" in given or not (stat.ranks or stat.pairs):
            mine["by"] = None
        if "share" in given or not stat.counts_runs:
            mine["of"] = None
        mine |= {key: getattr(self.bound, key) for key in given}
        mine["where"] = {**self.where, **self.bound.where}
        if mine["share"] is not None:
            del mine["stat"]
        return Quantity.model_validate(mine)


Controls = Annotated[tuple[str, ...] | Where, BeforeValidator(listed)]


class Claim(View):
    """A sentence with a testable expectation, and the networks that it is held against."""

    id: Name
    """Name of the claim."""
    text: str
    """The sentence."""
    source: str = ""
    """Where the sentence comes from."""
    expect: Expect
    """What must be true if the sentence is."""
    given: Where = Field(default_factory=dict)
    """Condition on the cells that it speaks of; how many of them meet it is printed."""
    control: Controls | None = None
    """Negative controls, in which it must not be true: grids, or a `where`; null: the study's."""
    positive: Controls | None = None
    """Positive controls, in which it must be true: grids, or a `where`; null: the study's."""

    @property
    def asked(self) -> Expect:
        """The expectation, of those cells that meet `given`."""
        return self.expect.model_copy(update={"where": {**self.expect.where, **self.given}})

    @property
    def named(self) -> frozenset[str]:
        """Every column that it names."""
        other = self.expect.other
        sides = self.expect.named if other is None else self.expect.named | other.named
        return sides | {*self.given, *self.expect.over}

    @property
    def over_training(self) -> bool:
        """Whether it speaks of networks at iterations of their training."""
        return ITERATION in self.named

    match: Columns = ()
    """Settings in which the networks compared must be equal; else the study is refused."""

    def controls(self, role: Role) -> tuple[str, ...] | Mapping[str, Wanted] | None:
        """What the claim itself names as its controls of this role; None where it names nothing."""
        return self.control if role == "negative" else self.positive


PAIRED = ("other", "same", "apart")
"""What columns that only two networks have begin with, up to the dot."""


def speaks_of_pairs(view: Table | Figure | Claim, labels: Collection[str]) -> bool:
    """Whether a view shows two networks at a time: it names a comparison of `labels`."""
    return any(name.partition(".")[0] in {*PAIRED, *labels} for name in view.named)


def compared_in(view: Table | Figure | Claim, labels: Collection[str]) -> frozenset[str]:
    """The comparisons that a view of pairs names; where it names none, all."""
    found = {name.partition(".")[0] for name in view.named} & {*labels}
    return frozenset(found or labels)


def _none_of(given: set[str], foreign: set[str], use: str) -> None:
    if extra := sorted(given & foreign):
        raise ValueError(f"a {use} has no {', '.join(f'`{key}`' for key in extra)}")


def _check_template(template: str, count: int) -> None:
    try:
        fields = [part for part in Formatter().parse(template) if part[1] is not None]
    except ValueError:
        raise ValueError(
            f"'{template}' is not a template; write for instance '{{0}} ({{1}})'"
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
