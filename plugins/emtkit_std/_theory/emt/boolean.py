"""Rules of a history that are no matrix: every output is a Boolean function of a few entries.

Entries are signs; -1 counts as 0 and +1 as 1. Output i reads K coordinates of the flattened history
(oldest first) as a binary number, the first of them its highest digit, and looks it up:

    x_i(t) = truth[ sum_k 2^(K-1-k) [h_{reads(i, k)} = +1] ]

The rules are known from cellular automata and shift registers: Golomb (1967), Shift Register
Sequences; Marsaglia (2003), doi:10.18637/jss.v008.i14 (xorshift).
"""

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emtkit_std._theory.facts import Array

BooleanRule = Literal["parity", "majority", "xor_shift", "table"]
MOST_ENTRIES = 15


@dataclass(frozen=True)
class Lookup:
    """`reads` (d, K) coordinates of the flattened history, `truth` (2^K) signs."""

    reads: NDArray[np.int64]
    truth: NDArray[np.int64]

    def __call__(self, histories: Array) -> Array:
        """The next vectors (..., d) of flattened histories (..., s d)."""
        return np.asarray(self.continued(torch.from_numpy(histories)).numpy())

    def continued(self, windows: Tensor) -> Tensor:
        """The next vectors (B d) of flattened histories (B s d)."""
        digits = 1 << torch.arange(self.reads.shape[1] - 1, -1, -1, device=windows.device)
        reads = torch.from_numpy(self.reads).to(windows.device)
        truth = torch.from_numpy(self.truth).to(windows)
        return truth[((windows[:, reads] > 0) * digits).sum(-1)]


def lookup_of(
    rule: BooleanRule,
    history: int,
    dimension: int,
    reads: tuple[tuple[int, int], ...] | None,
    truth: tuple[int, ...] | None,
) -> Lookup:
    """A rule by name, or the given `table`; raises ValueError with the reason where there is none.

    `reads`: the variable (1 is the oldest) and how many dimensions past its own each output reads.
    """
    if (rule == "table") != (reads is not None) or (rule == "table") != (truth is not None):
        raise ValueError("`rule: table` takes `reads` and `truth`, and no other rule takes either")
    if rule == "majority":
        if history % 2 == 0 or history > MOST_ENTRIES:
            raise ValueError(
                f"a majority is that of an odd history of at most {MOST_ENTRIES}, not {history}"
            )
        places = tuple((variable, 0) for variable in range(1, history + 1))
        return _built(places, [int(np.sign(sum(one))) for one in _signs(history)], dimension)
    if rule in ("parity", "xor_shift"):
        if history == 1 and rule == "parity":
            raise ValueError("parity is that of the oldest and the newest vector; history is 1")
        if dimension == 1 and rule == "xor_shift":
            raise ValueError("xor_shift needs a neighbour; dimension is 1")
        places = ((1, 0), (history, int(rule == "xor_shift")))
        return _built(places, [prod(one) for one in _signs(2)], dimension)
    return _built(*_given(reads or (), truth or (), history), dimension)


def _given(
    reads: tuple[tuple[int, int], ...], truth: tuple[int, ...], history: int
) -> tuple[tuple[tuple[int, int], ...], list[int]]:
    if not 1 <= len(reads) <= MOST_ENTRIES:
        raise ValueError(f"`reads` names 1 to {MOST_ENTRIES} entries, not {len(reads)}")
    if any(not 1 <= variable <= history or offset < 0 for variable, offset in reads):
        raise ValueError(
            f"`reads` names variables from 1 to {history} and dimensions from 0 on, not {reads}"
        )
    if len(truth) != 2 ** len(reads):
        raise ValueError(
            f"`truth` has {len(truth)} signs; {len(reads)} entries take {2 ** len(reads)}"
        )
    return reads, list(truth)


def by_lookup(start: Tensor, rule: Lookup, horizon: int) -> Tensor:
    """Targets (B s+horizon d) of histories (B s d) that a rule continues, the first s zero."""
    window, terms = start.flatten(1), [torch.zeros_like(start)]
    for _ in range(horizon):
        following = rule.continued(window)
        terms.append(following[:, None])
        window = torch.cat([window[:, following.shape[1] :], following], 1)
    return torch.cat(terms, 1)


def _signs(entries: int) -> list[tuple[int, ...]]:
    """All of them in the order of a truth table."""
    return list(product((-1, 1), repeat=entries))


def _built(places: tuple[tuple[int, int], ...], truth: list[int], dimension: int) -> Lookup:
    reads = [
        [(variable - 1) * dimension + (own + offset) % dimension for variable, offset in places]
        for own in range(dimension)
    ]
    return Lookup(np.array(reads), np.array(truth))
