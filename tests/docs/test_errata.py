"""Every erratum that no other test shows, and that the page names only tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import null_space

from emtkit import state_jacobians
from emtkit_std._theory.emt import binding as binding
from emtkit_std._theory.emt import selection as selections
from emtkit_std.architectures.lstm import LongShortTermMemory
from emtkit_std.tasks.hds import HistoryDependentSystem
from tests.rounding import assert_rounded, rounding
from tests.std.subjects import build

ROOT = Path(__file__).parents[2]
S, D = 4, 3
REPEAT = binding.phi_of(selections.repeat(S, D).operator, S)


def basis(hidden: int, size: int, seed: int, *, orthonormal: bool) -> np.ndarray:
    """A random basis (hidden, size)."""
    drawn = np.random.default_rng(seed).normal(size=(hidden, size)) / hidden**0.5
    return np.linalg.qr(drawn)[0] if orthonormal else drawn


def block(i: int, d: int = D) -> list[int]:
    """Flat places, from 1, of variable i, from 1, as the corrected text has them."""
    return [(i - 1) * d + j for j in range(1, d + 1)]


def test_the_transpose_of_phi_runs_backwards():
    history = np.arange(1.0, S * D + 1)
    moved = REPEAT @ history
    assert np.array_equal(moved[:-D], history[D:])
    assert np.array_equal((REPEAT.T @ history)[D:], history[:-D])


def test_a_row_cannot_both_shift_and_compute():
    shift, rule = range(1, (S - 1) * D + 1), range((S - 1) * D + 1, S * D + 1)
    printed = range((S - 1) * D, S * D + 1)
    assert set(shift) & set(printed) == {(S - 1) * D}
    assert sorted([*shift, *rule]) == list(range(1, S * D + 1))


def test_a_block_has_d_members():
    assert len(range((2 - 1) * D, 2 * D + 1)) == D + 1
    flat = [place for i in range(1, S + 1) for place in block(i)]
    assert flat == list(range(1, S * D + 1))
    printed = [i * D + j for i in range(1, S + 1) for j in range(1, D + 1)]
    assert min(printed) == D + 1
    assert max(printed) > S * D


@pytest.mark.parametrize("rule", ["T2", "T3", "T4"])
def test_the_optimised_mask_keeps_the_core_not_the_rank(rule):
    selection = selections.published(rule)
    phi = binding.phi_of(selection.operator, 8)
    masked = phi[np.ix_(selection.mask, selection.mask)]
    assert np.linalg.matrix_rank(phi) == 57
    assert selection.mask.sum() == np.linalg.matrix_rank(masked) == 36
    assert np.linalg.matrix_rank(np.linalg.matrix_power(phi, len(phi))) == 36


def test_phi_learned_bears_no_transpose():
    psi = basis(40, S * D, 0, orthonormal=False)
    dual = np.linalg.pinv(psi)
    learned = dual @ (psi @ REPEAT @ dual) @ psi
    assert_rounded(learned, REPEAT, 40, np.linalg.cond(psi) ** 2)
    assert np.abs(learned.T - REPEAT).max() > 0.9


def test_where_repeat_copy_holds_its_variables():
    heard = np.random.default_rng(1).choice([-1.0, 1.0], size=(S, D))
    state = heard.ravel()
    for t in range(2 * S):
        for mu in range(1, S + 1):
            corrected = [((mu - t - 1) % S) * D + i for i in range(1, D + 1)]
            printed = [((mu - t - 1) % S + 1) * D + i for i in range(1, D + 1)]
            assert np.array_equal(state[np.array(corrected) - 1], heard[mu - 1])
            assert printed == [place + D for place in corrected]
        state = REPEAT @ state


def test_linearisation_predicts_the_next_state_from_this_one():
    rng = np.random.default_rng(2)
    W, b = 0.9 * rng.normal(size=(6, 6)) / 6**0.5, rng.normal(size=6)
    fixed = np.zeros(6)
    for _ in range(2000):
        fixed = np.tanh(W @ fixed + b)
    jacobian = (1 - fixed**2)[:, None] * W
    away = 1e-5 * rng.normal(size=6)
    moved = np.tanh(W @ (fixed + away) + b) - fixed
    assert np.linalg.norm(moved - jacobian @ away) < 1e-4 * np.linalg.norm(away)
    # as printed, any deviation would have to be a fixed vector of the Jacobian; there is none
    assert null_space(jacobian - np.eye(6)).shape[1] == 0


def test_the_wave_runs_from_column_s_to_column_1():
    columns = np.arange(1.0, S + 1)
    phi = binding.phi_of(selections.repeat(S, 1).operator, S)
    moved = phi @ columns
    assert all(moved[i - 1] == columns[i] for i in range(1, S))
    assert not any(moved[i - 1] == columns[i - 2] for i in range(2, S))


@pytest.mark.parametrize(
    ("rule", "orthonormal", "right"),
    [("repeat", True, True), ("repeat", False, False), ("diagonal", True, False)],
)
def test_powers_of_the_transpose_are_right_for_repeat_copy_alone(rule, orthonormal, right):
    selection = getattr(selections, rule)(4, 4)
    phi = binding.phi_of(selection.operator, 4)[np.ix_(selection.mask, selection.mask)]
    psi = basis(48, len(phi), 3, orthonormal=orthonormal)
    W, W_r = psi @ phi @ np.linalg.pinv(psi), np.linalg.pinv(psi)[-4:]
    read = np.linalg.pinv(W_r)
    powers = [np.linalg.matrix_power(W.T, k) @ read for k in (1, 2, 3)]
    found = np.concatenate([*powers, read], 1)[:, selection.mask]
    extracted = np.linalg.pinv(found) @ W @ found
    error = np.linalg.norm(extracted - phi) / np.linalg.norm(phi)
    assert error <= rounding(3 * 48) if right else error > 0.05  # three powers


def test_the_page_names_tests_that_there_are():
    text = (ROOT / "docs" / "errata.md").read_text(encoding="utf-8")
    sources = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    file = ""
    named = re.findall(r"`(test_\w+\.py)?::(\w+)`", text)
    for given, test in named:
        file = given or file
        assert f"def {test}(" in sources[file], (file, test)
    assert len(named) > 25


def test_an_lstm_at_the_origin_has_half_the_sum_of_one_and_half_of_its_candidate_weights():
    """c' = (c + W_g h) / 2, h' = c' / 2 to first order: lambda = 1/2 + lambda(W_g) / 4, and 0."""
    units = 32
    model = build(LongShortTermMemory, HistoryDependentSystem(), hidden=units, bias=False).double()
    origin = torch.zeros(1, 2 * units, dtype=torch.float64)
    silence = torch.zeros(1, 8, dtype=torch.float64)
    jacobian = state_jacobians(model.step, origin, silence)[0].numpy()
    enter, _, candidate, _ = np.split(model.W_hh.numpy(), 4)
    one = np.eye(units)
    blocks = np.block([[candidate / 4, one / 4], [candidate / 2, one / 2]])
    assert_rounded(jacobian, blocks, units)
    values = 0.5 + np.linalg.eigvals(candidate) / 4
    radius = np.abs(values).max()
    assert np.abs(np.linalg.eigvals(jacobian)).max() == pytest.approx(radius)
    # as parsed: the input gate's slope, which tanh(0) = 0 multiplies; and h' read from c, not c'
    parsed = np.block([[0 * one, one / 2], [enter / 4 + candidate / 2, one / 2]])
    assert np.abs(np.linalg.eigvals(parsed)).max() > radius + 0.05
