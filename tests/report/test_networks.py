"""The drawings of single networks in a page: packed, bounded, and never a reason to fail."""

from __future__ import annotations

import base64
import gzip
import json
import re

import pytest

from emtkit.plugin.analysis import Findings
from emtkit.plugin.guard import guarded
from emtkit.report.data.drawings import StoredDrawing
from emtkit.report.data.links import Links
from emtkit.report.data.results import Results
from emtkit.report.figures.networks import NetworkDrawings
from emtkit.report.page import networks
from emtkit.report.page.networks import EMPTY, with_networks
from tests.report.frames import frame

PAGE = f"<html>{EMPTY}</html>"


def draw(findings, canvas):
    panel = canvas.subplots()
    panel.plot([0, findings.scalars["x"]])
    panel.set_ylabel("height $x")  # no formula: drawn as it is


def fail(findings, canvas):
    raise ValueError("no such array")


def say(findings, canvas):
    panel = canvas.subplots()
    panel.set_axis_off()
    panel.text(0.5, 0.5, "nothing above 0.9")


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


def test_a_page_holds_the_drawings_of_every_network(link):
    def drawings(rows):
        yield from ((row, stored(row, draw, say, fail)) for row in rows)

    page = with_networks(PAGE, link, drawings)
    assert page == with_networks(PAGE, link, drawings)
    found = held(page)
    assert sorted(found["drawn"]) == list("01234")
    assert found["left"] == []
    first, second, third = unpacked(found["drawn"]["3"])
    assert first["title"] == "a, draw"
    assert first["svg"].startswith("<svg")
    assert "height $x" in first["svg"]
    assert second == {"title": "a, say", "why": "nothing above 0.9"}
    assert third["why"] == "cannot be drawn: ValueError: no such array"


def test_a_drawing_that_ends_the_process_says_so_and_the_others_are_drawn():
    def leave(findings, canvas):
        raise SystemExit(3)

    careful = guarded(leave, "analysis 'a', a.leave")
    ends = StoredDrawing("a", "leave", careful, lambda: Findings({}))
    one, two = NetworkDrawings().svgs("0", [ends, *stored(1, draw)])
    assert "analysis 'a', a.leave: it raised SystemExit(3)" in one["why"]
    assert two["svg"].startswith("<svg")


@pytest.mark.parametrize(("most", "size"), [(5, 5_000_000), (100, 9_000)])
def test_what_no_longer_fits_is_left_out_and_named(link, monkeypatch, most, size):
    loaded = []

    def drawings(rows):
        for row in rows:
            loaded.append(row)
            yield row, stored(row, draw, draw)

    monkeypatch.setattr(networks, "MOST_BYTES", size)
    page = with_networks(PAGE, link, drawings, most)
    found = held(page)
    assert len(page) < 9_200
    assert 0 < len(found["drawn"]) < 5
    assert sorted([*map(int, found["drawn"]), *left_out(found)]) == [0, 1, 2, 3, 4]
    assert loaded == link.first_opened()


def test_a_network_without_drawings_is_neither_drawn_nor_left_out(link):
    found = held(with_networks(PAGE, link, lambda rows: ((row, []) for row in rows)))
    assert found == {"drawn": {}, "left": []}


def test_drawings_of_a_kind_share_the_layout_of_their_first():
    drawer = NetworkDrawings()
    texts = [drawer.svgs(str(row), stored(row + 1, draw))[0]["svg"] for row in range(2)]
    frames = [re.search(r'axes_1">.*? d="([^"]*)"', text, re.DOTALL)[1] for text in texts]
    assert frames[0] == frames[1]
    ids = [set(re.findall(r'\bid="([^"]*)"', text)) for text in texts]
    assert not ids[0] & ids[1]


def test_the_help_says_how_many_drawings_there_are_usually(smoke):
    assert f"[default: {networks.DRAWINGS}]" in smoke.terminal.emtkit("report", "--help").out


@pytest.mark.parametrize("most", [0, 3])
def test_a_report_has_as_many_drawings_as_are_asked_for(smoke, most):
    said = smoke.terminal.emtkit(
        "report", str(smoke.study), "--out", f"drawn{most}", "--drawings", str(most)
    )
    assert said.code == 0, said.err
    page = (smoke.terminal.folder / said.out.strip()).read_text("utf-8")
    found = held(page)
    assert len(found["drawn"]) == most  # each network of the study has one drawing
    assert len(left_out(found)) == 36 - most
