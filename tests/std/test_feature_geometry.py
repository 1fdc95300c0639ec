"""Feature geometry of polygons, orthogonal features and registers."""

from __future__ import annotations

import numpy as np
import pytest

from emtkit_std.analyses.feature_geometry import (
    FeatureGeometry,
    leading_kept,
    shape_of,
    silent_share,
)
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.relu_rnn import ReluRnn
from emtkit_std.architectures.shift_register import ShiftRegister
from emtkit_std.tasks.k_delay import KDelay
from tests.rounding import rounding
from tests.std.known_nets import look, set_weights
from tests.std.pictures import drawings_of
from tests.std.subjects import build


def polygon(count: int) -> np.ndarray:
    turn = 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(turn), np.sin(turn)])


@pytest.mark.parametrize("count", [3, 5, 8])
def test_a_regular_polygon_in_any_plane(count: int) -> None:
    """sum_j cos^2 of a polygon is n / 2, so that each feature has 2 / n dimensions."""
    plane = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 2)))[0]
    for directions in (polygon(count), plane @ polygon(count)):
        found = shape_of(directions)
        assert found.polygon_error == pytest.approx(0.0, abs=rounding(360))
        assert found.dimensionality == pytest.approx(2 / count, abs=rounding(count))


def test_orthogonal_features_have_a_dimension_each_and_no_polygon() -> None:
    found = shape_of(3.0 * np.eye(4)[:, :3])
    assert found.dimensionality == pytest.approx(1.0)
    assert np.isnan(found.polygon_error)
    assert "plane holds 67%" in found.reasons["polygon_error"]
    assert shape_of(polygon(5)[:, [0, 1, 2, 3]]).polygon_error == pytest.approx(54.0)
    assert "polygon has three" in shape_of(np.eye(2)).reasons["polygon_error"]
    assert "no feature" in shape_of(np.zeros((2, 0))).reasons["dimensionality"]


def test_a_pentagon_of_five_features_without_delay() -> None:
    """The readout of a pentagon shows neighbours cos 72 and hides the others: 3 of 5 entries."""
    task = KDelay(delay=0, features=5)
    model = build(ReluRnn, task).double()
    set_weights(model, np.zeros((2, 2)), polygon(5), polygon(5).T)
    findings = look(FeatureGeometry(), task, model)
    assert findings.scalars["features_kept"] == 5
    assert findings.scalars["polygon_error"] == pytest.approx(0.0, abs=rounding(360))
    assert findings.scalars["silent_share"] == pytest.approx((10 + 25) / (20 + 25))
    assert list(findings.tables["features"]["feature"]) == list("ABCDE")
    drawn = drawings_of(FeatureGeometry, findings)
    assert [mark.text for mark in drawn["plane"].plots[0].marks[2::3]] == list("ABCDE")
    assert len(drawn["matrices"].plots) == len(findings.arrays["matrices"])


def test_features_are_kept_dropped_or_graded_and_the_leading_ones_come_first() -> None:
    """Own gains 1, .95, .5, .1, 0 of importances .8^i: two kept, one graded, two dropped."""
    task = KDelay(delay=0, features=5, importance=0.8)
    for gains, leading in (((1.0, 0.95, 0.5, 0.1, 0.0), True), ((1.0, 0.1, 0.95, 0.5, 0.0), False)):
        model = build(ReluRnn, task, hidden=5).double()
        set_weights(model, np.zeros((5, 5)), np.eye(5), np.diag(gains))
        findings = look(FeatureGeometry(), task, model)
        assert findings.scalars["features_kept"] == 2
        assert findings.scalars["graded"] == 1
        assert findings.scalars["leading_kept"] is leading
    set_weights(model, np.zeros((5, 5)), np.eye(5), np.zeros((5, 5)))
    nothing = look(FeatureGeometry(), task, model)
    assert nothing.reasons["leading_kept"] == "no feature is kept"
    assert leading_kept(np.array([False, True]), np.ones(2)) is True


def test_directions_of_an_untied_linear_recurrence_are_not_compared() -> None:
    task = KDelay(delay=1, features=2)
    found = look(FeatureGeometry(), task, build(LinearRnn, task, hidden=4).double())
    assert np.isnan(found.scalars["dimensionality"])
    assert "depend on the basis" in found.reasons["dimensionality"]
    assert found.scalars["age"] == 1


def test_a_register_shows_nothing_that_was_not_asked_for() -> None:
    task = KDelay(delay=3)
    found = look(FeatureGeometry(), task, ShiftRegister(task).double())
    assert found.scalars["features_kept"] == 1
    assert found.scalars["silent_share"] == 1.0


def test_what_is_asked_for_does_not_count_as_shown() -> None:
    law = KDelay(delay=1, features=1)
    projections = np.array([[[0.2, 1.0, -3.0]]])
    assert silent_share(projections, law.facts(law.offers[0])) == 0.5
