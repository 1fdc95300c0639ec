"""The law of a task estimated from its targets, and networks that hold what it asks for, or not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emtkit import NotApplicable, RecurrentModel, Trace
from emtkit_std._theory.emt.estimated import estimated_law, fit, silent_step
from emtkit_std._theory.facts import LinearHistoryLaw
from emtkit_std._theory.observe import in_double, memory_span, needed_span
from emtkit_std._theory.required_memory import required_memory
from emtkit_std._theory.superposition.estimated import answered, sharing
from emtkit_std._theory.waves.answers import answered_boundary
from emtkit_std.analyses.basis_sensitivity import BasisSensitivity
from emtkit_std.analyses.conjugacy import Conjugacy
from emtkit_std.analyses.emt_basis import EmtBasis
from emtkit_std.analyses.emt_spectrum import EmtSpectrum
from emtkit_std.analyses.intervene import Intervene
from emtkit_std.analyses.linear_ceiling import LinearCeiling, estimated_ceiling, least_loss
from emtkit_std.analyses.spectrum import Spectrum
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.emt_circuit import EmtCircuit
from emtkit_std.architectures.gru import GatedRecurrentUnit
from emtkit_std.architectures.lstm import LongShortTermMemory
from emtkit_std.tasks.associative_recall import AssociativeRecall
from emtkit_std.tasks.copy import Copy
from emtkit_std.tasks.cued_delay import CuedDelay
from emtkit_std.tasks.delayed_match import DelayedMatch
from emtkit_std.tasks.flip_flop import FlipFlop
from emtkit_std.tasks.hds import HistoryDependentSystem
from emtkit_std.tasks.k_delay import KDelay
from tests.std.null_nets import Changed, Permuted, oblique, untrained
from tests.std.subjects import build, subject_of

EXACT = 1e-8
"""The least penalty of a reading is 1e-10 of it; what is exact is off by as much, and rounding."""
FLIP, CUED, RECALL = FlipFlop(steps=16, density=0.3), CuedDelay(), AssociativeRecall()


class Latch(RecurrentModel):
    """Holds the last pulse of each channel; in silence the channels move by `turn` (d d)."""

    name = "latch_fake"

    def __init__(self, turn: np.ndarray) -> None:
        super().__init__()
        self.hidden = len(turn)
        self.register_buffer("turn", torch.from_numpy(turn))

    def step(self, state: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        return torch.where(inputs != 0, inputs, state @ self.turn.T)

    def read(self, state: torch.Tensor) -> torch.Tensor:
        return state


class Cued(RecurrentModel):
    """The item, of which `keep` is left after each step, and the cue of this step: y = c x."""

    name = "cued_fake"
    hidden = 2

    def __init__(self, keep: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("keep", torch.tensor(keep, dtype=torch.float64))

    def step(self, state: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.keep * state[..., 0] + inputs[..., 0], inputs[..., 1]], -1)

    def read(self, state: torch.Tensor) -> torch.Tensor:
        return state[..., :1] * state[..., 1:]


class Outer(RecurrentModel):
    """Sum of key x value, and the key of this step: fast weights, exact for associative recall."""

    name = "outer_fake"

    def __init__(self, keys: int, values: int) -> None:
        super().__init__()
        self.shape, self.hidden = (keys, values), keys * values + keys
        self.register_buffer("unit", torch.ones((), dtype=torch.float64))

    def step(self, state: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        key, value = inputs.split(list(self.shape), -1)
        held = state[..., : -self.shape[0]] + (key[..., None] * value[..., None, :]).flatten(-2)
        return torch.cat([held, key], -1) * self.unit

    def read(self, state: torch.Tensor) -> torch.Tensor:
        held = state[..., : -self.shape[0]].unflatten(-1, self.shape)
        return (state[..., -self.shape[0] :, None] * held).sum(-2)


EXACT_NETS = {
    "flip_flop": (FLIP, lambda: Latch(np.eye(3))),
    "cued_delay": (CUED, Cued),
    "associative_recall": (RECALL, lambda: Outer(8, 2)),
}
CASES = pytest.mark.parametrize(("task", "model"), EXACT_NETS.values(), ids=EXACT_NETS)


def fitted(task, model):
    asked = subject_of(model, task)
    law = estimated_law(asked)
    return law, fit(silent_step(in_double(model), law), law)


@pytest.mark.parametrize(
    "task",
    [
        HistoryDependentSystem(rule="repeat", history=4, dimension=2),
        HistoryDependentSystem(rule="waves_t4", history=4, dimension=4),
        HistoryDependentSystem(rule="signed", history=4, dimension=3),
    ],
    ids=lambda task: task.rule if hasattr(task, "rule") else task.name,
)
def test_of_a_task_that_states_its_law_the_estimate_is_the_stated_one(task):
    law, stated = estimated_law(subject_of(build(Elman, task), task)), task.facts(LinearHistoryLaw)
    kept = stated.phi[np.ix_(stated.mask, stated.mask)]
    assert law.phi.shape == kept.shape
    assert law.missed < 1e-24
    found, known = (np.sort_complex(each.round(9)) for each in (law.spectrum, stated.spectrum))
    np.testing.assert_allclose(found, known, atol=1e-8)
    if task.rule == "repeat":  # where answers are the history itself, oldest first
        np.testing.assert_allclose(law.phi, kept, atol=1e-12)


@pytest.mark.parametrize(("task", "variables"), [(FLIP, 3), (CUED, 1), (RECALL, 16)])
def test_what_is_held_until_it_is_asked_for_stays(task, variables):
    """A sign for each channel; the item; a value for each key and sign."""
    law = estimated_law(subject_of(build(Elman, task), task))
    np.testing.assert_allclose(law.phi, np.eye(variables), atol=1e-10)
    assert len(law.spectrum) == variables


def test_a_delay_line_has_nothing_that_goes_on():
    """k and k - 1 steps to go: y_{t+1} .. y_{t+k} are the last k inputs, a nilpotent shift."""
    task = KDelay(delay=3, density=0.3)
    law = estimated_law(subject_of(build(Elman, task), task))
    np.testing.assert_allclose(law.phi, np.eye(3, k=1), atol=1e-10)
    assert len(law.spectrum) == 0
    copied = Copy()
    with pytest.raises(NotApplicable, match="emt_basis"):
        EmtSpectrum().measure(subject_of(build(Elman, copied), copied))


def test_a_task_without_targets_says_what_to_write():
    class Mute(FlipFlop):
        name = "mute"

        def targets(self, inputs):
            return None

    with pytest.raises(NotApplicable, match=r"write `targets\(inputs\)`"):
        estimated_law(subject_of(build(Elman, FLIP), Mute()))


@CASES
def test_an_exact_network_holds_the_variables_and_moves_them_by_the_law(task, model):
    asked = subject_of(model(), task)
    basis = EmtBasis().measure(asked).scalars
    assert basis["law"] == "estimated"
    assert basis["phi_error"] < EXACT
    assert basis["sign_agreement"] == basis["sign_agreement_at_s"] == 1.0
    assert basis["mask_size"] == basis["core_size"]
    spectrum = EmtSpectrum().measure(asked).scalars
    assert spectrum["modes_found"] == spectrum["modes_expected"] == basis["mask_size"]
    assert spectrum["angle_error"] < EXACT
    noise = BasisSensitivity(draws=2, noises=(1e-4,)).measure(asked).scalars
    assert noise["phi_error_fitted"] < EXACT
    assert noise["single_phi_error_fitted"] < 1e-5
    edited = Intervene().measure(asked).scalars
    assert edited["accuracy_before"] == pytest.approx(1.0, abs=EXACT)
    assert edited["change"] == pytest.approx(0.0, abs=1e-6)


@CASES
def test_a_network_in_other_coordinates_has_the_same_law(task, model):
    plain = model()
    _, found = fitted(task, plain)
    _, changed = fitted(task, Changed(plain, oblique(plain.hidden, 1e3)))
    np.testing.assert_allclose(changed.phi, found.phi, atol=1e-6)
    assert (changed.right == found.right).all()


@CASES
def test_a_network_that_is_fed_with_other_sequences_holds_nothing(task, model):
    basis = EmtBasis().measure(subject_of(Permuted(model()), task)).scalars
    assert basis["phi_error"] > 0.95
    assert abs(basis["sign_agreement"] - 0.5) < 0.1


def test_of_a_network_in_which_nothing_recurs_nothing_is_carried_on():
    basis = EmtBasis().measure(subject_of(untrained(RECALL, 0.0, hidden=32), RECALL)).scalars
    assert basis["phi_error"] == pytest.approx(1.0, abs=0.01)


def test_the_memories_alone_move_a_network_that_is_made_of_them():
    exact = Conjugacy().measure(subject_of(Latch(np.eye(3)), FLIP))
    assert exact.scalars["core_defect"] < EXACT
    assert "PulseCircuit" in exact.reasons["defect"]
    other = Conjugacy().measure(subject_of(build(GatedRecurrentUnit, FLIP), FLIP))
    assert other.scalars["core_defect"] > 0.5


def test_an_edit_to_the_law_mends_a_network_that_forgets():
    """It keeps .6 of the item at each step: Phi_hat = .6, and to put Phi = 1 in holds it."""
    asked = subject_of(Cued(0.6), CUED)
    assert EmtBasis().measure(asked).scalars["phi_error"] == pytest.approx(0.4, abs=EXACT)
    found = Intervene().measure(asked).scalars
    assert found["scored_by"] == "r2"
    assert found["accuracy_before"] < 0.5
    assert found["accuracy_after"] == pytest.approx(1.0, abs=1e-6)
    assert found["null_change"] < 0
    dropped = Intervene(edit="drop").measure(subject_of(Cued(), CUED)).scalars
    assert dropped["accuracy_before"] == pytest.approx(1.0, abs=EXACT)
    assert dropped["accuracy_after"] < 0.7


def test_sequences_with_masks_of_their_own_are_scored_one_by_one():
    task = DelayedMatch()
    found = Intervene().measure(subject_of(build(GatedRecurrentUnit, task), task)).scalars
    assert found["scored_by"] == "accuracy"
    assert found["accuracy_before_error"] == pytest.approx(0.5 / 8, rel=0.3)  # 64 answers of two


def test_a_network_in_which_nothing_can_be_read_has_nothing_to_edit():
    with pytest.raises(NotApplicable, match="train it first"):
        Intervene().measure(subject_of(build(LongShortTermMemory, FlipFlop()), FlipFlop()))


def test_of_a_silent_network_nothing_is_fitted():
    class Dead(Latch):
        def step(self, state, inputs):
            return 0 * state

    with pytest.raises(NotApplicable, match="same for all sequences"):
        EmtBasis().measure(subject_of(Dead(np.eye(3)), FLIP))


def test_the_estimated_ceiling_is_that_of_the_stated_law():
    task = HistoryDependentSystem(rule="waves_t4", history=4, dimension=4)
    found = estimated_ceiling(subject_of(build(Elman, task), task), 12)
    exact = least_loss(task.facts(LinearHistoryLaw), 12)
    assert found.loss == pytest.approx(exact, abs=max(3 * found.error, 3e-3))
    assert found.error < 0.01


def test_no_linear_network_repeats_on_cue_better_than_one_delay_of_five():
    """Of items of mean 0: 1 - 1 / D, as the task says."""
    task = CuedDelay(amplitude="signed")
    found = LinearCeiling().measure(subject_of(build(Elman, task), task)).scalars
    assert found["least_loss"] == pytest.approx(0.8, abs=3 * found["least_loss_error"] + 2e-3)
    assert found["possible"] is False


def test_a_delay_is_possible_for_a_linear_network():
    task = KDelay(delay=3, density=0.3)
    assert estimated_ceiling(subject_of(build(Elman, task), task), 1).loss < 1e-9


@pytest.mark.parametrize("delay", [1, 4, 9])
def test_of_a_delay_as_many_items_are_needed_as_its_law_says(delay):
    task = KDelay(delay=delay, density=0.3, steps=40)
    asked = subject_of(build(Elman, task), task)
    assert needed_span(required_memory(asked)) == delay + 1


def test_without_a_law_half_of_the_steps_are_asked_for_at_most_and_a_number_wins():
    asked = subject_of(build(Elman, CUED), CUED)  # seven steps, the item needed in all
    assert memory_span(asked, None) == 4
    assert memory_span(asked, 6) == 6


def test_where_nothing_tells_how_far_to_reach_the_number_is_to_be_set():
    class Mute(FlipFlop):
        name = "mute"

        def targets(self, inputs):
            return None

    with pytest.raises(NotApplicable, match="set the number of items"):
        memory_span(subject_of(build(Elman, FLIP), Mute()), None)


class Answers(RecurrentModel):
    """Outputs that are a function of all inputs: `answer` (B T I) -> (B T O)."""

    name, hidden = "answers_fake", 1

    def __init__(self, answer) -> None:
        super().__init__()
        self.answer = answer

    def step(self, state, inputs):
        raise NotImplementedError

    def read(self, state):
        raise NotImplementedError

    def trace(self, inputs, steps):
        return Trace(torch.zeros(len(inputs), steps, 1).double(), self.answer(inputs))


@pytest.mark.parametrize("task", [FLIP, CUED, RECALL], ids=lambda task: task.name)
def test_the_boundary_of_right_answers_is_the_task_s_own(task):
    right = answered_boundary(subject_of(Answers(task.targets), task))
    assert right.error < 1e-12
    assert right.linearity == right.task < 1
    silent = answered_boundary(subject_of(Answers(lambda u: 0 * task.targets(u)), task))
    assert silent.error == pytest.approx(1.0, abs=1e-12)
    other = answered_boundary(subject_of(Answers(lambda u: task.targets(u.roll(1, 0))), task))
    assert other.error > 0.95


@CASES
def test_the_loss_is_counted_from_silence(task, model):
    right = answered(subject_of(model(), task), 512)
    assert right.loss.value < 1e-12
    assert right.represented == task.channels.outputs
    silent = answered(subject_of(Answers(lambda u: 0 * task.targets(u)), task), 512)
    assert silent.loss.value == pytest.approx(1.0, abs=1e-12)
    assert silent.represented == 0


def test_codes_share_a_state_where_there_are_fewer_directions_than_items():
    """Four items in places of their own; and all on one line."""
    task = HistoryDependentSystem(rule="repeat", history=4, dimension=1)
    circuit = build(EmtCircuit, task, hidden=4).double()
    apart = sharing(subject_of(circuit, task))
    assert (apart.features, apart.directions) == (4, 4)
    assert apart.overlap < 0.01
    together = sharing(subject_of(untrained(task, 0.5, hidden=1), task))
    assert together.directions == 1
    assert together.overlap == pytest.approx(1.0, abs=0.05)


def test_a_gated_network_has_the_spectrum_of_its_jacobian():
    asked = subject_of(build(GatedRecurrentUnit, FLIP, hidden=8), FLIP)
    own, same = Spectrum().measure(asked), Spectrum(of="jacobian").measure(asked)
    assert own.scalars == same.scalars
    assert own.scalars["point_kind"] != "none"
    with pytest.raises(NotApplicable, match="of: auto"):
        Spectrum(of="recurrent").measure(asked)
