"""Links from numbers to networks: the best first, by whoever says what is better."""

from __future__ import annotations

import pytest

from emtkit.report.data.links import Links, rows_link
from emtkit.report.data.results import Results
from emtkit.study.quantity import Quantity, Value
from emtkit.study.views import Expect
from tests.report.frames import NAN, frame

LOSSES = (0.3, 0.1, NAN, 0.2)


@pytest.fixture
def results():
    def scalars(axes, seed):
        regime = ("dense", "sparse")[seed % 2]
        return {"a.loss": LOSSES[seed], "a.score": 10.0 - seed, "a.regime": regime}

    return Results(frame({"architecture": ["elman", "gru"]}, 4, scalars))


MOST = Value(value="a.loss", better="max")
KEYS = [f"{row:08x}" for row in range(4)]


@pytest.mark.parametrize(
    ("quantity", "better", "address"),
    [
        (None, {}, "#cells=0-3"),
        (Quantity(value="a.loss"), {}, "#cells=0-1,3,2&value=a.loss"),
        (Quantity(value="a.loss"), {"a.loss": "lower"}, "#cells=1,3,0,2&value=a.loss&best"),
        (MOST, {}, "#cells=0,3,1-2&value=a.loss&best"),
        (MOST, {"a.loss": "lower"}, "#cells=0,3,1-2&value=a.loss&best"),
        (
            Quantity(value="a.loss", stat="best", by="a.score"),
            {},
            "#cells=3,2,1,0&value=a.loss&value=a.score&best",
        ),
        (Expect(value="a.score", above=3.0), {}, "#cells=0-3&value=a.score&best"),
        (Expect(value="a.score", below=3.0), {}, "#cells=3,2,1,0&value=a.score&best"),
        (
            Quantity(share={"of": "a.regime", "equals": "sparse"}),
            {},
            "#cells=1,3,0,2&value=a.regime&best",
        ),
    ],
)  # fmt: skip
def test_the_best_network_is_first_and_what_has_no_value_last(results, quantity, better, address):
    assert Links(results, better)(KEYS, quantity) == address


def test_no_network_and_no_column_have_no_address(results):
    assert Links(results, {})(["unknown"], Quantity(value="a.loss")) == ""
    assert Links(results, {})(KEYS[:1], Quantity(value="a.other")) == "#cells=0"
    assert rows_link([]) == ""


def test_networks_are_asked_for_in_turns_the_best_of_every_number_first(results):
    link = Links(results, {"a.loss": "lower"})
    loss = Quantity(value="a.loss")
    link(["00000006"], loss)  # alone: one of the points of a figure
    link(KEYS, loss)
    link([f"{row:08x}" for row in range(4, 8)], loss)
    assert link.first_opened() == [1, 5, 3, 7, 0, 4, 2, 6]
