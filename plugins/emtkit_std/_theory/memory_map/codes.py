"""Where items are: the direction of each in the state, in coordinates that no basis can move.

States of all times, each centred at its own time, are whitened together, so that the codes of two
times can be compared; h -> A h turns and mirrors these coordinates and changes no angle. The code
of item m at time t is its row in the regression of whitened states on all needed items x:

    u_t = sum_m b_m(t) (x_m - mean) / std + rest

Its squared length is how much of the state varies with the item. By chance it is |rest|^2 / N: that
is taken off, and a code of less than CHANCES times as much is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emtkit_std._theory.facts import Array
from emtkit_std._theory.memory_map.held import FLOOR
from emtkit_std._theory.memory_map.observed import Observed
from emtkit_std._theory.svd import decompose

CHANCES = 4.0
ROWS_PER_ITEM = 8
"""Sequences for each item that came, for all of them to be told apart at once."""
TINY = 1e-8
"""Power that is rounding: states are of power 1 in every direction."""


@dataclass(frozen=True, eq=False)
class Code:
    """The `direction` b (r) of an item, and its `power`: |b|^2 less chance, 0 where it is none."""

    direction: Array
    power: float


Codes = Mapping[int, Code]
"""By the place of the item among all items."""


@dataclass(frozen=True, eq=False)
class Coded:
    """`codes` of each time, whitened states (N K r), and `back` (H r) to differences of states."""

    codes: Sequence[Codes]
    white: Array
    back: Array

    @property
    def directions(self) -> int:
        """How many directions states of all times fill."""
        return int(self.back.shape[1])


def encode(seen: Observed) -> Coded:
    """The codes of all items that came, or where they are too many of those that matter."""
    centred = seen.states - seen.states.mean(0)
    sequences, times, units = centred.shape
    found = decompose(np.asarray(np.linalg.qr(centred.reshape(-1, units), mode="r")))
    kept = found.values > FLOOR * max(float(found.values[0]), np.finfo(float).tiny)
    sizes, axes = found.values[kept] / np.sqrt(sequences * times), found.right[kept].T
    white = centred @ (axes / sizes)
    codes = [_codes(white[:, k], seen.values, _coded_items(seen, k)) for k in range(times)]
    return Coded(codes, white, axes * sizes)


def within(seen: Observed, coded: Coded, basis: Array) -> Coded:
    """The same of the part of the states that lies along an orthonormal `basis` (r k)."""
    white = coded.white @ basis
    items = [list(codes) for codes in coded.codes]
    codes = [_codes(white[:, k], seen.values, items[k]) for k in range(len(items))]
    return Coded(codes, white, coded.back @ basis)


def _coded_items(seen: Observed, k: int) -> list[int]:
    came = [m for m, item in enumerate(seen.memory.items) if item.step <= seen.times[k]]
    if len(came) * ROWS_PER_ITEM <= len(seen.states):
        return came
    near = set(seen.needed[k])  # and what is needed next, and what came a step before that
    if k + 1 < len(seen.times):
        near |= {*seen.needed[k + 1], *seen.before(k + 1).values()}
    return sorted(near.intersection(came))


def _codes(white: Array, values: Array, items: Sequence[int]) -> Codes:
    chosen = values[:, items] - values[:, items].mean(0)
    size = chosen.std(0)
    scaled = chosen / np.where(size > 0, size, 1.0)
    covariance = scaled.T @ scaled
    rows = np.linalg.lstsq(covariance, scaled.T @ white, rcond=1e-10)[0]
    rest = np.square(white - scaled @ rows).sum() / len(white)
    chance = rest / (len(white) - len(items))
    powers = np.square(rows).sum(1) - chance
    powers[powers < (CHANCES - 1) * chance + TINY] = 0.0
    return {m: Code(row, float(p)) for m, row, p in zip(items, rows, powers, strict=True)}
