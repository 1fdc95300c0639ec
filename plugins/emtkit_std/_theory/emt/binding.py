"""The rules of task `hds` by name; the operator Phi of a rule, its core, and whether it is sound.

A history-dependent dynamical system continues x(t) = f(x(t-s), ..., x(t-1)) with a linear f.
Written on the flattened history (oldest first: block 1 = x(t-s), block s = x(t-1); N = s d),

    Phi[:N-d, d:] = I,   Phi[N-d:, :] = f        (N x N)

shifts the history by one step and appends f.

References: Episodic Memory Theory, arXiv:2310.02430, Eqs. 4, 6, 8. The mask of Eq. 8 is taken
with the core rank (rank of Phi^N), not with the matrix rank, which no mask of the published
size can reach.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike

from emtkit import Stream
from emtkit_std._theory.emt import selection as selections
from emtkit_std._theory.facts import Array, Mask

Table = Literal["T1", "T2", "T3", "T4"]
Waves = Literal["waves_t3", "waves_t4"]
Rule = Literal[Table, "repeat", "diagonal", "signed", "fibonacci", "custom", Waves]
RANK_TOLERANCE = 1e-10


def operator_of(
    rule: Rule,
    history: int,
    dimension: int,
    table_id: tuple[int, int, int] | None,
    rows: tuple[tuple[float, ...], ...] | None,
    seed: int,
) -> Array:
    """The matrix f (d, s d) of a rule; raises ValueError with the reason where there is none."""
    given = (table_id is not None) + (rows is not None)
    if given != (1 if rule == "custom" else 0):
        raise ValueError(
            "`rule: custom` takes exactly one of `table_id` and `operator`, and no other rule "
            "takes either"
        )
    if rule in selections.PUBLISHED:
        s, d, _ = selections.PUBLISHED[rule]
        if (history, dimension) != (s, d):
            raise ValueError(
                f"it is published only for history {s} and dimension {d}, not {history} and "
                f"{dimension}; `repeat` and `diagonal` are T1 and T2 at any size"
            )
        return selections.published(rule).operator
    if rule == "repeat":
        return selections.repeat(history, dimension).operator
    if rule == "diagonal":
        return selections.diagonal(history, dimension).operator
    if rule == "signed":
        drawn = Stream(seed, "rule", dtype=torch.float64).uniform((3, dimension))
        return selections.random_signed(history, dimension, drawn.numpy()).operator
    if rule == "fibonacci":
        return fibonacci(history, dimension)
    if table_id is not None:
        return selections.decode(table_id, history, dimension).operator
    rows = rows or ()
    if len(rows) != dimension or any(len(row) != history * dimension for row in rows):
        raise ValueError(
            f"`operator` must have {dimension} rows of {history * dimension} numbers (dimension, "
            f"history x dimension), not {len(rows)} rows of {sorted({len(row) for row in rows})}"
        )
    return np.array(rows, dtype=np.float64)


def fibonacci(history: int, dimension: int) -> Array:
    """The operator f (d, N) of x(t) = x(t-s) + ... + x(t-1): real values, diverges."""
    return np.tile(np.eye(dimension), (1, history))


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


def unsoundness(f: ArrayLike, history: int) -> tuple[str, ...]:
    """Why f (d, N) does not map signs to signs, stay bounded, or have a complete core.

    Bounded means power-bounded: all core eigenvalues in the closed unit disk, those on the
    circle semisimple. |det| = 1 is not enough: Fibonacci has determinant -1 and grows.
    """
    matrix = np.asarray(f, dtype=np.float64)
    phi = phi_of(matrix, history)
    dimension = len(matrix)
    selection = selections.selection_of(matrix, history)
    if selection is not None and selection.is_permutation:
        return ()
    inner = core(phi)
    reasons = []
    if selection is None:
        row = _first_row_leaving_signs(matrix)
        reasons.append(
            f"it leaves {{-1, 1}}: output {row + 1} is not plus or minus one coordinate of the "
            "history"
        )
    if not _is_power_bounded(inner):
        radius = float(abs(np.linalg.eigvals(inner)).max(initial=0.0))
        reasons.append(f"it diverges: the spectral radius of Phi is {radius:.6g}")
    if not is_core_complete(phi, dimension, optimised_mask(phi)):
        reasons.append(
            f"its core is incomplete: {len(inner)} non-zero eigenvalues do not carry all "
            f"{dimension} outputs (some dimension is never read, or twice)"
        )
    return tuple(reasons)


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
