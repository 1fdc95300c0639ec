"""The observability Gramian of whitened states, against its closed form, and what it leaves out."""

from __future__ import annotations

import numpy as np
import pytest

from emtkit import Stream
from emtkit_std._theory.facts import LinearRecurrence
from emtkit_std._theory.memory_map import observable as observability
from emtkit_std._theory.memory_map.codes import encode
from emtkit_std._theory.memory_map.observed import observe
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.mechanisms.dead import Dead
from emtkit_std.architectures.mechanisms.exact_attention import ExactAttention
from emtkit_std.architectures.mechanisms.magnitude_code import MagnitudeCode
from emtkit_std.architectures.mechanisms.phase_clock import PhaseClock
from emtkit_std.architectures.mechanisms.register import Register
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from emtkit_std.tasks.k_delay import KDelay
from tests.rounding import assert_rounded
from tests.std.null_nets import Changed, oblique
from tests.std.subjects import build, subject_of

COPY = Hds(rule="repeat", history=4, dimension=2, horizon=12)
DELAY = KDelay(delay=3, features=2, density=0.5, amplitude="constant")


def looked_at(model, task):
    subject = subject_of(model.double(), task)
    seen = observe(subject, 512)
    return subject, seen, encode(seen)


def directions(model, task) -> np.ndarray:
    return observability.observable(*looked_at(model, task), Stream(None, "test"))


def test_of_a_linear_network_it_is_the_sum_of_squared_answers_to_unit_states():
    model = build(LinearRnn, DELAY, hidden=8)
    _, seen, coded = looked_at(model, DELAY)
    found = observability.gramian(model, seen, coded, Stream(None, "test"))
    law, wanted, last = model.facts(LinearRecurrence), np.zeros_like(found), len(seen.times) - 1
    for k in {round(share * last) for share in observability.TIMES}:
        time, moved = seen.times[k], coded.back
        for step in range(time, min(seen.batch.steps, time + 1 + observability.MOST_STEPS)):
            answers = law.W_r @ moved
            wanted += 2 * seen.batch.mask[step].item() * answers.T @ answers
            moved = law.W_hh @ moved
    assert_rounded(found, wanted, 1000, np.linalg.norm(wanted))


@pytest.mark.parametrize("task", [COPY, DELAY])
@pytest.mark.parametrize(("kind", "units"), [(Register, 8), (PhaseClock, 8), (MagnitudeCode, 2)])
def test_what_no_output_reads_is_left_out(kind, units, task):
    """The clock's phase is the same in all sequences, and so is no direction at all."""
    assert directions(build(kind, task), task).shape[1] == units
    model = build(kind, task, condition=100.0, distractors=6)
    _, _, coded = looked_at(model, task)
    basis = directions(model, task)
    assert (coded.directions, basis.shape[1]) == (units + 6, units)
    # To move along the rest of the directions moves the distractors alone.
    rest = np.linalg.svd(basis, full_matrices=True)[0][:, units:]
    moved = model.back.numpy() @ coded.back @ rest
    within = 0.3 if kind is MagnitudeCode else 1e-9  # rounding to digits is seen by chance
    assert np.abs(moved[: model.memory]).max() < within * np.abs(moved).max()


def test_where_nothing_is_read_nothing_is_observable_and_of_attention_everything_is():
    assert directions(build(Dead, COPY, distractors=6), COPY).shape == (6, 0)
    basis = directions(build(ExactAttention, DELAY), DELAY)
    assert_rounded(basis, np.eye(len(basis)), 1)


def test_it_turns_with_the_coordinates_of_the_state():
    model = build(Elman, DELAY, hidden=12).double()
    before, after = (
        observability.gramian(one, *looked_at(one, DELAY)[1:], Stream(None, "test"))
        for one in (model, Changed(model, oblique(12, 100.0)))
    )
    assert np.allclose(np.linalg.eigvalsh(before), np.linalg.eigvalsh(after), rtol=1e-6)
