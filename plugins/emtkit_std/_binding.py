"""Selection rules, their operator Phi and everything that theory says of it, in closed form.

A history-dependent dynamical system continues x(t) = f(x(t-s), ..., x(t-1)) with a linear f.
Written on the flattened history (oldest first: block 1 = x(t-s), block s = x(t-1); N = s d),

    Phi[:N-d, d:] = I,   Phi[N-d:, :] = f        (N x N)

shifts the history by one step and appends f. A *selection* rule reads every output from one
coordinate of the history, up to a sign; exactly these rules keep {-1, 1} closed.

References: Episodic Memory Theory, arXiv:2310.02430, Eqs. 4, 6, 8 and Table 1. The mask of
Eq. 8 is taken with the core rank (rank of Phi^N), not with the matrix rank, which no mask of
the published size can reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

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

RANK_TOLERANCE = 1e-10


@dataclass(frozen=True)
class Cycle:
    """One cycle of the permutation of dimensions: its eigenvalues solve lambda^length = sign."""

    dimensions: tuple[int, ...]
    length: int
    sign: int


@dataclass(frozen=True)
class Selection:
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

    @property
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
    def core_rank(self) -> int:
        """Number of non-zero eigenvalues of Phi: the sum of all delays."""
        return sum(cycle.length for cycle in self.cycles)

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


@dataclass(frozen=True)
class Soundness:
    """Whether a rule can be posed on signs for ever; `reasons` finishes every 'no'."""

    keeps_signs: bool
    bounded: bool
    core_complete: bool
    reasons: tuple[str, ...]


def decode(table_id: Sequence[int], history: int, dimension: int) -> Selection:
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
    return Selection(history, dimension, tuple(source), sign)


def encode(selection: Selection) -> tuple[int, int, int]:
    """The published triple of a selection with distinct sources; the inverse of `decode`."""
    if len(set(selection.source)) != selection.dimension:
        raise ValueError(f"sources {selection.source} repeat; a triple needs distinct ones")
    rest = sorted(selection.source)
    b = 0
    for position, wanted in enumerate(selection.source):
        other = rest.index(wanted, position)
        b += (other - position) * selection.dimension**position
        rest[position], rest[other] = rest[other], rest[position]
    a = sum(1 << coordinate for coordinate in selection.source)
    c = sum(1 << i for i, sign in enumerate(selection.sign) if sign < 0)
    return a, b, c


def published(rule: str) -> Selection:
    """One of the rules of `PUBLISHED`, at its own size."""
    history, dimension, table_id = PUBLISHED[rule]
    return decode(table_id, history, dimension)


def repeat(history: int, dimension: int) -> Selection:
    """Repeat copy at any size (T1): every output reads its own dimension of the oldest variable."""
    return Selection(history, dimension, tuple(range(dimension)), (1,) * dimension)


def diagonal(history: int, dimension: int) -> Selection:
    """Compose copy at any size (T2): output i reads dimension i of variable i; needs d <= s."""
    if dimension > history:
        raise ValueError(
            f"the diagonal rule reads variable i for output i, so dimension ({dimension}) must "
            f"not exceed history ({history})"
        )
    source = tuple(i * dimension + i for i in range(dimension))
    return Selection(history, dimension, source, (1,) * dimension)


def random_signed(history: int, dimension: int, uniforms: Array) -> Selection:
    """A random signed permutation of the dimensions, each read at a random variable.

    `uniforms` (3, d) in [0, 1): ranks give the dimension read, then the variable, then the sign.
    """
    dims = np.argsort(uniforms[0], kind="stable")
    variables = np.floor(history * uniforms[1]).astype(int)
    sign = np.where(uniforms[2] < 0.5, -1, 1)
    source = tuple(int(v * dimension + j) for v, j in zip(variables, dims, strict=True))
    return Selection(history, dimension, source, tuple(int(x) for x in sign))


def fibonacci(history: int, dimension: int) -> Array:
    """The operator f (d, N) of x(t) = x(t-s) + ... + x(t-1): real values, diverges."""
    return np.tile(np.eye(dimension), (1, history))


def selection_of(f: ArrayLike, history: int) -> Selection | None:
    """The selection that the matrix f (d, N) writes down, or None when it is not one."""
    matrix = np.asarray(f, dtype=np.float64)
    nonzero = matrix != 0
    if not (nonzero.sum(axis=1) == 1).all() or not np.isin(matrix, (-1.0, 0.0, 1.0)).all():
        return None
    source = nonzero.argmax(axis=1)
    sign = matrix[np.arange(len(matrix)), source]
    return Selection(
        history, len(matrix), tuple(int(k) for k in source), tuple(int(x) for x in sign)
    )


def phi_of(f: ArrayLike, history: int) -> Array:
    """Phi (N, N) of an operator f (d, N): the shift by one variable with f as its last rows."""
    matrix = np.asarray(f, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != history * matrix.shape[0]:
        raise ValueError(
            f"an operator for history {history} must have {history} times as many columns as rows; "
            f"this one has shape {matrix.shape}"
        )
    dimension, size = matrix.shape
    phi = np.eye(size, k=dimension)
    phi[size - dimension :] = matrix
    return phi


def core(phi: Array) -> Array:
    """Phi on the range of Phi^N, in an orthonormal basis of it: only its non-zero eigenvalues.

    The range is reached by compressing one step at a time with a rank decision in each, so
    nilpotent chains of any length leave no eigenvalues of modulus eps^(1/length) behind.
    """
    basis = np.eye(len(phi))
    while basis.shape[1]:
        left, values, _ = np.linalg.svd(phi @ basis, full_matrices=False)
        keep = int((values > RANK_TOLERANCE * max(1.0, float(values[0]))).sum())
        if keep == basis.shape[1]:
            break
        basis = left[:, :keep]
    return basis.T @ phi @ basis


def core_rank(phi: Array) -> int:
    """Number of non-zero eigenvalues of Phi, the rank of Phi^N."""
    return len(core(phi))


def optimised_mask(phi: Array) -> Mask:
    """Which coordinates of the history the smallest exact circuit keeps (N,); Eq. 8.

    A coordinate stays when the core rank falls without it; where that leaves the wrong number,
    coordinates are deleted one at a time as long as the core rank holds.
    """
    rank = core_rank(phi)
    everything = np.ones(len(phi), dtype=bool)
    mask = np.array([core_rank(_without(phi, everything, i)) < rank for i in range(len(phi))])
    if mask.sum() == rank == core_rank(masked(phi, mask)):
        return mask
    mask = everything
    for i in range(len(phi)):
        if core_rank(_without(phi, mask, i)) == rank:
            mask[i] = False
    return mask


def is_core_complete(phi: Array, dimension: int, mask: Mask) -> bool:
    """Whether the masked coordinates alone, without loss, produce every output and themselves."""
    rank = core_rank(phi)
    closed = not phi[np.ix_(mask, ~mask)].any()
    produces_outputs = bool(mask[-dimension:].all())
    return produces_outputs and closed and int(mask.sum()) == rank == core_rank(masked(phi, mask))


def masked(phi: Array, mask: Mask) -> Array:
    """Phi restricted to the kept coordinates (m, m)."""
    return phi[np.ix_(mask, mask)]


def soundness(f: ArrayLike, history: int) -> Soundness:
    """Whether f (d, N) maps signs to signs, stays bounded, and has a complete core.

    Bounded means power-bounded: all core eigenvalues in the closed unit disk, those on the
    circle semisimple. |det| = 1 is not enough: Fibonacci has determinant -1 and grows.
    """
    matrix = np.asarray(f, dtype=np.float64)
    phi = phi_of(matrix, history)
    dimension = len(matrix)
    selection = selection_of(matrix, history)
    if selection is not None and selection.is_permutation:
        return Soundness(True, True, True, ())
    inner = core(phi)
    bounded = _is_power_bounded(inner)
    complete = is_core_complete(phi, dimension, optimised_mask(phi))
    reasons = []
    if selection is None:
        row = _first_row_leaving_signs(matrix)
        reasons.append(
            f"it leaves {{-1, 1}}: output {row + 1} is not plus or minus one coordinate of the "
            "history"
        )
    if not bounded:
        radius = float(abs(np.linalg.eigvals(inner)).max(initial=0.0))
        reasons.append(f"it diverges: the spectral radius of Phi is {radius:.6g}")
    if not complete:
        reasons.append(
            f"its core is incomplete: {len(inner)} non-zero eigenvalues do not carry all "
            f"{dimension} outputs (some dimension is never read, or twice)"
        )
    return Soundness(selection is not None, bounded, complete, tuple(reasons))


def continue_history(f: ArrayLike, start: Array, steps: int) -> Array:
    """The next `steps` terms (..., steps, d) of x(t) = f(x(t-s), ..., x(t-1)) from (..., s, d)."""
    matrix = np.asarray(f, dtype=np.float64)
    history = start.shape[-2]
    terms = [start[..., k, :] for k in range(history)]
    for _ in range(steps):
        window = np.concatenate(terms[-history:], axis=-1)
        terms.append(window @ matrix.T)
    return np.stack(terms[history:], axis=-2)


def toeplitz_gap(f: ArrayLike, history: int, outputs: int) -> float:
    """How far the rule is from what any linear network can do from a zero state.

    The weight of input u(k) in output s + r of a time-invariant linear network depends on r - k
    alone; the gap is the largest difference at equal r - k over the first `outputs` outputs.
    Zero means that W_uh = Psi_s from h(0) = 0 is exact, as for repeat copy.
    """
    matrix = np.asarray(f, dtype=np.float64)
    phi = phi_of(matrix, history)
    dimension = len(matrix)
    weights, power = [], np.eye(len(phi))
    for _ in range(outputs):
        power = phi @ power
        rows = power[-dimension:]
        weights.append(rows.reshape(dimension, history, dimension).transpose(1, 0, 2))
    response = np.stack(weights)
    return float(np.abs(response[1:, 1:] - response[:-1, :-1]).max())


def _roots_of_unity(cycle: Cycle) -> NDArray[np.complex128]:
    turn = 0.0 if cycle.sign > 0 else 0.5
    return np.exp(2j * np.pi * (np.arange(cycle.length) + turn) / cycle.length)


def _without(phi: Array, mask: Mask, coordinate: int) -> Array:
    kept = mask.copy()
    kept[coordinate] = False
    return masked(phi, kept)


def _first_row_leaving_signs(matrix: Array) -> int:
    single = (matrix != 0).sum(axis=1) == 1
    unit = np.isin(matrix, (-1.0, 0.0, 1.0)).all(axis=1)
    return int(np.argmin(single & unit))


def _is_power_bounded(inner: Array) -> bool:
    if not len(inner):
        return True
    if abs(np.linalg.eigvals(inner)).max() > 1 + 1e-7:
        return False
    # A Jordan block on the circle grows with the power itself, a semisimple one not at all.
    power, early = inner, 1.0
    for _ in range(10):
        early = max(early, float(np.linalg.norm(power, 2)))
        power = power @ power
    for _ in range(10):
        power = power @ power
    return float(np.linalg.norm(power, 2)) <= 10 * early
