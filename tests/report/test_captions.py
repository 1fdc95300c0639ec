"""Captions say what is drawn, over how many networks, and what the bars are."""

from __future__ import annotations

import pytest

from emtkit import Drawing, Line, Plot
from emtkit.plugin.analysis import Findings
from emtkit.report.data.results import Results
from emtkit.report.figures.captions import caption_of
from emtkit.report.figures.examples import Example
from emtkit.report.figures.figure import draw_examples, draw_figure
from emtkit.study.views import FIGURE_KINDS, MAPS, Figure
from tests.report.frames import frame

AXES = {"architecture": ["elman", "gru"], "task.delay": [3, 5]}


def results_of(seeds):
    return Results(frame(AXES, seeds, lambda axes, seed: {"a.x": axes["task.delay"] + 0.1 * seed}))


def drawn(use, seeds, **fields):
    if use in MAPS.names:
        fields |= {"y": "architecture", "value": "a.x"}
    else:
        fields |= {"y": "a.x", "hue": "architecture"}
    spec = Figure.model_validate({"name": "f", "use": use, "x": "task.delay", **fields})
    return spec, draw_figure(results_of(seeds), spec)


@pytest.mark.parametrize("use", FIGURE_KINDS)
def test_every_kind_has_a_caption_with_the_number_of_networks(use):
    """A kind that is added is held to this without being named here."""
    spec, found = drawn(use, 4, labels={"a.x": "angle (degrees)"})
    what = caption_of(spec, found.account, {})
    assert "angle (degrees)" in what
    assert what.endswith(".")
    assert "4 networks" in found.account.how
    for text in (what, found.account.how):
        assert "{" not in text
        assert text[0].isupper()


def test_a_line_says_what_its_bars_are_where_it_has_any():
    with_bars = drawn("line", 12)[1].account.how
    assert "bars are 95 % intervals over seed (" in with_bars
    assert "small dots are single networks" in with_bars
    assert "bars" not in drawn("line", 4)[1].account.how  # too few networks for an interval
    alone = drawn("line", 1)[1].account.how
    assert alone == "Each point is one network."


def test_a_best_is_said_to_be_one():
    spec, found = drawn("line", 4, stat="best", by="a.x", facet="architecture")
    what = caption_of(spec, found.account, {"a.x": "what is measured"})
    assert what == (
        "Best network's a.x (best by a.x), against task.delay, a colour for each architecture, a "
        "panel for each architecture. a.x: what is measured."
    )


def test_the_authors_caption_stands_alone():
    spec, found = drawn("box", 4, caption="What I saw.")
    assert caption_of(spec, found.account, {"a.x": "what is measured"}) == "What I saw."
    assert "every small point is one network" in found.account.how


def test_a_drawing_names_its_network_and_how_it_was_chosen():
    def draw(findings):
        return Drawing([Plot([Line([0, 1], [0, 1])])])

    spec = Figure.model_validate(
        {"name": "f", "use": "a.bars", "cells": {"select": "best", "by": "a.x"}}
    )
    one = Example("00000000", "elman on k_delay, seed 0", Findings({}))
    found = draw_examples(spec, draw, [one])
    assert found.account.what == "Bars of one network, as a measured it."
    assert found.account.how == "Network: elman on k_delay, seed 0, the best by a.x."
    both = draw_examples(spec, draw, [one, one], narrow=True)
    assert both.account.how == "2 networks, one per panel, the best by a.x."
    assert [spot.found.cells for spot in both.spots] == [("00000000",)] * 2
