"""Drawings as data: what they refuse, and that a figure and a page show the same numbers."""

from __future__ import annotations

import base64
import re
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from emtkit import (
    Area,
    Bars,
    Drawing,
    Label,
    Line,
    Mark,
    Matrix,
    Plot,
    PluginError,
    Points,
    Rule,
)
from emtkit.plugin.drawing import INKS
from emtkit.report.figures.palette import named
from emtkit.report.figures.plotted import plot_drawing
from emtkit.report.page.plots import colour_scales, drawing_data

EVERY = [
    Line([0, 1, 2], [1.0, np.nan, 3.0], "a line", style="dashed", markers=True),
    Line([0, 1], [0, 1], arrow=True),
    Points([0, 1], [2, 3], "points", "C1", size=[3.0, 9.0], hollow=True),
    Bars([0, 1], [1.0, -2.0], [0.5, 0.5], "bars", ["C0", "grey"]),
    Matrix([[1.0, np.nan], [-2.0, 0.5]], signed=True, top_first=True, key="weight"),
    Rule(0.5, upright=True),
    Label(0.5, 0.5, "words", (3.0, -3.0), italic=True),
    Area([0, 1, 1], [0, 0, 1]),
]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Line([0, 1], [0]), r"equal length; given: x \[2\], y \[1\]"),
        (lambda: Points([[0]], [[0]]), r"one axis and equal length; given: x \[1, 1\]"),
        (lambda: Bars(["a"], [1]), "Bars.x is not an array of real numbers"),
        (lambda: Points([0, 1], [0, 1], size=[1.0]), r"x \[2\], size \[1\]"),
        (lambda: Matrix([1.0, 2.0]), r"values \(rows, columns\), at least one; given: \[2\]"),
        (lambda: Matrix(np.zeros((0, 3))), r"at least one; given: \[0, 3\]"),
        (lambda: Line([0], [0], colour="tab:red"), "'tab:red' is unknown; allowed: C0, C1"),
        (lambda: Rule(0.0, colour="#FFF"), "#rrggbb"),
        (lambda: Bars([0, 1], [1, 2], colour=["C0"]), "one for each: 1 for 2"),
        (lambda: Drawing([]), "has no Plot"),
    ],
)
def test_what_cannot_be_drawn_is_refused_where_it_is_made(make, said):
    with pytest.raises(PluginError, match=said):
        make()


def test_a_page_has_what_is_not_as_usual():
    data = drawing_data(Drawing([Plot(EVERY, "all", x_ticks={0.0: "zero"})], share_x=True))
    (plot,) = data["plots"]
    assert (data["share_x"], data["columns"], plot["title"]) == (True, 1, "all")
    assert plot["x_ticks"] == [[0.0, "zero"]]
    kinds = [mark["mark"] for mark in plot["marks"]]
    assert kinds == ["Line", "Line", "Points", "Bars", "Matrix", "Rule", "Label", "Area"]
    line, _, points, bars, matrix, *_ = plot["marks"]
    assert line["y"] == [1, None, 3]
    assert points["size"] == [3, 9]
    assert bars["colour"] == ["#0173b2", "#949494"]
    assert plot["marks"][6] == {
        "mark": "Label",
        "x": 0.5,
        "y": 0.5,
        "text": "words",
        "offset": [3, -3],
        "italic": True,
    }
    assert (matrix["low"], matrix["high"], matrix["shape"]) == (-2.0, 2.0, [2, 2])
    assert list(base64.b64decode(matrix["levels"])) == [190, 255, 0, 159]


def test_a_figure_shows_every_mark():
    figure = Figure()
    plot_drawing(Drawing([Plot(EVERY), Plot([EVERY[0]], y_log=True)], columns=1), figure)
    first, second, scale = figure.axes
    assert (len(first.images), len(first.patches), second.get_yscale()) == (1, 3, "log")
    assert scale.get_ylabel() == "weight"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "a line",
        "points",
        "bars",
    ]


def test_a_mark_that_none_can_draw_is_refused():
    with pytest.raises(PluginError, match=r"marks \(Line, Points.*\); given: a tuple"):
        Plot([EVERY[0], (0, 1)])


def test_every_kind_of_mark_and_ink_is_known_to_all_who_draw():
    """A new one that a page or a figure does not know fails here."""
    kinds = {kind.__name__ for kind in Mark.__subclasses__()}
    assert {type(mark).__name__ for mark in EVERY} == kinds
    script = (files("emtkit.report") / "templates" / "drawing.js").read_text("utf-8")
    drawn = script[script.index("const drawMark = {") :]
    assert set(re.findall(r"^  (\w+)\(mark", drawn, re.MULTILINE)) == kinds
    for mark in EVERY:
        plot_drawing(Drawing([Plot([mark])]), Figure())
    assert all(re.fullmatch("#[0-9a-f]{6}", named(ink)) for ink in INKS)


@given(st.lists(st.floats(-1e200, 1e200) | st.just(np.nan), min_size=1, max_size=20))
def test_numbers_of_a_page_are_the_drawings_to_four_digits(values):
    (mark,) = drawing_data(Drawing([Plot([Line(values, values)])]))["plots"][0]["marks"]
    for given_, held in zip(values, mark["x"], strict=True):
        if np.isnan(given_):
            assert held is None
        else:
            assert held == pytest.approx(given_, rel=5.01e-4)


@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(np.nan), min_size=1, max_size=12),
    st.booleans(),
)
def test_levels_of_a_matrix_are_its_numbers_to_half_a_level(values, signed):
    matrix = Matrix([values], signed=signed)
    (mark,) = drawing_data(Drawing([Plot([matrix])]))["plots"][0]["marks"]
    low, high = matrix.ends
    assert low < high
    levels = np.frombuffer(base64.b64decode(mark["levels"]), np.uint8)
    assert ((levels == 255) == np.isnan(values)).all()
    back = low + (high - low) * levels / 254
    known = ~np.isnan(values)
    assert np.abs(back - values)[known].max(initial=0.0) <= (high - low) * 0.5001 / 254


def test_the_scales_of_a_page_are_those_of_a_figure():
    for stops in colour_scales().values():
        assert len(stops) == 17
    assert colour_scales()["signed"][8] == "#f7f6f6"  # zero is nearly white
