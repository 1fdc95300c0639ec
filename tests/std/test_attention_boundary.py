"""Analysis attention_boundary on constructed attention."""

from __future__ import annotations

import math

import numpy as np
import pytest

from emtkit.errors import NotApplicable
from emtkit_std._theory.waves.attention import safe_horizon
from emtkit_std.analyses.attention_boundary import AttentionBoundary
from emtkit_std.architectures.attention import Attention
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.twm_attention import TwmAttention
from emtkit_std.tasks.hds import HistoryDependentSystem
from tests.rounding import rounding
from tests.std.pictures import drawings_of
from tests.std.references import softmax_leak
from tests.std.subjects import build, subject_of

REPEAT = HistoryDependentSystem(rule="repeat", history=4, dimension=4)
FOUR_LAGS = HistoryDependentSystem(rule="waves_t4", history=4, dimension=4)


def measure(model, task):
    return AttentionBoundary().measure(subject_of(model, task))


def test_constructed_attention_writes_the_rule_up_to_its_leak():
    model = build(TwmAttention, FOUR_LAGS, heads=4, position="onehot", exact_strength=8.0).double()
    found = measure(model, FOUR_LAGS)
    leak = softmax_leak(8.0, 4)
    assert found.scalars["kronecker_rank"] == 4
    assert found.scalars["leak"] == pytest.approx(leak, rel=1e-5)
    assert found.scalars["safe_horizon"] == pytest.approx(safe_horizon(leak, 4), rel=1e-5)
    assert found.scalars["boundary_error"] == pytest.approx(leak * math.sqrt(4 / 3), rel=1e-4)
    assert found.scalars["linearity"] == pytest.approx(1.0, abs=rounding(16))
    np.testing.assert_allclose(found.arrays["boundary"], found.arrays["law"], atol=2 * leak)
    weights = found.tables["profile"].pivot(index="head", columns="lag", values="weight")
    # head 0 serves the oldest column, which lies 3 columns behind the newest
    np.testing.assert_allclose(weights.to_numpy().argmax(1), [3, 2, 1, 0])


def test_one_head_writes_rank_one_and_content_shows_as_nonlinearity():
    model = build(TwmAttention, REPEAT)
    model.W_Q.mul_(30.0)
    found = measure(model, REPEAT)
    assert found.scalars["kronecker_rank"] == 1
    assert found.scalars["linearity"] < 0.999
    assert found.scalars["boundary_error"] > 0.3


def test_growing_attention_has_a_profile_but_no_columns():
    found = measure(build(Attention, REPEAT, heads=2), REPEAT)
    assert 0 < found.scalars["entropy"] < math.log(40)
    assert math.isnan(found.scalars["leak"])
    assert "no columns" in found.reasons["leak"]
    assert len(found.tables["profile"]) == 2 * 16


def test_a_network_without_attention_says_so():
    with pytest.raises(NotApplicable, match="no attention"):
        measure(build(Elman, REPEAT, hidden=8), REPEAT)


def test_figures_are_drawn_from_findings_alone():
    findings = measure(build(TwmAttention, REPEAT), REPEAT)
    assert drawings_of(AttentionBoundary, findings).keys() == AttentionBoundary.drawings.keys()
