"""The places of a figure that open the networks behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from emtkit.report.data.links import Link
from emtkit.report.data.packed import packed
from emtkit.report.inference.aggregate import Aggregate
from emtkit.report.tables.numbers import number_text
from emtkit.study.quantity import Quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas
    from matplotlib.transforms import Transform

Area = tuple[float, float, float, float]
"""Left, lower, right and upper end; of a point both ends are the same."""

LARGE = 50_000
"""Letters of the places of a figure from which on they are packed."""
_FINGER, _NETWORK = 8.0, 4.0
"""Half the width of what a point takes clicks on, at least: of a number, of a lone network."""


@dataclass(frozen=True)
class Spot:
    """One number of a panel: what was found, and where its networks are opened.

    `area` is in the units of `transform`; None where nothing is drawn. `networks` are the points of
    single networks, by key.
    """

    found: Aggregate
    label: str
    quantity: Quantity | None
    area: Area | None = None
    transform: Transform | None = None
    networks: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What the place says when it is pointed at."""
        if self.quantity is None:
            return self.label
        value = self.found.value
        number = number_text(value) if isinstance(value, float) else str(value or "no value")
        count = f"{self.found.n} network{'' if self.found.n == 1 else 's'}"
        return f"{self.label}: {number}, {count}"


def links_svg(canvas: Canvas, spots: Sequence[Spot], link: Link, *, networks: bool = True) -> str:
    """The places of a laid-out figure as a group: areas, networks on them, points on top.

    A number is reached by the keyboard too; with `networks`, lone ones are by the pointer alone.
    What all addresses end with is said once, in `data-end`. The hundreds of places of a heat map
    are packed: they are of use to a page's script alone.
    """
    height = canvas.get_size_inches()[1] * 72
    anchors = list(_anchors(canvas, spots, link, networks=networks))
    ends = {one.end for one in anchors}
    end = escape(ends.pop()) if len(ends) == 1 else ""
    said = f' data-end="{end}"' if end else ""
    text = "".join(one.svg(height, end) for one in anchors)
    if len(text) > LARGE:
        return f'<g class="spots"{said} data-packed="{packed(text)}"></g>'
    return f'<g class="spots"{said}>{text}</g>'


@dataclass(frozen=True)
class _Anchor:
    """A place that opens networks; `aside` is one that the keyboard passes by."""

    href: str
    text: str
    box: Area
    aside: bool = False

    @property
    def end(self) -> str:
        """The address behind its rows."""
        _, mark, values = self.href.partition("&")
        return mark + values

    def svg(self, height: float, end: str) -> str:
        """Its element, in a figure of some height, without the `end` of its address."""
        left, low, right, high = self.box
        more = 'tabindex="-1" ' if self.aside else ""
        sides = f'x="{left:.1f}" y="{height - high:.1f}" width="{right - left:.1f}" '
        return (
            f'<a {more}href="{escape(self.href).removesuffix(end)}">'
            f"<title>{escape(self.text)}</title>"
            f'<rect {sides}height="{high - low:.1f}"/></a>'
        )


def _anchors(
    canvas: Canvas, spots: Sequence[Spot], link: Link, *, networks: bool
) -> Iterator[_Anchor]:
    def made(found: _Anchor) -> Iterable[_Anchor]:
        return [found] if found.href and np.isfinite(found.box).all() else []

    def numbers(*, points: bool) -> Iterator[_Anchor]:
        for spot in spots:
            if spot.area is not None and (spot.area[:2] == spot.area[2:]) is points:
                box = _box(canvas, spot, spot.area, _FINGER)
                href = link(spot.found.cells, spot.quantity)
                yield from made(_Anchor(href, spot.text, box))

    yield from numbers(points=False)
    for spot in spots if networks else ():
        for key, (x, y) in spot.networks.items():
            box = _box(canvas, spot, (x, y, x, y), _NETWORK)
            text = f"{spot.label}: one network, {number_text(y)}"
            href = link((key,), spot.quantity)
            yield from made(_Anchor(href, text, box, aside=True))
    yield from numbers(points=True)


def _box(canvas: Canvas, spot: Spot, area: Area, least: float) -> Area:
    """The area in points of print from the lower left, widened to what can be hit."""
    assert spot.transform is not None
    ends = spot.transform.transform(np.reshape(area, (2, 2))) * 72 / canvas.dpi
    (left, low), (right, high) = np.sort(ends, axis=0).tolist()
    aside, above = (max(0.0, least - (end - start) / 2) for start, end in
                    ((left, right), (low, high)))  # fmt: skip
    return left - aside, low - above, right + aside, high + above
