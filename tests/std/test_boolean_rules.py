"""Rules of `hds` that are no matrix, against the same rules written out entry by entry."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emtkit import EmtkitError, NotApplicable, Registry, Stream
from emtkit.study.plan import plan_study
from emtkit_std._theory.emt.boolean import lookup_of
from emtkit_std._theory.facts import DelayLaw, HistoryLaw, LinearHistoryLaw
from emtkit_std.analyses.attention_boundary import AttentionBoundary
from emtkit_std.analyses.attractors import Attractors
from emtkit_std.analyses.emt_spectrum import EmtSpectrum
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.emt_circuit import EmtCircuit
from emtkit_std.architectures.twm_attention import TwmAttention
from emtkit_std.architectures.twm_linear import TwmLinear
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from tests.std.subjects import build, subject_of

RULES = {
    "parity": lambda past: past[0] * past[-1],
    "xor_shift": lambda past: past[0] * np.roll(past[-1], -1),
    "majority": lambda past: np.sign(np.sum(past, axis=0)),
}
SIZES = {"history": 3, "dimension": 4, "horizon": 20}


def continued(rule, start, horizon):
    """One sequence (s d) by the rule itself, vector by vector."""
    history, past = len(start), list(start)
    for _ in range(horizon):
        past.append(RULES[rule](np.array(past[-history:])))
    return np.array(past)


@pytest.mark.parametrize("rule", RULES)
def test_targets_are_those_of_the_rule_written_out(rule):
    task = Hds(rule=rule, **SIZES)
    batch = task.sample(16, Stream(3, "test"), 50)
    assert not batch.targets[:, :3].any()
    for inputs, targets in zip(batch.inputs.numpy(), batch.targets.numpy(), strict=True):
        assert (targets[3:] == continued(rule, inputs[:3], 50)[3:]).all()
    assert task.recipe() is None


def test_a_shorter_horizon_is_the_start_of_a_longer_one():
    task = Hds(rule="parity", **SIZES)
    short, long = (task.sample(4, Stream(3, "test"), horizon) for horizon in (5, 40))
    assert torch.equal(short.targets, long.targets[:, :8])


def test_the_rule_of_the_law_is_that_of_the_batch():
    for rule in (*RULES, "repeat"):
        task = Hds(rule=rule, **SIZES)
        law = task.facts(HistoryLaw)
        batch = task.sample(8, Stream(3, "test"), 1)
        following = law.rule(batch.inputs[:, :3].flatten(1).numpy())
        assert (following == batch.targets[:, 3].numpy()).all()
        assert (law.history, law.dimension, law.real_values) == (3, 4, False)


def test_parity_is_a_shift_register_of_the_longest_period():
    """x(t) = x(t-3) x(t-1) over {0, 1} is z^3 = z^2 + 1, primitive: every history but one has 7."""
    task = Hds(rule="parity", history=3, dimension=1, horizon=20)
    law = task.facts(HistoryLaw)
    for start in product((-1.0, 1.0), repeat=3):
        window, steps = np.array(start), 0
        while steps == 0 or tuple(window) != start:
            window, steps = np.append(window[1:], law.rule(window[None])[0]), steps + 1
        assert steps == (1 if start == (1.0, 1.0, 1.0) else 7)


@given(st.lists(st.sampled_from([-1, 1]), min_size=8, max_size=8), st.integers(0, 2**12 - 1))
@settings(max_examples=30, deadline=None)
def test_a_table_looks_up_what_it_was_given(truth, code):
    reads = ((2, 0), (1, 3), (3, 1))
    rule = lookup_of("table", 3, 4, reads, tuple(truth))
    history = np.array([1.0 if code >> place & 1 else -1.0 for place in range(12)])
    columns = history.reshape(3, 4)
    for own, value in enumerate(rule(history[None])[0]):
        bits = [columns[variable - 1, (own + offset) % 4] > 0 for variable, offset in reads]
        assert value == truth[4 * bits[0] + 2 * bits[1] + bits[2]]


def test_parity_is_also_a_table():
    named = Hds(rule="parity", **SIZES).sample(4, Stream(3, "test"))
    table = Hds(rule="table", reads=((1, 0), (3, 0)), truth=(1, -1, -1, 1), **SIZES)
    assert torch.equal(table.sample(4, Stream(3, "test")).targets, named.targets)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"rule": "majority", "history": 4}, "odd history"),
        ({"rule": "parity", "history": 1}, "history is 1"),
        ({"rule": "xor_shift", "dimension": 1}, "needs a neighbour"),
        ({"rule": "table"}, "takes `reads` and `truth`"),
        ({"rule": "table", "reads": ((1, 0),), "truth": (1,)}, "take 2"),
        ({"rule": "table", "reads": ((9, 0),), "truth": (1, -1)}, "variables from 1 to 3"),
        ({"rule": "table", "reads": (), "truth": (1,)}, "names 1 to 15"),
        ({"rule": "parity", "truth": (1, -1)}, "no other rule takes either"),
        ({"rule": "repeat", "truth": (1, -1)}, "belong to `rule: table`"),
        ({"rule": "parity", "table_id": (1, 0, 0)}, "belong to `rule: custom`"),
        ({"rule": "parity", "values": "real"}, "function of signs"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_reason(given, reason):
    with pytest.raises(EmtkitError, match=reason):
        Hds(**{**SIZES, **given})


def test_what_a_matrix_would_tell_does_not_apply():
    task = Hds(rule="parity", **SIZES)
    for kind in (LinearHistoryLaw, DelayLaw):
        with pytest.raises(NotApplicable, match="parity"):
            task.facts(kind)
    assert "is not linear" in EmtCircuit.accepts(task, {"hidden": 16})
    exact = {"exact": True, "hidden": None, "basis": "native"}
    assert "is not linear" in TwmLinear.accepts(task, exact)
    assert TwmLinear.accepts(task, {**exact, "exact": False}) is None
    constructed = {"exact_strength": 8.0, "position": "onehot", "heads": 4}
    assert "is not linear" in TwmAttention.accepts(task, constructed)


def test_the_plan_says_before_training_what_does_not_apply():
    study = {
        "question": "Which analyses need delays?",
        "seeds": 1,
        "tasks": [{"use": "hds", "grid": {"rule": ["parity", "repeat"]}, **SIZES}],
        "architectures": [{"use": "elman", "hidden": 8}],
        "analyses": ["feature_geometry", "attractors"],
        "tables": [{"name": "t", "rows": ["task.rule"], "values": ["test.accuracy"]}],
    }
    rows = plan_study(study, Registry.installed()).rows
    reasons = {
        (row.cell.task.parameters["rule"], one.label): one.reason
        for row in rows
        for one in row.measures
    }
    assert "rule 'parity' are not delayed copies" in reasons["parity", "feature_geometry"]
    assert reasons["repeat", "feature_geometry"] is None
    assert reasons["parity", "attractors"] is None


def test_a_rule_that_is_no_matrix_has_no_spectrum_to_compare_with():
    task = Hds(rule="parity", **SIZES)
    with pytest.raises(NotApplicable, match="the rule 'parity' of 'hds' is not linear"):
        EmtSpectrum().measure(subject_of(build(Elman, task, hidden=8), task))


def test_attention_is_looked_at_without_a_rule_to_compare_with():
    task = Hds(rule="parity", **SIZES)
    found = AttentionBoundary().measure(subject_of(build(TwmAttention, task, heads=2), task))
    assert np.isfinite(found.scalars["linearity"])
    assert np.isnan(found.scalars["boundary_error"])
    assert "no linear law" in found.reasons["boundary_error"]


def test_lifetimes_are_measured_on_every_rule():
    task = Hds(rule="xor_shift", **SIZES)
    few = Attractors(sequences=4, steps=300, longest=50)
    found = few.measure(subject_of(build(Elman, task, hidden=8), task))
    assert found.scalars["kind"] == "dead"
    assert found.scalars["lifetime"] < 5
