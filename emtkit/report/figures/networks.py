"""Figures in which every network is a mark, placed by the distances of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from emtkit.errors import EmtkitError
from emtkit.report.data.results import Results, level_text
from emtkit.report.data.sides import networks_of, short_name
from emtkit.report.figures.captions import Account
from emtkit.report.figures.dendrogram import draw_tree
from emtkit.report.figures.drawn import Drawn, settle, style
from emtkit.report.figures.embedding import draw_plane
from emtkit.report.figures.examples import facet_text
from emtkit.report.figures.palette import colour, marker
from emtkit.report.figures.spots import Spot
from emtkit.report.inference.aggregate import Aggregate
from emtkit.study.views import Figure

Numbers = NDArray[np.float64]
NARROW = 4.5
LEAST = 3
"""Networks that a panel is drawn of, at least."""


class Place(Protocol):
    """Draws all networks of a panel."""

    def __call__(self, axes: Axes, distances: Numbers, groups: Sequence[Sequence[int]]) -> Numbers:
        """Draw distances (n, n), each of `groups` in its colour; the points (n, 2)."""


PLACES: dict[str, tuple[Place, str, str]] = {
    "embedding": (
        draw_plane,
        "Networks as points of a plane, as far apart as {value} says",
        "classical multidimensional scaling",
    ),
    "dendrogram": (
        draw_tree,
        "Networks as leaves of a tree, which join where the mean {value} of two branches lies",
        "average linkage",
    ),
}
"""How each kind of figure draws, what it shows, and by which method."""


@dataclass(frozen=True)
class Apart:
    """Distances (n, n) of the networks `keys`."""

    keys: tuple[str, ...]
    distances: Numbers


def draw_networks(results: Results, spec: Figure, *, narrow: bool = False) -> Drawn:
    """A panel per combination of facets, a colour for each hue.

    Raises:
        EmtkitError: the figure names no comparison, or there are no distances to show.
    """
    if not results.of_pairs:
        raise EmtkitError(f"figure '{spec.name}': {spec.use} needs the distances of a comparison")
    rows = results.shown(spec.where, [spec.hue or "", *spec.facet])
    groups = results.groups(rows, spec.facet)
    if not groups:
        raise EmtkitError(f"figure '{spec.name}': no pair of the results meets its `where`")
    hues = [level for (level,) in results.groups(rows, [spec.hue])] if spec.hue else [None]
    across = 1 if narrow else min(len(groups), 3)
    down = -(-len(groups) // across)
    notes: list[str] = []
    spots: list[Spot] = []
    with style():
        wide = NARROW if narrow else (5.4 if across == 1 else 3.6 * across) + 1.2
        canvas = Canvas(figsize=(wide, 3.6 * down), layout="constrained")
        panels = canvas.subplots(down, across, squeeze=False)
        for spare in panels.flat[len(groups) :]:
            spare.set_axis_off()
        for axes, (levels, members) in zip(panels.flat, groups.items(), strict=False):
            title = facet_text(spec.facet, levels)
            found = _apart(results, spec, members)
            if isinstance(found, str):
                notes.append(": ".join(filter(None, (title, found))))
                axes.set_axis_off()
                continue
            spots.append(_draw(axes, results, spec, members, found, hues, title))
        if spec.hue:
            _legend(canvas, spec, hues, narrow=narrow)
        if spec.title and not narrow:
            canvas.suptitle(spec.title, x=0.01, ha="left", fontweight="bold")
        settle(canvas)
    cells = tuple(dict.fromkeys(key for spot in spots for key in spot.found.cells))
    by = f", a colour for each {short_name(spec.hue)}" if spec.hue else ""
    _, said, method = PLACES[spec.use]
    what = f"{said.format(value=spec.value)}{by}."
    how = f"{len(cells)} networks, each a mark; {method}."
    account = Account(what, how)
    name = spec.title or spec.name
    return Drawn(spec.name, name, canvas, tuple(notes), cells, tuple(spots), account)


def _apart(results: Results, spec: Figure, rows: Sequence[int]) -> Apart | str:
    """The distances of one panel, or why there are none."""
    values, names = results.column(str(spec.value)), results.column("cell")
    found = [(networks_of(str(names[row])), values[row]) for row in rows]
    keys = tuple(dict.fromkeys(key for pair, _ in found for key in pair))
    place = {key: at for at, key in enumerate(keys)}
    table = np.full((len(keys), len(keys)), np.nan)
    np.fill_diagonal(table, 0.0)
    for (one, other), value in found:
        if isinstance(value, int | float):
            table[place[one], place[other]] = table[place[other], place[one]] = value
    missing = int(np.isnan(table).sum()) // 2
    if missing:
        return f"{missing} of {len(keys) * (len(keys) - 1) // 2} distances are not there"
    if len(keys) < LEAST:
        return f"{len(keys)} networks, where a panel needs {LEAST}"
    return Apart(keys, table)


def _draw(
    axes: Axes,
    results: Results,
    spec: Figure,
    rows: Sequence[int],
    found: Apart,
    hues: Sequence[object],
    title: str,
) -> Spot:
    """The marks of one panel; each opens its network."""
    others, own = results.column("other.cell"), f"other.{spec.hue}"
    level = {str(others[row]): results.levels(row, [own])[0] if spec.hue else None for row in rows}
    groups = [
        [place for place, key in enumerate(found.keys) if level.get(key) == hue] for hue in hues
    ]
    place, _, _ = PLACES[spec.use]
    points = place(axes, found.distances, groups)
    axes.set_title(title, loc="left")
    networks = {key: (float(x), float(y)) for key, (x, y) in zip(found.keys, points, strict=True)}
    account = Aggregate(None, n=len(found.keys), total=len(found.keys), cells=found.keys)
    return Spot(account, title or spec.name, None, None, axes.transData, networks)


def _legend(canvas: Canvas, spec: Figure, hues: Sequence[object], *, narrow: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], ls="", marker=marker(order), color=colour(order), label=level_text(hue))
        for order, hue in enumerate(hues)
    ]
    title = spec.labels.get(str(spec.hue), short_name(str(spec.hue)))
    place: Literal["outside upper center", "outside right upper"]
    place = "outside upper center" if narrow else "outside right upper"
    canvas.legend(handles=handles, loc=place, ncols=3 if narrow else 1, title=title)
