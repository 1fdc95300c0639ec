"""Self-attention as a boundary condition, constructed: checks 7 and 8 of the notes on waves."""

from __future__ import annotations

import numpy as np
import pytest

from emtkit_std._theory.waves.attention import (
    Array,
    Heads,
    boundary,
    columns_read,
    constructed_heads,
    effective_boundary,
    entropy,
    kronecker_rank,
    linearity,
    measured_leak,
    safe_horizon,
)
from tests.rounding import assert_rounded, rounding
from tests.std.references import attention, softmax_leak

T1 = np.eye(4, 16)
T4 = np.zeros((4, 16))
T4[0, 2], T4[1, 4], T4[2, 11], T4[3, 13] = 1, -1, 1, -1


def signs(seed: int, batch: int) -> Array:
    return np.random.default_rng(seed).choice([-1.0, 1.0], size=(batch, 4, 4))


def roll_out(heads: Heads, start: Array, steps: int) -> Array:
    columns, written = start, []
    for _ in range(steps):
        alpha = attention(heads, columns, np.eye(4), 1.0)
        new = boundary(heads, columns, alpha)
        columns = np.concatenate([columns[:, 1:], new[:, None]], axis=1)
        written.append(new)
    return np.stack(written, axis=1)


def true_outputs(f: Array, start: Array, steps: int) -> Array:
    terms = list(np.moveaxis(start, 1, 0))
    for _ in range(steps):
        terms.append(np.concatenate(terms[-4:], axis=-1) @ f.T)
    return np.stack(terms[4:], axis=1)


def accuracy(outputs: Array, targets: Array) -> float:
    return float(((outputs >= 0) == (targets >= 0)).mean())


def test_check_7_without_positions_the_order_of_older_columns_is_invisible():
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(32, 4, 4))
    shuffled = columns[:, [2, 0, 1, 3]]
    plain = Heads(*rng.normal(size=(2, 1, 4, 4)), rng.normal(size=(1, 4, 4)))
    written = boundary(plain, columns, attention(plain, columns, None, 1.0))
    again = boundary(plain, shuffled, attention(plain, shuffled, None, 1.0))
    keys, query = columns @ plain.W_K[0].T, columns[:, -1] @ plain.W_Q[0].T
    score = (np.abs(keys) @ np.abs(query)[..., None]).max()  # exp magnifies what is added by it
    assert_rounded(written, again, 4 + 4, score)
    placed = Heads(*rng.normal(size=(2, 1, 8, 8)), plain.W_V)
    written = boundary(placed, columns, attention(placed, columns, np.eye(4), 1.0))
    again = boundary(placed, shuffled, attention(placed, shuffled, np.eye(4), 1.0))
    assert np.abs(written - again).max() > 1e-3


def test_check_8_repeat_copy_holds_as_long_as_the_leak_allows():
    start = signs(1, 64)
    targets = true_outputs(T1, start, 1010)
    runs = {b: roll_out(constructed_heads(T1, 4, b, 1, 8), start, 1010) for b in (4.0, 6.0, 8.0)}
    first = np.sqrt(((runs[8.0][:, 0] - targets[:, 0]) ** 2).mean())
    assert first == pytest.approx(1.2e-3, rel=0.3)
    around = {100: slice(89, 110), 200: slice(189, 210), 1000: slice(979, 1000)}
    assert accuracy(runs[8.0][:, around[1000]], targets[:, around[1000]]) == 1.0
    assert accuracy(runs[6.0][:, around[200]], targets[:, around[200]]) == 1.0
    assert 0.80 <= accuracy(runs[6.0][:, around[1000]], targets[:, around[1000]]) <= 0.95
    assert 0.82 <= accuracy(runs[4.0][:, around[100]], targets[:, around[100]]) <= 0.92


def test_check_8_four_lags_take_four_heads():
    start = signs(2, 64)
    outputs = roll_out(constructed_heads(T4, 4, 12.0, 4, 8), start, 1000)
    targets = true_outputs(T4, start, 1000)
    first = np.sqrt(((outputs[:, 0] - targets[:, 0]) ** 2).mean())
    assert first == pytest.approx(2.1e-5, rel=0.5)
    assert accuracy(outputs[:, 979:], targets[:, 979:]) == 1.0


def test_the_effective_boundary_is_the_rule_up_to_the_leak():
    heads = constructed_heads(T4, 4, 9.0, 4, 1)
    columns = signs(3, 512)
    alpha = attention(heads, columns, np.eye(4), 1.0)
    F = effective_boundary(alpha.mean(axis=0), heads.W_V)
    leak = softmax_leak(9.0, 4)
    # One minus a weight near one, which is a mean of 512 and exp of a score of 9.
    limit = rounding(9 + 512)
    assert measured_leak(alpha.mean(axis=0)) == pytest.approx(leak, abs=limit)
    assert np.abs(F - T4).max() == pytest.approx(leak, abs=limit)
    written, flat = boundary(heads, columns, alpha), columns.reshape(len(columns), -1)
    assert_rounded(written, flat @ F.T, 9 + 512)
    assert linearity(columns, written) == pytest.approx(1.0, abs=rounding(16))


def test_the_kronecker_rank_counts_the_distinct_lags():
    assert kronecker_rank(T1, 4) == 1
    assert kronecker_rank(T4, 4) == 4
    assert columns_read(T4, 4) == (0, 1, 2, 3)
    even = effective_boundary(np.full((1, 4), 0.25), np.eye(4)[None])
    assert kronecker_rank(even, 4) == 1
    assert kronecker_rank(np.zeros((4, 16)), 4) == 0


def test_leak_entropy_and_the_safe_horizon_in_closed_form():
    assert entropy(np.full(8, 1 / 8)) == pytest.approx(np.log(8))
    assert entropy(np.eye(4)[0]) == 0
    assert softmax_leak(0.0, 4) == 0.75
    assert safe_horizon(softmax_leak(8.0, 4), 4) == pytest.approx(1193, abs=2)
    assert safe_horizon(0.0, 4) == np.inf
