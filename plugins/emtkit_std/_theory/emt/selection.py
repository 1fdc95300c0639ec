"""Selection rules: every output reads one coordinate of the history, up to a sign.

Exactly these linear rules keep {-1, 1} closed. Where every dimension is read once, cycles of
the permutation of dimensions give spectrum, core rank, mask and period in closed form.

References: Episodic Memory Theory, arXiv:2310.02430, Table 1 (the rules are published as integer
triples there, the spectra are derived here).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import lcm

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emtkit_std._theory.facts import Array, Mask

DIAGONAL_8 = 0x8040201008040201
PUBLISHED: dict[str, tuple[int, int, tuple[int, int, int]]] = {
    "T1": (8, 8, (255, 0, 0)),
    "T2": (8, 8, (DIAGONAL_8, 0, 0)),
    "T3": (8, 8, (DIAGONAL_8, 262676, 189)),
    "T4": (8, 8, (DIAGONAL_8, 38637, 145)),
    "waves_t3": (4, 4, (2565, 4, 4)),
    "waves_t4": (4, 4, (10260, 0, 10)),
}
"""Rules known by a published integer triple: history, dimension, (a, b, c)."""


@dataclass(frozen=True)
class Cycle:
    """One cycle of the permutation of dimensions: its eigenvalues solve lambda^length = sign."""

    dimensions: tuple[int, ...]
    length: int
    sign: int


@dataclass(frozen=True)
class ModeSelection:
    """Output i is `sign[i]` times coordinate `source[i]` (from 0) of the flattened history."""

    history: int
    dimension: int
    source: tuple[int, ...]
    sign: tuple[int, ...]

    @property
    def variables(self) -> tuple[int, ...]:
        """Which variable (1 = oldest, s = newest) each output reads."""
        return tuple(coordinate // self.dimension + 1 for coordinate in self.source)

    @property
    def dimensions(self) -> tuple[int, ...]:
        """Which dimension (from 0) each output reads."""
        return tuple(coordinate % self.dimension for coordinate in self.source)

    @property
    def delays(self) -> tuple[int, ...]:
        """L_i = s + 1 - variable: how many steps back each output reads."""
        return tuple(self.history + 1 - variable for variable in self.variables)

    @property
    def operator(self) -> Array:
        """The matrix f (d, N)."""
        f = np.zeros((self.dimension, self.history * self.dimension))
        f[np.arange(self.dimension), self.source] = self.sign
        return f

    @property
    def is_permutation(self) -> bool:
        """Whether every dimension is read exactly once; the closed forms hold only then."""
        return sorted(self.dimensions) == list(range(self.dimension))

    @cached_property
    def cycles(self) -> tuple[Cycle, ...]:
        """The cycles of dimension -> dimension it reads, with summed delay and product of signs."""
        if not self.is_permutation:
            raise ValueError(
                f"this rule reads dimensions {self.dimensions} (from 0), so some are read twice "
                "and others never; cycles and closed forms need each read exactly once"
            )
        found: list[Cycle] = []
        left = set(range(self.dimension))
        while left:
            members = [min(left)]
            while (following := self.dimensions[members[-1]]) != members[0]:
                members.append(following)
            left -= set(members)
            length = sum(self.delays[i] for i in members)
            sign = int(np.prod([self.sign[i] for i in members]))
            found.append(Cycle(tuple(members), length, sign))
        return tuple(found)

    @property
    def spectrum(self) -> NDArray[np.complex128]:
        """Non-zero eigenvalues of Phi: the roots of lambda^L_C = p_C, over all cycles C."""
        return np.concatenate([_roots_of_unity(cycle) for cycle in self.cycles])

    @property
    def mask(self) -> Mask:
        """The optimised mask (N,): dimension j stays from the variable in which it is read."""
        if not self.is_permutation:
            raise ValueError("the closed form of the mask needs every dimension read exactly once")
        first = dict(zip(self.dimensions, self.variables, strict=True))
        return np.array(
            [k >= first[j] for k in range(1, self.history + 1) for j in range(self.dimension)]
        )

    @property
    def period(self) -> int:
        """Smallest p with Phi^p = I on the core: lcm of L_C (sign +) and 2 L_C (sign -)."""
        return lcm(*(c.length if c.sign > 0 else 2 * c.length for c in self.cycles))


def decode(table_id: Sequence[int], history: int, dimension: int) -> ModeSelection:
    """The rule behind a published triple (a, b, c).

    a: bit mask over the N coordinates with d ones, whose ascending positions are the sources;
    b: base-d digits, least significant first, digit g at i swaps sources i and i + g (g < d - i);
    c: bit i makes output i negative. Raises ValueError when the triple is not of that form.
    """
    if len(table_id) != 3 or min(table_id) < 0:
        raise ValueError(f"table_id must be three whole numbers [a, b, c] >= 0, not {table_id}")
    a, b, c = table_id
    size = history * dimension
    source = [coordinate for coordinate in range(size) if a >> coordinate & 1]
    if a >> size or len(source) != dimension:
        raise ValueError(
            f"a = {a} selects {a.bit_count()} of the coordinates; with history {history} and "
            f"dimension {dimension} it must set exactly {dimension} of its lowest {size} bits"
        )
    if c >> dimension:
        raise ValueError(f"c = {c} has sign bits beyond output {dimension}; it must be below 2^d")
    for position in range(dimension):
        b, swap = divmod(b, dimension) if dimension > 1 else (b, 0)
        if swap >= dimension - position:
            raise ValueError(
                f"digit {position} of b = {table_id[1]} in base {dimension} is {swap}; "
                f"it must be below {dimension - position}"
            )
        other = position + swap
        source[position], source[other] = source[other], source[position]
    if b:
        raise ValueError(f"b = {table_id[1]} has more than {dimension} digits in base {dimension}")
    sign = tuple(-1 if c >> i & 1 else 1 for i in range(dimension))
    return ModeSelection(history, dimension, tuple(source), sign)


def published(rule: str) -> ModeSelection:
    """One of the rules of `PUBLISHED`, at its own size."""
    history, dimension, table_id = PUBLISHED[rule]
    return decode(table_id, history, dimension)


def repeat(history: int, dimension: int) -> ModeSelection:
    """Repeat copy at any size (T1): every output reads its own dimension of the oldest variable."""
    return ModeSelection(history, dimension, tuple(range(dimension)), (1,) * dimension)


def diagonal(history: int, dimension: int) -> ModeSelection:
    """Compose copy at any size (T2): output i reads dimension i of variable i; needs d <= s."""
    if dimension > history:
        raise ValueError(
            f"the diagonal rule reads variable i for output i, so dimension ({dimension}) must "
            f"not exceed history ({history})"
        )
    source = tuple(i * dimension + i for i in range(dimension))
    return ModeSelection(history, dimension, source, (1,) * dimension)


def random_signed(history: int, dimension: int, uniforms: Array) -> ModeSelection:
    """A random signed permutation of the dimensions, each read at a random variable.

    `uniforms` (3, d) in [0, 1): ranks give the dimension read, then the variable, then the sign.
    """
    dims = np.argsort(uniforms[0], kind="stable")
    variables = np.floor(history * uniforms[1]).astype(int)
    sign = np.where(uniforms[2] < 0.5, -1, 1)
    source = tuple(int(v * dimension + j) for v, j in zip(variables, dims, strict=True))
    return ModeSelection(history, dimension, source, tuple(int(x) for x in sign))


def selection_of(f: ArrayLike, history: int) -> ModeSelection | None:
    """The selection that the matrix f (d, N) writes down, or None when it is not one."""
    matrix = np.asarray(f, dtype=np.float64)
    nonzero = matrix != 0
    if not (nonzero.sum(axis=1) == 1).all() or not np.isin(matrix, (-1.0, 0.0, 1.0)).all():
        return None
    source = nonzero.argmax(axis=1)
    sign = matrix[np.arange(len(matrix)), source]
    return ModeSelection(
        history, len(matrix), tuple(int(k) for k in source), tuple(int(x) for x in sign)
    )


@lru_cache(maxsize=256)
def _roots_of_unity(cycle: Cycle) -> NDArray[np.complex128]:
    turn = 0.0 if cycle.sign > 0 else 0.5
    return np.exp(2j * np.pi * (np.arange(cycle.length) + turn) / cycle.length)
