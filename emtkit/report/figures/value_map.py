"""One value over two axes, and the colours that all panels of a figure share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap, Normalize
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch
from numpy.typing import NDArray

from emtkit.report.figures.examples import facet_text
from emtkit.report.figures.palette import colour
from emtkit.report.figures.panel import Panel
from emtkit.report.figures.spots import Spot
from emtkit.report.inference.aggregate import Aggregate, aggregate

_MAP = "viridis"
MANY = 100
"""Fields of a panel from which on they are drawn as one picture."""
Ends = tuple[float, float]


@dataclass(frozen=True)
class ValueMap:
    """A panel's levels of x and y, and the aggregate of its value at each pair, by row of y."""

    panel: Panel
    xs: tuple[Any, ...]
    ys: tuple[Any, ...]
    found: tuple[tuple[Aggregate, ...], ...]


@dataclass(frozen=True)
class Scale:
    """The colours that all panels of a figure share: a range of numbers, or phases by name.

    `phases` are all that the results know, so that one has the same colour in every figure of them;
    `met` are those of this figure.
    """

    low: float
    high: float
    phases: tuple[str, ...]
    met: frozenset[str] = frozenset()


class Map(ABC):
    """One value over the axes x and y, as colours."""

    @abstractmethod
    def draw(self, axes: Axes, values: ValueMap, scale: Scale) -> list[Spot]:
        """Draw one panel in the colours of `scale`; returns its fields, which are opened."""


def fields_of(axes: Axes, values: ValueMap, xs: Sequence[Ends], ys: Sequence[Ends]) -> list[Spot]:
    """The fields of a map: `found[r][c]` lies between the ends `xs[c]` and `ys[r]`."""
    panel, spots = values.panel, []
    for r, row in enumerate(values.found):
        for c, one in enumerate(row):
            levels = (panel.at(values.xs[c]), facet_text((panel.y,), (values.ys[r],)))
            area = (xs[c][0], ys[r][0], xs[c][1], ys[r][1])
            spots.append(panel.spot(one, levels, area if one.total else None, axes.transData))
    return spots


def value_map_of(panel: Panel) -> ValueMap:
    """The values of one panel."""
    results, spec = panel.results, panel.spec
    axes = [str(spec.x), panel.y]
    xs, ys = (tuple(x for (x,) in results.groups(panel.rows, [axis])) for axis in axes)
    groups, less = results.groups(panel.rows, axes), results.groups(panel.less, axes)
    quantity = panel.quantity(str(spec.value))

    def at(place: tuple[Any, Any]) -> Aggregate:
        found = aggregate(results, groups.get(place, []), quantity, spec.over)
        if spec.less is None or found.value is None:
            return found
        other = aggregate(results, less.get(place, []), quantity, spec.over)
        if isinstance(found.value, float) and isinstance(other.value, float):
            return replace(found, value=found.value - other.value)
        return replace(found, value=None, cause=other.cause or "there is no number to subtract")

    return ValueMap(panel, xs, ys, tuple(tuple(at((x, y)) for x in xs) for y in ys))


def lines_of(panel: Panel) -> list[tuple[list[float], list[float]]]:
    """The lines over a map: x, and the number of each line's quantity there."""
    lines = []
    for quantity, rows in zip(panel.spec.lines, panel.lines, strict=True):
        levels = panel.results.groups(rows, [str(panel.spec.x)])
        found = {
            float(x): aggregate(panel.results, members, quantity, panel.spec.over).value
            for (x,), members in levels.items()
        }
        there = sorted((x, y) for x, y in found.items() if isinstance(y, float))
        lines.append(([x for x, _ in there], [y for _, y in there]))
    return lines


def scale_of(maps: Sequence[ValueMap]) -> Scale:
    """One scale for all panels, so that equal colours are equal values."""
    values = [one.value for panel in maps for row in panel.found for one in row]
    numbers = [value for value in values if isinstance(value, float)]
    met = frozenset(value for value in values if isinstance(value, str))
    panel = maps[0].panel
    column = panel.results.column(str(panel.spec.value)) if met else []
    phases = tuple(sorted(met.union(value for value in column if isinstance(value, str))))
    return Scale(min(numbers, default=0.0), max(numbers, default=1.0), phases, met)


def draw_scale(
    canvas: Canvas, axes: Sequence[Axes], scale: Scale, label: str, *, narrow: bool
) -> None:
    """The key to the colours, once for all panels: a bar of numbers, or the phases by name."""
    if scale.phases:
        handles = [
            Patch(color=colour(place), label=phase)
            for place, phase in enumerate(scale.phases)
            if phase in scale.met
        ]
        place: Literal["outside upper center", "outside right upper"]
        place, columns = ("outside upper center", 3) if narrow else ("outside right upper", 1)
        canvas.legend(handles=handles, loc=place, ncols=columns, title=label)
    else:
        beside: dict[str, Any] = {"location": "top"} if narrow else {}
        bar = canvas.colorbar(
            ScalarMappable(**colours_of(scale)), ax=list(axes), label=label, **beside
        )
        bar.outline.set_visible(False)


def colours_of(scale: Scale) -> dict[str, Any]:
    """The colours as matplotlib takes them, `cmap` and `norm`."""
    if not scale.phases:
        return {"cmap": _MAP, "norm": Normalize(scale.low, scale.high)}
    count = len(scale.phases)
    colours = ListedColormap([colour(place) for place in range(count)])
    return {"cmap": colours, "norm": BoundaryNorm(np.arange(count + 1) - 0.5, count)}


def numbers_of(values: ValueMap, scale: Scale) -> NDArray[np.float64]:
    """The values as numbers on the scale, by row of y; NaN where there is none."""

    def number(one: Aggregate) -> float:
        if isinstance(one.value, float) and not scale.phases:
            return one.value
        return float(scale.phases.index(one.value)) if isinstance(one.value, str) else np.nan

    return np.array([[number(one) for one in row] for row in values.found])
