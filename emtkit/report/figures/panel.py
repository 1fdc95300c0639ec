"""One pair of axes of a figure: what it shows, and what all charts have in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter
from matplotlib.transforms import Transform

from emtkit.report.data.results import Results, level_text
from emtkit.report.figures.examples import facet_text
from emtkit.report.figures.spots import Area, Spot
from emtkit.report.inference.aggregate import Aggregate, aggregate
from emtkit.study.quantity import Quantity
from emtkit.study.views import Figure


@dataclass(frozen=True)
class Panel:
    """What one pair of axes shows: the rows of its facet, its `y`, and the hues of the figure.

    `less` are the rows that a map subtracts, `lines` those behind each line over it.
    """

    results: Results
    spec: Figure
    rows: Sequence[int]
    y: str
    title: str
    hues: tuple[Any, ...]
    less: Sequence[int] = ()
    lines: tuple[Sequence[int], ...] = ()

    def points(self, rows: Sequence[int]) -> dict[Any, Aggregate]:
        """What the figure shows of `y` at each level of x, over these rows."""
        levels = self.results.groups(rows, [str(self.spec.x)])
        quantity = self.quantity(self.y)
        return {
            level: aggregate(self.results, members, quantity, self.spec.over)
            for (level,), members in levels.items()
        }

    def quantity(self, column: str) -> Quantity:
        """The statistic that the figure shows of a column."""
        spec = self.spec
        return Quantity(
            value=column, stat=spec.stat, by=spec.by, of=spec.of, direction=spec.direction
        )

    def spot(
        self,
        found: Aggregate,
        levels: Sequence[str],
        area: Area | None = None,
        transform: Transform | None = None,
        networks: Mapping[str, tuple[float, float]] | None = None,
    ) -> Spot:
        """One number of the panel, of these levels; the networks that gave it are opened there."""
        column = str(self.spec.value) if self.spec.value else self.y
        label = ", ".join(filter(None, (self.title, *levels, self.label(column))))
        return Spot(found, label, self.quantity(column), area, transform, networks or {})

    def at(self, level: Any) -> str:
        """A level of x in words: `density = 0.5`."""
        return facet_text((str(self.spec.x),), (level,))

    def label_axes(self, axes: Axes, stat: str = "") -> None:
        """Labels of both axes, with the statistic if it must be said, and the title."""
        axes.set(xlabel=self.label(str(self.spec.x)), ylabel=self.label(self.y) + stat)
        axes.set_title(self.title, loc="left")

    def label(self, column: str) -> str:
        """The axis label: the study's own (with units), else the column's name."""
        return self.spec.labels.get(column, column)


class Chart(ABC):
    """Columns against the axis x, a series per hue; `has_bars`: with their intervals.

    `shows` says to the reader of a caption what is drawn ({statistic}, {column}, {x}), `mark` what
    stands for a number, `details` the rest.
    """

    has_bars: ClassVar[bool] = False
    shows: ClassVar[str]
    mark: ClassVar[str]
    details: ClassVar[str] = ""

    @abstractmethod
    def draw(self, axes: Axes, panel: Panel) -> list[Spot]:
        """Draw one panel, and return all that it had to show and where it is opened.

        Series are labelled, for the legend that all panels share.
        """


def label_ticks(axes: Axes, which: str, levels: Sequence[float], log: bool) -> None:
    """Plain numbers along an axis: the levels themselves where they are few."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    if log:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    if len(levels) <= 12:
        # The part of the axis that a label needs, roughly: its line, or its letters.
        box, dpi = axes.get_window_extent(), axes.figure.dpi
        letters = max(len(f"{level:g}") for level in levels) + 1
        share = 0.16 * dpi / box.height if which == "y" else 0.085 * letters * dpi / box.width
        axis.set_ticks(list(levels), _roomy(levels, log, float(share)))
        axis.set_ticks([], minor=True)


def _roomy(levels: Sequence[float], log: bool, share: float) -> list[str]:
    """The levels as text, empty where it would run into its neighbour; the ends come first.

    `share` is the part of the axis that a label needs.
    """
    at = np.log(levels) if log else np.array(levels, float)
    span = float(np.ptp(at)) or 1.0
    order = sorted(range(len(at)), key=lambda i: (0 < i < len(at) - 1, -i))
    kept: list[int] = []
    for place in order:
        if all(abs(at[place] - at[other]) > share * span for other in kept):
            kept.append(place)
    return [f"{level:g}" if place in kept else "" for place, level in enumerate(levels)]


def series_of(panel: Panel) -> Iterable[tuple[str | None, list[int]]]:
    """The name and the rows of each series, the order of hues being that of the whole figure."""
    if panel.spec.hue is None:
        return [(None, list(panel.rows))]
    groups = panel.results.groups(panel.rows, [panel.spec.hue])
    return [(level_text(hue), groups.get((hue,), [])) for hue in panel.hues]


def positions(panel: Panel, numeric: bool = True) -> tuple[bool, dict[Any, float]]:
    """Where each level of x lies: at its value where all are numbers, else in order."""
    levels = [level for (level,) in panel.results.groups(panel.rows, [str(panel.spec.x)])]
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in levels)
    if numeric and numbers:
        return True, {level: float(level) for level in levels}
    ordered = sorted(levels) if numbers else levels
    return False, {level: float(place) for place, level in enumerate(ordered)}


def finish(axes: Axes, panel: Panel, numeric: bool, places: dict[Any, float]) -> None:
    """Scales, ticks, labels and title of a panel whose levels of x are at `places`."""
    log = panel.spec.log
    if not numeric:
        axes.set_xticks(list(places.values()), [level_text(level) for level in places])
        axes.grid(False, axis="x")
        if max(map(len, map(level_text, places)), default=0) * len(places) > 45:
            axes.tick_params(axis="x", labelrotation=30)
            for label in axes.get_xticklabels():  # the end of a name is below its tick
                label.set(ha="right", rotation_mode="anchor")
    else:
        axes.set_xscale("log" if log in ("x", "both") else "linear")
        label_ticks(axes, "x", sorted(places.values()), log in ("x", "both"))
    if log in ("y", "both"):
        axes.set_yscale("log")
    axes.autoscale_view()
    plain = panel.spec.stat == "mean" or panel.quantity(panel.y).is_share
    panel.label_axes(axes, "" if plain else f" ({panel.spec.stat})")
