"""The linear law of a task that states none, estimated from its targets; and memories fitted to it.

What a state must hold after step t is what later answers depend on. So its variables are answers:
those after k = 1, 2, .. silent steps and one more input w of the kind that the task draws,

    z = { y_{t+k}(inputs up to t; silence; w) - mean },   each of them no sum of those before

(a set of predictions, as in realisation theory and predictive state representations). In silence
each is one step later the answer of an offset k + 1, and so a sum of them,

    z' = Phi z,

by least squares over sequences. For a rule of histories z is the history and Phi the given one; for
what is held until it is asked for, Phi = 1. t is the first step at which what must be carried to
the next is within a tenth of the most.

The network, after the same inputs, has states h, and F(h) a silent step later. A reading of z,
fitted to one half of the sequences, is judged on the other:

    z ~ D (h - mean),    Psi = regression of h on z,    Phi_hat = regression of D (F(h) - mean) on z

D is ridge regression on whitened states: what is not held is read as its mean, Phi_hat is 0 where
nothing is kept and Phi where it is held, and moved as the task asks. h -> A h changes neither the
reading nor Phi_hat. Answers to two inputs in turn
are not among the variables: of several items asked for one after the other the first is.

References: Ho and Kalman (1966), doi:10.1524/auto.1966.14.112.545; Littman, Sutton and Singh (NIPS
2001) for predictions as states; Episodic Memory Theory, arXiv:2310.02430, for Phi and Psi.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emtkit import NotApplicable, RecurrentModel, ScalarInfo, Subject, Task
from emtkit_std._theory.emt.binding import core_rank
from emtkit_std._theory.facts import Array, LinearHistoryLaw
from emtkit_std._theory.memory_map.held import PENALTIES, whitened
from emtkit_std._theory.memory_map.observed import FOLDS
from emtkit_std._theory.networks.recurrence import to_array
from emtkit_std._theory.observe import LARGEST, draw
from emtkit_std._theory.required_memory import RequiredMemory, required_memory

LAW = ScalarInfo("whether the rule is stated by the task, or estimated from its targets")
SEQUENCES = 1024
MOST_PROBES = 16
MOST_OFFSETS = 16
MOST_VARIABLES = 64
INDEPENDENT = 1e-6
"""Variance, as a share of its own, that an answer must have beside all others to be a variable."""
CARRIED = 0.9
"""Share of the most that is ever to be carried over a step, from which on a step is looked at."""


@dataclass(frozen=True, eq=False)
class EstimatedLaw:
    """Variables `values` (N m), centred, of a state after step `time`, and how silence moves them.

    `phi` (m m): z' = phi z; `later` (N m) is z'; `missed` the share of z' that phi leaves; `drift`
    (m) is how far their means move. `inputs` (N time+1 I).
    """

    time: int
    inputs: Tensor
    values: Array
    later: Array
    phi: Array
    missed: float
    drift: Array

    @property
    def spectrum(self) -> NDArray[np.complex128]:
        """The eigenvalues of phi that are not 0."""
        values = np.linalg.eigvals(self.phi).astype(np.complex128)
        return values[np.argsort(-abs(values))][: core_rank(self.phi)]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A network's fitted memories: `basis` Psi (H m), `dual` D (m H), `phi` Phi_hat (m m).

    Of the half that is judged: `states` and `moved` (N' H), each less its mean, and `values` and
    `later` (N' m).
    """

    basis: Array
    dual: Array
    phi: Array
    states: Array
    moved: Array
    values: Array
    later: Array

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the signs of variables are read as they are (2 N' m), here and a step later."""
        read = np.stack([self.states @ self.dual.T, self.moved @ self.dual.T])
        return (read >= 0) == (np.stack([self.values, self.later]) >= 0)

    @property
    def core_defect(self) -> float:
        """Mean |Psi Phi_hat D h - F(h)| / |F(h)|: 0 if the memories alone move all; NaN at rest."""
        alone = self.states @ self.dual.T @ self.phi.T @ self.basis.T
        sizes = np.linalg.norm(self.moved, axis=1)
        if not sizes.all():
            return float("nan")
        return float((np.linalg.norm(alone - self.moved, axis=1) / sizes).mean())

    def error(self, phi: Array) -> float:
        """|Phi_hat - Phi|_F / |Phi|_F of the rule Phi."""
        whole = float(np.linalg.norm(phi))
        return float(np.linalg.norm(self.phi - phi)) / whole if whole > 0 else float("nan")


def own_law(subject: Subject) -> bool:
    """Whether the task states a linear law of history itself."""
    return LinearHistoryLaw in subject.task.offers


def estimated_law(subject: Subject, sequences: int = SEQUENCES) -> EstimatedLaw:
    """The law of the subject's task, on `sequences` sequences.

    Raises:
        NotApplicable: it does not say its targets, or no later answer depends on what was.
    """
    task, memory = subject.task, required_memory(subject)
    batch = draw(subject, sequences)
    if task.targets(batch.inputs[:1]) is None:
        raise NotApplicable(
            f"'{task.name}' has no linear law, and none can be estimated, as it does not say its "
            "targets for other inputs; write `targets(inputs)` in the task, or offer the fact "
            "LinearHistoryLaw"
        )
    steps = min(batch.steps, len(memory.weight))
    time = _time(memory, steps)
    probes = _probes(batch.inputs[:, time + 1 :])
    chosen, answers = _variables(task, batch.inputs, time, probes)
    if not chosen:
        raise NotApplicable(
            f"no answer of '{task.name}' to one input after step {time} depends on the inputs up "
            "to it, so there are no variables of which a law could be estimated; use `memory_map`"
        )
    raw, moved = (_taken(answers, chosen, more) for more in (0, 1))
    values, later = raw - raw.mean(0), moved - moved.mean(0)
    turned = np.linalg.lstsq(values, later, rcond=None)[0]
    whole = np.square(later).sum()
    missed = float(np.square(later - values @ turned).sum() / whole) if whole > 0 else 0.0
    return EstimatedLaw(
        time,
        batch.inputs[:, : time + 1],
        values,
        later,
        np.asarray(turned.T),
        missed,
        moved.mean(0) - raw.mean(0),
    )


@dataclass(frozen=True, eq=False)
class Silent:
    """States (N H) after the inputs of an estimated law, and a silent step later."""

    states: Array
    moved: Array


def silent_step(model: RecurrentModel, law: EstimatedLaw) -> Silent:
    """What a network (in float64) does with the inputs of the law.

    Raises:
        NotApplicable: its states overflow, or are the same for all sequences.
    """
    driven = law.inputs
    with torch.no_grad():
        here = model.trace(driven, driven.shape[1]).states[:, -1]
        after = model.step(here, torch.zeros_like(driven[:, 0]))
    states, moved = to_array(here), to_array(after)
    if not (np.abs(states).max() < LARGEST and np.abs(moved).max() < LARGEST):
        raise NotApplicable(
            f"the states of '{model.name}' are not below {LARGEST:g}; train it with a smaller "
            "learning rate, or start from a smaller gain"
        )
    if not np.ptp(states, axis=0).any():
        raise NotApplicable(
            f"the states of '{model.name}' are the same for all sequences, so nothing is held; "
            "train it, or use an architecture that receives inputs"
        )
    return Silent(states, moved)


def fit(seen: Silent, law: EstimatedLaw) -> Fitted:
    """The memories in states that hold the variables of the law.

    Raises:
        NotApplicable: the states fill too many directions for the sequences.
    """
    first = np.arange(len(seen.states)) < len(seen.states) // 2
    states, moved, values, later = (
        each - each[first].mean(0) for each in (seen.states, seen.moved, law.values, law.later)
    )
    dual = _reading(states[first], values[first]).T
    basis = np.linalg.lstsq(values[first], states[first], rcond=None)[0].T
    judged = [each[~first] for each in (states, moved, values, later)]
    phi = np.linalg.lstsq(judged[2], judged[1] @ dual.T, rcond=None)[0].T
    return Fitted(np.asarray(basis), dual, np.asarray(phi), *judged)


def _reading(states: Array, values: Array) -> Array:
    """Ridge regression (H m) of values on whitened states, with penalties as in `held`."""
    white = whitened(states)  # refuses too few sequences
    into = np.linalg.lstsq(states, white, rcond=None)[0]
    parts = np.arange(len(states)) % FOLDS
    missed = np.zeros((len(PENALTIES), values.shape[1]))
    shrunk = 1 / (1 + np.array(PENALTIES))[:, None]
    for out in (parts == part for part in range(FOLDS)):
        guess = white[out] @ np.linalg.lstsq(white[~out], values[~out], rcond=None)[0]
        missed += [np.square(values[out] - share * guess).sum(0) for share in shrunk]
    return np.asarray(into @ (white.T @ values / len(white)) * shrunk[missed.argmin(0), 0])


def _time(memory: RequiredMemory, steps: int) -> int:
    """The first step after which almost as much must be carried on as ever."""
    came = np.array([item.step for item in memory.items])
    carried = [memory.weight[t + 1, came <= t].sum() for t in range(steps - 2)]
    if not carried or max(carried) <= 0:
        raise NotApplicable(
            "no item must be carried from one step to the next with two steps left to answer in; "
            "raise the steps of the task, or use `memory_map`"
        )
    return int(np.argmax(np.array(carried) >= CARRIED * max(carried)))


def _probes(later: Tensor) -> Tensor:
    """Silence, and the kinds of input that come later (P I)."""
    kinds = torch.unique(later.flatten(0, 1), dim=0)
    kinds = kinds[kinds.any(1)][:MOST_PROBES]
    return torch.cat([torch.zeros_like(later[0, :1]), kinds])


def _answers(task: Task, inputs: Tensor, time: int, probes: Tensor, offset: int) -> Array:
    """Answers to every probe after an offset (N, P O)."""
    each = []
    for probe in probes:
        asked = inputs.clone()
        asked[:, time + 1 :] = 0.0
        asked[:, time + offset] = probe
        told = task.targets(asked)
        assert told is not None
        each.append(to_array(told[:, time + offset]))
    return np.concatenate(each, 1)


def _variables(
    task: Task, inputs: Tensor, time: int, probes: Tensor
) -> tuple[list[tuple[int, int]], list[Array]]:
    """Places (offset, answer) of variables, each beside all earlier ones; answers by offset.

    The first offset without a new one is the last that is looked at: what becomes of the rest is
    known by it.
    """
    chosen: list[tuple[int, int]] = []
    kept = np.zeros((len(inputs), 0))
    answers = [_answers(task, inputs, time, probes, 1)]
    for offset in range(min(MOST_OFFSETS, inputs.shape[1] - time - 2)):
        answers.append(_answers(task, inputs, time, probes, offset + 2))
        before = len(chosen)
        centred = answers[offset] - answers[offset].mean(0)
        for place, value in enumerate(centred.T):
            size = float(value @ value)
            rest = value - kept @ (kept.T @ value)
            rest = rest - kept @ (kept.T @ rest)
            if size <= len(value) * INDEPENDENT**2 or rest @ rest <= INDEPENDENT * size:
                continue
            kept = np.column_stack([kept, rest / np.linalg.norm(rest)])
            chosen.append((offset, place))
        if len(chosen) > MOST_VARIABLES:
            raise NotApplicable(
                f"later answers of '{task.name}' depend on more than {MOST_VARIABLES} variables; "
                "use `memory_map`, or make the task smaller"
            )
        if len(chosen) == before and chosen:
            break
    return chosen, answers


def _taken(answers: list[Array], chosen: list[tuple[int, int]], more: int) -> Array:
    return np.stack([answers[offset + more][:, place] for offset, place in chosen], 1)
