"""Weights of a network by its units, what may be done to the units, and the best match of two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from emtkit import NotApplicable, SequenceModel, Subject
from emtkit_std._theory.facts import Array
from emtkit_std._theory.networks.recurrence import to_array
from emtkit_std._theory.observe import draw, in_double

NAMES = ("W_hh", "W_uh", "W_r")
SEQUENCES, SAME = 4, 1e-9
ROUNDS, STARTS = 100, 8
"""Assignments in a row at most, and random orders from which they begin."""


@dataclass(frozen=True, eq=False)
class Units:
    """Weights of H units in k blocks of rows (gates): a signed order of units may not matter.

    recurrent (k H H), inputs (k H I), readout (O H), biases (n H) with the blocks they belong to;
    `flips` (k): which blocks change sign with their unit, None where signs matter.
    """

    recurrent: Array
    inputs: Array
    readout: Array
    biases: Array
    flips: Array | None

    @property
    def size(self) -> float:
        """The sum of all squares."""
        parts = (self.recurrent, self.inputs, self.readout, self.biases)
        return float(sum(np.square(part).sum() for part in parts))

    def alone(self) -> Units:
        """The recurrent weights without the others."""
        rest = (0.0 * part for part in (self.inputs, self.readout, self.biases))
        return Units(self.recurrent, *rest, self.flips)

    def moved(self, order: Array, signs: Array) -> Units:
        """The network whose unit i is unit order[i] of this one, times signs[i]."""
        rows = self._row_signs(signs)
        recurrent = rows[..., None] * self.recurrent[:, order][:, :, order] * signs
        biases = self._bias_signs(signs) * self.biases[:, order]
        inputs = rows[..., None] * self.inputs[:, order]
        return Units(recurrent, inputs, signs * self.readout[:, order], biases, self.flips)

    def like(self, other: Units, order: Array, signs: Array) -> Array:
        """How well unit i fits unit j of `other` (2 H H), kept and flipped; the rest as given."""
        columns = other.recurrent[:, :, order] * signs
        rows = self._row_signs(signs)[..., None] * other.recurrent[:, order]
        by_block = np.einsum("gih,gjh->gij", self.recurrent, columns)
        by_block += np.einsum("gia,gja->gij", self.inputs, other.inputs)
        either = self.readout.T @ other.readout
        either = either + np.einsum("ghi,ghj->ij", self.recurrent, rows)
        found = []
        for sign in (1.0, -1.0):
            kept = self._row_signs(np.array([sign]))
            biases = (self._bias_signs(np.array([sign])) * self.biases).T @ other.biases
            found.append((kept[..., None] * by_block).sum(0) + sign * either + biases)
        return np.array(found)

    def _row_signs(self, signs: Array) -> Array:
        blocks = len(self.recurrent)
        flips = np.zeros(blocks, bool) if self.flips is None else self.flips
        return np.where(flips[:, None], signs, np.ones_like(signs))

    def _bias_signs(self, signs: Array) -> Array:
        """Those of the k blocks, and of biases beyond them, which belong to what is proposed."""
        beyond = np.tile(signs, (len(self.biases) - len(self.recurrent), 1))
        return np.concatenate([self._row_signs(signs), beyond])


def units_of(subject: Subject) -> Units:
    """The weights of a network, in an order and with signs that follow from them.

    That a signed order of units changes no answer is tried, for every choice of blocks that flip.

    Raises:
        NotApplicable: it has no W_hh, W_uh, W_r, or the order of its units matters.
    """
    model = in_double(subject.model)
    weights = model.state_dict()
    if missing := [name for name in NAMES if name not in weights]:
        raise NotApplicable(f"'{model.name}' has no {', '.join(missing)}: weights by unit")
    found = _read(weights)
    count = found.recurrent.shape[-1]
    rng = np.random.default_rng(0)
    order = rng.permutation(count)
    signs = np.where(np.arange(count) % 2, 1.0, -1.0)
    batch = draw(subject, SEQUENCES)
    told = batch.inputs[:, : batch.input_steps], batch.steps
    with torch.no_grad():
        answers = model.trace(*told).outputs
        for flips in _choices(len(found.recurrent)):
            tried = replace(found, flips=flips)
            moved = tried.moved(order, np.ones(count) if flips is None else signs)
            _write(model, moved)
            gap = (model.trace(*told).outputs - answers).abs().max()
            if float(gap) <= SAME * max(1.0, float(answers.abs().max())):
                return _in_order(tried)
    raise NotApplicable(f"the order of the units of '{model.name}' matters to what it answers")


def matched_distance(first: Units, second: Units) -> float:
    """min over signed orders of units |W_a - Q W_b| / sqrt(|W_a|^2 + |W_b|^2); as far as found.

    A quadratic assignment: what is found is above the minimum or at it. From the best match of what
    units have by themselves, and from random orders, all others are held while each unit finds its
    best partner and sign (an assignment), until nothing is gained. Both ways agree.
    """
    one, other = sorted((first, second), key=lambda units: tuple(units.recurrent.ravel()))
    total = one.size + other.size
    count = one.recurrent.shape[-1]
    rng = np.random.default_rng(0)
    signed = one.flips is not None
    starts = [_by_themselves(one, other), (np.arange(count), np.ones(count))]
    for _ in range(STARTS):
        signs = rng.choice([-1.0, 1.0], count) if signed else np.ones(count)
        starts.append((rng.permutation(count), signs))
    best = max(_climbed(one, other, *start) for start in starts)
    return float(np.sqrt(max(0.0, total - 2 * best) / total)) if total > 0 else 0.0


def _climbed(one: Units, other: Units, order: Array, signs: Array) -> float:
    """<W_a, Q W_b> where single assignments gain nothing any more."""
    best = _overlap(one, other.moved(order, signs))
    for _ in range(ROUNDS):
        order, signs = _assigned(one, one.like(other, order, signs))
        found = _overlap(one, other.moved(order, signs))
        if found <= best * (1 + SAME):
            break
        best = found
    return best


def _assigned(one: Units, fits: Array) -> tuple[Array, Array]:
    kept = fits[0] if one.flips is None else fits.max(0)
    rows, order = linear_sum_assignment(kept, maximize=True)
    flipped = (fits[1] > fits[0])[rows, order] & (one.flips is not None)
    return order, np.where(flipped, -1.0, 1.0)


def _by_themselves(one: Units, other: Units) -> tuple[Array, Array]:
    """The order by what needs no other unit: sorted sizes of weights; then signs by inputs."""
    apart = np.square(_own(one)[:, None] - _own(other)).sum(-1)
    order = linear_sum_assignment(apart)[1]
    fits = one.like(other, order, np.ones(len(order)))
    at = np.arange(len(order)), order
    flipped = (fits[1] > fits[0])[at] & (one.flips is not None)
    return order, np.where(flipped, -1.0, 1.0)


def _own(units: Units) -> Array:
    """Numbers of each unit (H n) that neither the order nor the signs of others change."""
    sizes = np.abs(units.recurrent)
    own = np.diagonal(units.recurrent, axis1=1, axis2=2)
    parts = [np.sort(part, -1) for part in (*sizes, *sizes.transpose(0, 2, 1))]
    others = [np.abs(part) for part in (*units.inputs, units.readout.T, units.biases.T, own.T)]
    return np.concatenate([*parts, *others], axis=-1)


def _overlap(one: Units, other: Units) -> float:
    pairs = zip(_parts(one), _parts(other), strict=True)
    return float(sum((mine * theirs).sum() for mine, theirs in pairs))


def _parts(units: Units) -> tuple[Array, ...]:
    return units.recurrent, units.inputs, units.readout, units.biases


def _in_order(units: Units) -> Units:
    """Units by how large their weights are; signs such that they add to the outputs."""
    order = np.argsort(_own(units).sum(-1), kind="stable")
    count = len(order)
    leads = units.readout.sum(0) if units.readout.any() else units.inputs.sum((0, 2))
    signs = np.where(leads < 0, -1.0, 1.0)[order] if units.flips is not None else np.ones(count)
    return units.moved(order, signs)


def _choices(blocks: int) -> Iterator[Array | None]:
    """Which blocks flip: all choices, the most first, then none at all."""
    choices = sorted(product([False, True], repeat=blocks), key=sum, reverse=True)
    yield from (np.array(choice) for choice in choices if any(choice))
    yield None


def _read(weights: dict[str, torch.Tensor]) -> Units:
    recurrent, inputs, readout = (to_array(weights[name]) for name in NAMES)
    count = recurrent.shape[1]
    biases = [to_array(weights[name]).reshape(-1, count) for name in _biases(weights, count)]
    if not biases or len(biases[0]) < len(recurrent) // count:
        biases = [np.zeros((len(recurrent) // count, count)), *biases]
    split = (part.reshape(-1, count, part.shape[-1]) for part in (recurrent, inputs))
    return Units(*split, readout, np.concatenate(biases), None)


def _biases(weights: dict[str, torch.Tensor], count: int) -> list[str]:
    names = [name for name in ("b", "b_n") if name in weights]
    return [name for name in names if weights[name].numel() % count == 0]


def _write(model: SequenceModel, units: Units) -> None:
    """The weights into a model of their shapes."""
    weights = model.state_dict()
    values = dict(zip(NAMES, _parts(units)[:3], strict=True))
    at = 0
    for name in _biases(weights, units.recurrent.shape[-1]):
        width = weights[name].numel() // units.recurrent.shape[-1]
        values[name] = units.biases[at : at + width]
        at += width
    for name, value in values.items():
        weights[name].copy_(torch.from_numpy(value).reshape(weights[name].shape))
