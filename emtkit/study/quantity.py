"""One number over some rows of the frame, as tables, figures and claims name it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from emtkit.plugin.statistic import STATISTICS, statistic_named
from emtkit.study.wanted import ShareOf, View, Where

if TYPE_CHECKING:
    Stat = str
else:
    Stat = Literal[STATISTICS.names]
Direction = Annotated[
    Literal["min", "max"], Field(description="Which end of the ranked column is best.")
]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=80)]


def listed(value: Any) -> Any:
    """A text as a list of one."""
    return (value,) if isinstance(value, str) else value


def _spelled_out(value: Any) -> Any:
    return {"value": value} if isinstance(value, str) else value


Columns = Annotated[tuple[str, ...], BeforeValidator(listed)]
Over = Annotated[Columns, Field(description="Axes along which rows are taken together.")]


def check_ranking(by: str | None, of: int | None, stat: Stat) -> None:
    """Refuse a `by` where the statistic reads none, and an `of` where it counts no runs.

    Raises:
        ValueError: either would not be read, or is missing.
    """
    statistic = statistic_named(stat)
    if by is None and statistic.pairs:
        raise ValueError(f"`stat: {stat}` needs `by`, the column that `value` is paired with")
    if by is not None and not (statistic.ranks or statistic.pairs):
        known = ((name, statistic_named(name)) for name in STATISTICS.names)
        rank = [name for name, one in known if one.ranks or one.pairs]
        raise ValueError(f"`by` belongs to `stat: {' or '.join(rank)}`; this has `stat: {stat}`")
    if of is not None and not statistic.counts_runs:
        count = [name for name in STATISTICS.names if statistic_named(name).counts_runs]
        raise ValueError(f"`of` belongs to `stat: {' or '.join(count)}`; this has `stat: {stat}`")
    if of is None and statistic.counts_runs:
        raise ValueError(f"`stat: {stat}` needs `of`: the number of runs of which it is the best")


class Quantity(View):
    """One number over the rows that `where` keeps: a statistic of a column, or a share.

    A statistic that ranks (`best`) reads `value` in the row in which `by` (default: `value` itself)
    is least or greatest (`direction`); the share of rows within `within` (relative) of that best
    comes with it. `stat: rank_correlation` pairs `value` with `by`. `stat: expected_best` is what
    the best of `of` runs gives in the mean.
    `stat: share` is the share of rows in which the boolean `value` is true, `share` that of any
    column and value.
    """

    value: str | None = None
    """Name of the column."""
    share: ShareOf | None = None
    """The share of rows with some values of a column, in place of `value`."""
    stat: Stat = "mean"
    """Statistic of the column over the rows that are taken together."""
    by: str | None = None
    """Column that ranks the rows for `stat: best` (null: `value` itself), or is paired with it."""
    of: Annotated[int, Field(ge=1)] | None = None
    """Number of runs of which `stat: expected_best` is the best, in the mean."""
    direction: Direction = "min"
    within: Annotated[float, Field(ge=0)] = 0.03
    """Relative distance from the best within which rows count as near it."""
    where: Where = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_meaning(self) -> Quantity:
        if self.value is not None and self.share is not None:
            raise ValueError("give `value` or `share`, not both")
        if self.share is not None and "stat" in self.model_fields_set and self.stat != "share":
            raise ValueError(f"`share: {{of, ...}}` is a share, not `stat: {self.stat}`")
        return self

    @property
    def statistic(self) -> Stat:
        """The statistic that is meant, `share: {of, ...}` included."""
        return "share" if self.share is not None else self.stat

    @property
    def is_share(self) -> bool:
        """Whether the number is a share of networks, which is written in percent."""
        return statistic_named(self.statistic).reads == "truths"

    @property
    def column(self) -> str | None:
        """The column that is read, whichever way it is named."""
        return self.share.of if self.share is not None else self.value

    @property
    def named(self) -> frozenset[str]:
        """Every column that it names."""
        return frozenset({*filter(None, (self.column, self.by)), *self.where})

    def check_complete(self) -> None:
        """Refuse a quantity that does not say in full what it is.

        Raises:
            ValueError: it names neither `value` nor `share`, or has a `by` that is not used.
        """
        if self.column is None:
            raise ValueError("needs `value` (a column) or `share: {of, equals}`")
        check_ranking(self.by, self.of, self.statistic)


class Scale(View):
    """Networks in which a number counts as 0 and as 1: (value - zero) / (one - zero).

    Either end is the same statistic over the networks that meet a `where`, on the same task and, as
    far as there are such, in the same rows and columns. They may be controls.
    """

    zero: Where
    """Networks in which there is nothing to find: untrained, for instance."""
    one: Where
    """Networks in which there is all of it: constructed ones, for instance."""


class Value(Quantity):
    """A quantity shown in a table: how it is headed, written, and which end of it is better."""

    label: str | None = None
    """Heading of its column; null takes one made of what it measures."""
    format: str | None = None
    """Python format specification such as `.3f`, or `count` to write a share as `3/20`."""
    better: Literal["min", "max"] | None = None
    """Which end of it is better and printed bold; null prints nothing bold."""
    scale: Scale | None = None
    """Networks between which the number is placed; null writes it as it is."""

    @model_validator(mode="after")
    def _says_what(self) -> Value:
        self.check_complete()
        if self.counts and not self.is_share:
            raise ValueError(f"`format: count` belongs to a share, not to `stat: {self.stat}`")
        if self.format is not None and not self.counts:
            _try_format(self.format)
        if self.scale is not None and statistic_named(self.statistic).reads != "numbers":
            raise ValueError(f"`scale` belongs to a number, not to `stat: {self.statistic}`")
        return self

    @property
    def counts(self) -> bool:
        """Whether the number is a share that is written as members of all."""
        return self.format == "count"


ShortValue = Annotated[Value, BeforeValidator(_spelled_out)]


def _try_format(specification: str) -> None:
    try:
        format(0.5, specification)
    except ValueError:
        raise ValueError(
            f"'{specification}' is not a number format; write for instance `.3f` or `.2e`"
        ) from None
