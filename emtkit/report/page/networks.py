"""The drawings of single networks that a page carries, and how many it has to leave out."""

import json
from collections.abc import Callable, Iterable, Iterator

from emtkit.report.data.drawings import StoredDrawing
from emtkit.report.data.links import Links, spans
from emtkit.report.figures.networks import NetworkDrawings
from emtkit.report.page.data import packed

MOST_BYTES = 5_000_000
"""Size of a page with the drawings of its networks."""
DRAWINGS = 100
"""Drawings of single networks in a page unless it is asked for more; each takes .05 s."""

EMPTY = '<script type="application/json" id="networks">{}</script>'
"""Where a page holds them."""

Drawings = Callable[[Iterable[int]], Iterator[tuple[int, list[StoredDrawing]]]]
"""From rows to what there is to draw of their networks."""


def with_networks(page: str, link: Links, drawings: Drawings, most: int | None = None) -> str:
    """The page with `most` drawings of its networks, those first that its numbers open first.

    None takes the usual number.

    Each network's are packed together (JSON, gzip, base64). Networks that no longer fit are left
    out whole, and named.
    """
    most = DRAWINGS if most is None else most
    room = MOST_BYTES - len(page.encode())
    drawn: dict[int, str] = {}
    left: list[int] = []
    count = 0
    drawer = NetworkDrawings()
    for row, stored in drawings(link.first_opened()):
        if not stored:
            continue
        if left or count + len(stored) > most:
            left.append(row)
            continue
        text = json.dumps(drawer.svgs(str(row), stored), separators=(",", ":"))
        pack = packed(text)
        room -= len(pack) + 16
        if room < 0:
            left.append(row)
            continue
        drawn[row] = pack
        count += len(stored)
    held = json.dumps({"drawn": drawn, "left": spans(sorted(left))}, separators=(",", ":"))
    return page.replace(EMPTY, EMPTY.replace("{}", held))
