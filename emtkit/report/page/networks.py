"""The drawings of single networks that a page carries, as data, and which it has to leave out."""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from emtkit.errors import EmtkitError, NotApplicable
from emtkit.report.data.drawings import StoredDrawing
from emtkit.report.data.links import Links, spans
from emtkit.report.data.packed import packed
from emtkit.report.page.plots import colour_scales, drawing_data

MOST_BYTES = 5_000_000
"""Size of a page with the drawings of its networks."""
TOGETHER = 16
"""Networks whose drawings are packed together: drawings of a kind have much in common."""

EMPTY = '<script type="application/json" id="networks">{}</script>'
"""Where a page holds them."""

Drawings = Callable[[Iterable[int]], Iterator[list[StoredDrawing]]]
"""From rows to what there is to draw of the network of each."""


def with_networks(page: str, link: Links, drawings: Drawings) -> str:
    """The page with the drawings of its networks, those first that its numbers open first.

    They are packed (JSON, gzip, base64) with those of neighbours. Networks that no longer fit are
    left out whole, and named.
    """
    rows = link.first_opened()
    room = MOST_BYTES - len(page.encode())
    packs: list[dict[str, Any]] = []
    left: list[int] = []
    stored = ((row, own) for row, own in zip(rows, drawings(rows), strict=True) if own)
    while part := list(islice(stored, TOGETHER)):
        together = [row for row, _ in part]
        if not left:
            pack = {
                "rows": together,
                "packed": packed([[_drawn(one) for one in own] for _, own in part]),
            }
            room -= len(pack["packed"])
        if left or room < 0:
            left += together
        else:
            packs.append(pack)
    while packs and len(page) + len(_held(packs, left)) > MOST_BYTES:
        left += packs.pop()["rows"]  # room for the list of those that are left out
    return page.replace(EMPTY, EMPTY.replace("{}", _held(packs, left)))


def _held(packs: list[dict[str, Any]], left: list[int]) -> str:
    known = {"packs": packs, "left": spans(sorted(left)), "colours": colour_scales()}
    return json.dumps(known, separators=(",", ":"))


def _drawn(one: StoredDrawing) -> dict[str, Any]:
    """Title and data of a drawing; where there is nothing to show, why."""
    try:
        return {"title": one.title, "drawing": drawing_data(one.drawn())}
    except (EmtkitError, NotApplicable) as error:
        return {"title": one.title, "why": str(error)}
