"""How codes move from one step to the next.

    slot      b_m(t+1) lies where b_m(t) lay: place by identity
    wave      b_m(t+1) lies where the code lay, at t, of the item that came one step earlier, and so
              had then the age that m has now: place by age
    rotation  b_m(t+1) = R b_m(t), one operator R for all items and times

Slot and wave are alignments of codes, counted from that of other pairs of items (0) to that of
equal places (1):

    alignment = sum (b . b')^2 / sum |b|^2 |b'|^2      (the mean squared cosine where lengths agree)

R is fitted on every other step and judged on the rest; the null, with the items shuffled, counts
as 0. A slot and the wave of a linear rule are operators, too (1, the rule), so a code is
called a rotation only where it is neither.

Where inputs come at every step, all networks that do not know the time code by age: a wave says
that an item is found by its age, and of a network's use of it nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emtkit import Stream
from emtkit_std._theory.facts import Array, Mask
from emtkit_std._theory.memory_map.codes import Coded
from emtkit_std._theory.memory_map.observed import Observed

REQUIRED = 0.5
"""Half-way between the null and an exact code."""
RIDGE = 1e-4
"""Penalty of R, as a share of the largest square singular value of the codes."""


@dataclass(frozen=True, eq=False)
class Moving:
    """The three indices, NaN where undefined, and R (r r) of all steps, None where there is none.

    R turns codes as rows: b(t+1) = b(t) R.
    """

    slot: float
    wave: float
    rotation: float
    operator: Array | None

    @property
    def mechanism(self) -> str:
        """Slot or wave, whichever is clearer, else rotation, else none."""
        index = {"slot": self.slot, "wave": self.wave}
        found = {name: value for name, value in index.items() if value >= REQUIRED}
        if found:
            return max(found, key=lambda name: found[name])
        return "rotation" if self.rotation >= REQUIRED else "none"


@dataclass(frozen=True, eq=False)
class _Step:
    """Codes of one time (n r) and of needed items at the next (m r), and which belong together.

    `stays` and `follows` (m n) mark the same item, and the one that came a step before it.
    """

    now: Array
    then: Array
    power: Array
    stays: Mask
    follows: Mask

    @property
    def both(self) -> tuple[Array, Array]:
        """Codes of the same items at both times."""
        later, earlier = np.nonzero(self.stays & (self.power > 0))
        return self.now[earlier], self.then[later]


def moving(seen: Observed, coded: Coded, stream: Stream) -> Moving:
    """Of the items that are needed; `stream` shuffles them for the null of the rotation."""
    steps = [
        _step(seen, coded, k)
        for k in range(len(seen.times) - 1)
        if seen.times[k + 1] == seen.times[k] + 1
    ]
    null = _alignment(steps, [~step.stays & ~step.follows for step in steps])
    if np.isnan(null):
        null = 1 / max(coded.directions, 1)
    there = [step.stays.any(1, keepdims=True) for step in steps]  # what has just come has not moved
    follows = [step.follows & old for step, old in zip(steps, there, strict=True)]
    pairs = [step.both for step in steps if len(step.both[0])]
    return Moving(
        _index(_alignment(steps, [step.stays for step in steps]), null),
        _index(_alignment(steps, follows), null),
        _rotation(pairs, stream) if coded.directions > 1 else float("nan"),
        _operator(pairs) if pairs else None,
    )


def _step(seen: Observed, coded: Coded, k: int) -> _Step:
    now, then = coded.codes[k], coded.codes[k + 1]
    old, new, before = list(now), seen.needed[k + 1], seen.before(k + 1)
    power = np.outer([then[m].power for m in new], [now[m].power for m in old])
    width = coded.directions
    return _Step(
        np.array([now[m].direction for m in old]).reshape(len(old), width),
        np.array([then[m].direction for m in new]).reshape(len(new), width),
        power,
        np.array([[m == one for one in old] for m in new]),
        np.array([[before.get(m) == one for one in old] for m in new]),
    )


def _alignment(steps: Sequence[_Step], chosen: Sequence[Mask]) -> float:
    """Of the chosen pairs; NaN where no code of one has any power."""
    square = whole = 0.0
    for step, pairs in zip(steps, chosen, strict=True):
        counted = pairs & (step.power > 0)
        square += float(np.square(step.then @ step.now.T)[counted].sum())
        whole += float(step.power[counted].sum())
    return square / whole if whole > 0 else float("nan")


def _index(value: float, null: float) -> float:
    return (value - null) / (1 - null) if null < 1 - 1e-6 else float("nan")


def _operator(steps: list[tuple[Array, Array]]) -> Array:
    now, then = (np.concatenate([step[side] for step in steps]) for side in (0, 1))
    square = now.T @ now
    penalty = RIDGE * max(float(np.linalg.norm(square, 2)), np.finfo(float).tiny)
    return np.asarray(np.linalg.solve(square + penalty * np.eye(len(square)), now.T @ then))


def _rotation(steps: list[tuple[Array, Array]], stream: Stream) -> float:
    """Share of unseen steps that one operator explains, counted from that of shuffled items."""
    if len(steps) < 4 or max(len(now) for now, _ in steps) < 2:
        return float("nan")
    orders = [stream.uniform((len(then),)).numpy().argsort() for _, then in steps]
    shuffled = [(now, then[order]) for (now, then), order in zip(steps, orders, strict=True)]
    null = max(0.0, _explained(shuffled))
    return _index(_explained(steps), null)


def _explained(steps: list[tuple[Array, Array]]) -> float:
    halves = steps[::2], steps[1::2]
    missed = whole = 0.0
    for fitted, judged in (halves, halves[::-1]):
        turn = _operator(fitted)
        missed += sum(float(np.square(then - now @ turn).sum()) for now, then in judged)
        whole += sum(float(np.square(then).sum()) for _, then in judged)
    return 1 - missed / whole if whole > 0 else float("nan")
