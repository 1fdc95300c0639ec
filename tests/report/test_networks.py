"""The drawings of single networks in a page: packed, bounded, and never a reason to fail."""

from __future__ import annotations

import base64
import gzip
import json
import re

import pytest

from emtkit import Drawing, Line, NotApplicable, Plot
from emtkit.plugin.analysis import Findings
from emtkit.plugin.guard import guarded
from emtkit.report.data.drawings import StoredDrawing
from emtkit.report.data.links import Links
from emtkit.report.data.results import Results
from emtkit.report.page import networks
from emtkit.report.page.networks import EMPTY, with_networks
from tests.report.frames import frame

PAGE = f"<html>{EMPTY}</html>"


def draw(findings):
    x = findings.scalars["x"]
    return Drawing([Plot([Line([0, 1], [x, 1 / 3])], y_label="height $x")])


def fail(findings):
    raise ValueError("no such array")


def say(findings):
    raise NotApplicable("nothing above 0.9")


def stored(row, *draws):
    findings = Findings({"x": float(row)})
    return [StoredDrawing("a", one.__name__, one, lambda: findings) for one in draws]


@pytest.fixture
def link():
    return Links(Results(frame({"task.delay": [3]}, 5, lambda axes, seed: {"a.x": 1.0})), {})


def held(page):
    return json.loads(re.search(r'id="networks">(.*?)</script>', page)[1])


def left_out(found):
    return [row for low, high in found["left"] for row in range(low, high + 1)]


def unpacked(text):
    return json.loads(gzip.decompress(base64.b64decode(text)))


def drawings_of_a_page(found):
    """What is drawn of each row."""
    return {
        row: own
        for pack in found["packs"]
        for row, own in zip(pack["rows"], unpacked(pack["packed"]), strict=True)
    }


def test_a_page_holds_the_drawings_of_every_network(link, monkeypatch):
    def drawings(rows):
        yield from (stored(row, draw, say, fail) for row in rows)

    monkeypatch.setattr(networks, "TOGETHER", 2)
    page = with_networks(PAGE, link, drawings)
    assert page == with_networks(PAGE, link, drawings)
    found = held(page)
    assert found["left"] == []
    assert [len(pack["rows"]) for pack in found["packs"]] == [2, 2, 1]
    drawn = drawings_of_a_page(found)
    assert sorted(drawn) == [0, 1, 2, 3, 4]
    first, second, third = drawn[3]
    assert first["title"] == "a, draw"
    mark = {"mark": "Line", "x": [0, 1], "y": [3, 0.3333]}
    assert first["drawing"] == {
        "plots": [{"marks": [mark], "y_label": "height $x"}],
        "columns": 1,
    }
    assert second == {"title": "a, say", "why": "nothing above 0.9"}
    assert third["why"] == "cannot be drawn: ValueError: no such array"


def test_a_drawing_that_ends_the_process_says_so_and_the_others_are_drawn(link):
    def leave(findings):
        raise SystemExit(3)

    careful = guarded(leave, "analysis 'a', a.leave")
    ends = StoredDrawing("a", "leave", careful, lambda: Findings({}))
    page = with_networks(PAGE, link, lambda rows: ([ends, *stored(row, draw)] for row in rows))
    one, two = drawings_of_a_page(held(page))[0]
    assert "analysis 'a', a.leave: it raised SystemExit(3)" in one["why"]
    assert "drawing" in two


def test_what_is_no_drawing_says_so(link):
    old = StoredDrawing("a", "old", lambda findings: None, lambda: Findings({}))
    page = with_networks(PAGE, link, lambda rows: ([old] for row in rows))
    (said,) = drawings_of_a_page(held(page))[0]
    assert said["why"] == "cannot be drawn: it gave a NoneType, not a Drawing"


def test_what_no_longer_fits_is_left_out_and_named(link, monkeypatch):
    drawn = []

    def late(findings):
        drawn.append(findings.scalars["x"])
        return draw(findings)

    def drawings(rows):
        yield from (stored(row, late) if row != 4 else [] for row in rows)

    monkeypatch.setattr(networks, "MOST_BYTES", len(PAGE) + 1000)
    monkeypatch.setattr(networks, "TOGETHER", 1)
    found = held(with_networks(PAGE, link, drawings))
    order = [row for row in link.first_opened() if row != 4]  # which has nothing to draw
    kept = [row for pack in found["packs"] for row in pack["rows"]]
    assert 0 < len(kept) < 4
    assert kept == order[: len(kept)]
    assert left_out(found) == sorted(order[len(kept) :])
    assert len(drawn) == len(kept) + 1  # the one that no longer fitted


def test_a_network_without_drawings_is_neither_drawn_nor_left_out(link):
    found = held(with_networks(PAGE, link, lambda rows: ([] for row in rows)))
    assert found["packs"] == found["left"] == []


def test_every_network_of_a_report_has_its_drawings(smoke):
    said = smoke.terminal.emtkit("report", str(smoke.study), "--out", "drawn")
    assert said.code == 0, said.err
    found = held((smoke.terminal.folder / said.out.strip()).read_text("utf-8"))
    assert sorted(drawings_of_a_page(found)) == list(range(36))
    assert found["left"] == []
