"""Whether what is held is used: one item of a state is exchanged, and the answers are looked at.

In the state of a sequence item m gets the value that it has in another sequence,

    h' = h + b_m (x'_m - x_m) / std,

with the code b_m of the item beside all others, and then the network goes on by itself. Where the
other value asks for other targets z' in the place of z, the answers should change from y to y' as
these do:

    used = 1 - sum |(y' - y) - (z' - z)|^2 / sum |z' - z|^2

1 where all answers follow, 0 where none moves, below where they move elsewhere. (The share of
answers that are nearer to z' than to z is a coin's for a network that guesses: few outputs of
untrained ones scored .2.) The null moves the state as far, in whitened coordinates, towards
other states, DRAWS for each item or more; in a state of one direction that is the same exchange.
Interference is what happens to the answers that should stay: their mean squared change over that of
the answers that should not.

Of a network that looks at a context (`ContextModel`) the state is that: all tokens that step t
looks at, side by side. So the item is exchanged at its own place, and wherever the network has said
it since; answers before t stay. A context holds every input, and says nothing of memory by itself:
what is asked is whether the network finds the item there. One that answers with the mean of n
tokens moves by 1/n of what is asked, and has 1 - (1 - 1/n)^2.

The component is moved by the difference that the item makes, not projected out: more items than
directions have no projections onto one beside all others, and this needs none.

References: Geiger, Lu, Icard and Potts (NeurIPS 2021), arXiv:2106.02997, interchange interventions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from emtkit import RecurrentModel, Subject
from emtkit_std._theory.facts import Array, Mask
from emtkit_std._theory.memory_map.codes import Coded, Codes, encode
from emtkit_std._theory.memory_map.continued import continued
from emtkit_std._theory.memory_map.observed import Observed
from emtkit_std._theory.networks.context import ContextModel
from emtkit_std._theory.networks.recurrence import to_array
from emtkit_std._theory.observe import in_double
from emtkit_std._theory.standard_error import Ratio

SEQUENCES = 64
MOST_ITEMS = 12
DRAWS = 2
TIMES = (1 / 3, 2 / 3)
MOST_STEPS = 32
LEAST_CHANGE = 1e-9
"""Squared change of a target, as a share of its mean square, below which it stays."""
LEAST_EFFECT = 1e-2
"""Squared change of the answers, as a share of what is asked, below which nothing was exchanged."""


@dataclass(frozen=True, eq=False)
class Used:
    """What follows of the answers, by its `missed` part, that of the `null`, and `interference`."""

    missed: Ratio
    null: Ratio
    interference: Ratio


@dataclass(frozen=True, eq=False)
class _Exchange:
    """Of one time: outputs and targets before (`base`, `old`, N T' O) and after (J N T' O).

    `random` (D J N T' O) are the outputs of the null; `scored` (N T').
    """

    outputs: Array
    random: Array
    base: Array
    old: Array
    new: Array
    scored: Array

    @property
    def follows(self) -> Mask:
        """Which scored answers should change."""
        asked = np.square(self.new - self.old)
        return (asked > LEAST_CHANGE * np.square(self.old).mean()) & (self.scored > 0)[..., None]

    @property
    def stays(self) -> Mask:
        """Which should not."""
        return ~self.follows & (self.scored > 0)[..., None]


@dataclass(frozen=True, eq=False)
class _State:
    """Where items of one time are exchanged: `rows` (N H), their `codes` and whitened form (N r).

    `back` (H r) leads from whitened coordinates to differences of rows; `go_on` from changed rows
    (J H) of the sequences in turn, J a multiple of their number, to the outputs (J T' O) from
    this time on.
    """

    rows: Array
    codes: Codes
    white: Array
    back: Array
    go_on: Callable[[Tensor, Tensor], Tensor]


def used(subject: Subject, seen: Observed, coded: Coded) -> Used | str:
    """What follows from exchanging needed items, or why nothing can be exchanged."""
    if not isinstance(subject.model, RecurrentModel | ContextModel):
        return (
            f"'{subject.model.name}' is no recurrent map and shows no context: nothing can be put "
            "into its state"
        )
    if subject.task.targets(seen.batch.inputs[:1]) is None:
        return f"'{subject.task.name}' does not say its targets for other inputs (`targets`)"
    model = in_double(subject.model)
    places = {round(share * (len(seen.times) - 1)) for share in TIMES}
    found = []
    for k in sorted(places):
        if isinstance(model, ContextModel):
            state = _context(model, seen, k)
        else:
            assert isinstance(model, RecurrentModel)
            state = _recurrent(model, seen, coded, k)
        found.append(_exchange(subject, seen, state, k))
    return Used(
        _missed([(one, one.outputs) for one in found]),
        _missed([(one, one.random) for one in found]),
        _interference(found),
    )


def _recurrent(model: RecurrentModel, seen: Observed, coded: Coded, k: int) -> _State:
    def go_on(state: Tensor, inputs: Tensor) -> Tensor:
        return continued(model, state, inputs, seen.times[k], _end(seen, k))

    return _State(seen.states[:, k], coded.codes[k], coded.white[:, k], coded.back, go_on)


def _context(model: ContextModel, seen: Observed, k: int) -> _State:
    time, driven = seen.times[k], seen.batch.input_steps
    outputs = torch.from_numpy(seen.outputs)
    context = model.context(seen.batch.inputs[:, :driven], outputs, time)
    rows = to_array(context.flatten(1))
    there = replace(seen, times=[time], states=rows[:, None], needed=[seen.needed[k]])
    coded = encode(there)

    def go_on(changed: Tensor, inputs: Tensor) -> Tensor:
        tokens = changed.view(-1, *context.shape[1:])
        return model.answers(tokens, inputs[:, :driven], time, _end(seen, k))

    return _State(rows, coded.codes[0], coded.white[:, 0], coded.back, go_on)


def _end(seen: Observed, k: int) -> int:
    return min(seen.batch.steps, seen.times[k] + 1 + MOST_STEPS)


def _exchange(subject: Subject, seen: Observed, state: _State, k: int) -> _Exchange:
    count, needed = min(SEQUENCES, len(state.rows)), seen.needed[k]
    items = [needed[i] for i in _spread(len(needed))]
    inputs = seen.batch.inputs[:count]
    swapped = inputs.repeat(len(items), 1, 1, 1)
    draws = max(DRAWS, MOST_ITEMS // len(items))
    moved = np.zeros((1 + draws, len(items), count, state.rows.shape[1]))
    one = np.arange(draws * len(items)).reshape(draws, -1) % len(state.rows)
    apart = state.white[one] - state.white[one - len(state.rows) // 2]
    for row, m in enumerate(items):
        item, code = seen.memory.items[m], state.codes[m].direction
        other = np.roll(seen.values[:count, m], 1)
        swapped[row, :, item.step, item.channel] = torch.from_numpy(other)
        change = (other - seen.values[:count, m]) / max(float(seen.values[:, m].std()), 1e-300)
        lengths = np.linalg.norm(apart[:, row], axis=1, keepdims=True)
        away = apart[:, row] * np.linalg.norm(code) / np.where(lengths > 0, lengths, np.inf)
        directions = np.vstack([code, away]) @ state.back.T
        moved[:, row] = change[:, None] * directions[:, None]
    rows = torch.from_numpy(state.rows[:count] + moved).flatten(0, 2)
    times = (1 + draws) * len(items)
    outputs = to_array(state.go_on(rows, inputs.repeat(times, 1, 1)))
    outputs = outputs.reshape(1 + draws, len(items), count, *outputs.shape[1:])
    new = subject.task.targets(swapped.flatten(0, 1))
    assert new is not None
    shown = slice(seen.times[k], _end(seen, k))
    return _Exchange(
        outputs[0],
        outputs[1:],
        seen.outputs[:count, shown],
        seen.batch.targets[:count, shown].numpy(),
        new.view(len(items), count, *new.shape[1:])[:, :, shown].numpy(),
        seen.batch.mask.expand(seen.batch.inputs.shape[:2])[:count, shown].numpy(),
    )


def _spread(count: int) -> list[int]:
    return sorted({*np.linspace(0, count - 1, min(count, MOST_ITEMS)).round().astype(int).tolist()})


def _missed(found: list[tuple[_Exchange, Array]]) -> Ratio:
    """What the answers lack of the change that is asked for, where one is, by sequence."""
    sums = np.zeros((2, len(found[0][0].base)))
    for one, outputs in found:
        asked, follows = one.new - one.old, one.follows
        missed = np.square(outputs - one.base - asked) * follows
        sums[0] += missed.reshape(-1, *asked.shape).mean(0).sum((0, 2, 3))
        sums[1] += (np.square(asked) * follows).sum((0, 2, 3))
    return Ratio(*sums)


def _interference(found: list[_Exchange]) -> Ratio:
    sums = np.zeros((2, found[0].base.shape[0]))
    counts, asked = np.zeros(2), 0.0
    for one in found:
        effect = np.square(one.outputs - one.base)
        for kind, chosen in enumerate((one.stays, one.follows)):
            sums[kind] += (effect * chosen).sum((0, 2, 3))
            counts[kind] += chosen.sum()
        asked += np.square((one.new - one.old) * one.follows).sum()
    if not counts.all() or sums[1].sum() < LEAST_EFFECT * asked:
        return Ratio(sums[0], np.zeros_like(sums[1]))
    sums /= counts[:, None]
    return Ratio(*sums)
