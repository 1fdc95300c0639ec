import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emtkit_std._theory.emt import binding as binding
from emtkit_std._theory.emt import selection as selection_rules
from tests.rounding import assert_rounded, rounding
from tests.std.references import continue_history, encode, toeplitz_gap

RULES = ("T1", "T2", "T3", "T4")
# Table 1 of arXiv:2310.02430, outputs 1..8 as sign (variable, dimension), both from 1.
PRINTED = {
    "T1": [(1, 1, i) for i in range(1, 9)],
    "T2": [(1, i, i) for i in range(1, 9)],
    "T3": [
        *[(-1, 5, 5), (1, 4, 4), (-1, 3, 3), (-1, 1, 1)],
        *[(-1, 2, 2), (-1, 6, 6), (1, 8, 8), (-1, 7, 7)],
    ],
    "T4": [
        *[(-1, 6, 6), (1, 7, 7), (1, 1, 1), (1, 2, 2)],
        *[(-1, 3, 3), (1, 4, 4), (1, 5, 5), (-1, 8, 8)],
    ],
}
CYCLES = {
    "T1": [(8, 1)] * 8,
    "T2": [(k, 1) for k in range(1, 9)],
    "T3": [(3, -1), (3, -1), (6, -1), (24, -1)],
    "T4": [(1, -1), (35, 1)],
}
MATRIX_RANK = {"T1": 64, "T2": 57, "T3": 57, "T4": 57}
CORE_RANK = {"T1": 64, "T2": 36, "T3": 36, "T4": 36}
ANGLES = {"T1": 8, "T2": 22, "T3": 33, "T4": 36}
ONES = {"T1": 8, "T2": 8, "T3": 0, "T4": 1}
PERIOD = {"T1": 8, "T2": 840, "T3": 48, "T4": 70}
DETERMINANT = {"T1": 1, "T2": 1, "T3": 1, "T4": -1}


def phi_of_rule(rule):
    selection = selection_rules.published(rule)
    return binding.phi_of(selection.operator, selection.history)


@st.composite
def signed_permutations(draw):
    history, dimension = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    unit = st.floats(0, 1, exclude_max=True)
    row = st.lists(unit, min_size=dimension, max_size=dimension)
    uniforms = draw(st.lists(row, min_size=3, max_size=3))
    return selection_rules.random_signed(history, dimension, np.array(uniforms))


@pytest.mark.parametrize("rule", RULES)
def test_published_triples_decode_to_the_printed_rules(rule):
    selection = selection_rules.published(rule)
    read = zip(selection.sign, selection.variables, selection.dimensions, strict=True)
    assert [(sign, variable, dim + 1) for sign, variable, dim in read] == PRINTED[rule]


def test_the_rules_of_the_waves_paper_decode_to_its_formulas():
    # x_n = (x_{n-4}[0], x_{n-2}[1], -x_{n-4}[2], x_{n-2}[3])
    third = selection_rules.published("waves_t3")
    assert (third.delays, third.dimensions) == ((4, 2, 4, 2), (0, 1, 2, 3))
    assert third.sign == (1, 1, -1, 1)
    # x_n = (x_{n-4}[2], -x_{n-3}[0], x_{n-2}[3], -x_{n-1}[1])
    fourth = selection_rules.published("waves_t4")
    assert (fourth.delays, fourth.dimensions) == ((4, 3, 2, 1), (2, 0, 3, 1))
    assert fourth.sign == (1, -1, 1, -1)


def test_repeat_and_diagonal_are_the_first_two_rules_at_any_size():
    assert selection_rules.repeat(8, 8) == selection_rules.published("T1")
    assert selection_rules.diagonal(8, 8) == selection_rules.published("T2")
    small = selection_rules.diagonal(6, 4)
    assert len(small.spectrum) == sum(6 - j for j in range(4))
    with pytest.raises(ValueError, match="must not exceed history"):
        selection_rules.diagonal(3, 4)


@pytest.mark.parametrize("rule", RULES)
def test_golden_4_closed_forms(rule):
    selection, phi = selection_rules.published(rule), phi_of_rule(rule)
    assert sorted((c.length, c.sign) for c in selection.cycles) == CYCLES[rule]
    assert np.linalg.matrix_rank(phi) == MATRIX_RANK[rule]
    assert len(selection.spectrum) == binding.core_rank(phi) == CORE_RANK[rule]
    spectrum = selection.spectrum
    assert len(np.unique(np.round(np.angle(spectrum) % (2 * np.pi), 9))) == ANGLES[rule]
    assert (abs(spectrum - 1) <= rounding(1, 2 * np.pi)).sum() == ONES[rule]
    assert selection.period == PERIOD[rule]


@pytest.mark.parametrize("rule", RULES)
def test_golden_4_closed_form_spectrum_is_that_of_the_core(rule):
    selection = selection_rules.published(rule)
    inner = binding.masked(phi_of_rule(rule), selection.mask)
    measured = np.linalg.eigvals(inner)
    distance = abs(measured[:, None] - selection.spectrum[None, :])
    limit = rounding(len(inner))  # Phi is normal: its eigenvalues move by no more than it does
    assert distance.min(axis=1).max() <= limit
    assert distance.min(axis=0).max() <= limit


@pytest.mark.parametrize("rule", RULES)
def test_golden_4_masked_core_is_an_orthogonal_integer_matrix_of_the_known_period(rule):
    selection, phi = selection_rules.published(rule), phi_of_rule(rule)
    inner = binding.masked(phi, selection.mask).astype(int)
    identity = np.eye(len(inner), dtype=int)
    assert (inner @ inner.T == identity).all()
    assert round(np.linalg.det(inner)) == DETERMINANT[rule]
    powers = {1: inner}
    for exponent in range(2, selection.period + 1):
        powers[exponent] = powers[exponent - 1] @ inner
    assert (powers[selection.period] == identity).all()
    assert not any((powers[k] == identity).all() for k in range(1, selection.period))


@pytest.mark.parametrize(
    "rule", [pytest.param(r, marks=[pytest.mark.slow] * (r in ("T1", "T3"))) for r in RULES]
)
def test_golden_2_leave_one_out_mask_is_the_closed_one(rule):
    selection, phi = selection_rules.published(rule), phi_of_rule(rule)
    mask = binding.optimised_mask(phi)
    assert (mask == selection.mask).all()
    kept = mask.reshape(8, 8).sum(axis=1).tolist()
    assert kept == ([8] * 8 if rule == "T1" else list(range(1, 9)))
    assert binding.is_core_complete(phi, 8, mask)


@settings(max_examples=25, deadline=None)
@given(signed_permutations())
def test_closed_forms_hold_for_any_signed_permutation(selection):
    phi = binding.phi_of(selection.operator, selection.history)
    mask = binding.optimised_mask(phi)
    assert (mask == selection.mask).all()
    assert binding.core_rank(phi) == len(selection.spectrum) == mask.sum()
    assert binding.unsoundness(selection.operator, selection.history) == ()
    power = np.linalg.matrix_power(binding.masked(phi, mask).astype(int), selection.period)
    assert (power == np.eye(len(power))).all()


@settings(max_examples=50, deadline=None)
@given(signed_permutations())
def test_a_triple_survives_encoding(selection):
    table_id = encode(selection)
    assert selection_rules.decode(table_id, selection.history, selection.dimension) == selection
    assert selection_rules.selection_of(selection.operator, selection.history) == selection


@pytest.mark.parametrize(
    ("table_id", "reason"),
    [
        ((7, 0, 0), "must set exactly 2"),
        ((1 << 8 | 1, 0, 0), "lowest 8 bits"),
        ((3, 2, 0), "must be below 1"),
        ((3, 4, 0), "more than 2 digits"),
        ((3, 0, 4), "sign bits beyond"),
        ((3, 0, -1), "three whole numbers"),
    ],
)
def test_a_triple_of_another_form_is_refused_with_the_reason(table_id, reason):
    with pytest.raises(ValueError, match=reason):
        selection_rules.decode(table_id, 4, 2)


def test_a_rule_that_never_reads_a_dimension_has_an_incomplete_core():
    # s = d = 2, outputs read (2,1) and (1,1): core 1, sum of delays 3.
    f = np.array([[0, 0, 1, 0], [1, 0, 0, 0]])
    phi = binding.phi_of(f, 2)
    assert binding.core_rank(phi) == 1
    assert binding.optimised_mask(phi).sum() == 1
    (reason,) = binding.unsoundness(f, 2)
    assert "core is incomplete" in reason
    with pytest.raises(ValueError, match="read exactly once"):
        _ = selection_rules.selection_of(f, 2).cycles


@pytest.mark.parametrize("rule", RULES[1:])
def test_a_general_basis_does_not_disturb_the_core_rank(rule):
    basis = np.random.default_rng(3).standard_normal((64, 64))
    phi = np.linalg.solve(basis, phi_of_rule(rule) @ basis)
    assert binding.core_rank(phi) == 36


def test_golden_5_fibonacci_sequences():
    def sequence(start, steps):
        terms = np.array(start, dtype=float)
        terms = terms[:, None] if terms.ndim == 1 else terms
        f = binding.fibonacci(len(terms), terms.shape[1])
        return continue_history(f, terms, steps).squeeze().tolist()

    assert sequence([1, 1], 8) == [2, 3, 5, 8, 13, 21, 34, 55]
    assert sequence([1, 1], 30)[-1] == 2178309
    assert sequence([1, 1, 2], 8) == [4, 7, 13, 24, 44, 81, 149, 274]
    assert sequence([[1, 2], [1, 1]], 4) == [[2, 3], [3, 4], [5, 7], [8, 11]]


def test_golden_5_fibonacci_spectra():
    two = binding.phi_of(binding.fibonacci(2, 1), 2)
    assert np.sort(np.linalg.eigvals(two).real) == pytest.approx([-0.618034, 1.618034], abs=1e-6)
    assert np.linalg.det(two) == pytest.approx(-1)
    three = np.linalg.eigvals(binding.phi_of(binding.fibonacci(3, 1), 3))
    expected = np.array([-0.419643 - 0.606291j, -0.419643 + 0.606291j, 1.839287])
    assert np.sort_complex(three) == pytest.approx(expected, abs=1e-6)
    eight = np.linalg.eigvals(binding.phi_of(binding.fibonacci(8, 1), 8))
    assert abs(eight).max() == pytest.approx(1.99603, abs=1e-5)


def test_golden_5_fibonacci_runs_exactly_in_a_random_rectangular_basis():
    f = binding.fibonacci(2, 1)
    phi = binding.phi_of(f, 2)
    basis = np.random.default_rng(0).standard_normal((7, 2))
    recurrence = basis @ phi @ np.linalg.pinv(basis)
    hidden = basis @ np.ones(2)
    for _ in range(30):
        hidden = recurrence @ hidden
    # 30 steps of 7 products each, in a basis and its dual
    found = (np.linalg.pinv(basis) @ hidden)[-1]
    assert_rounded(found, 2178309, 30 * 7, np.linalg.cond(basis) ** 2)


def test_fibonacci_keeps_every_coordinate_and_is_refused_for_two_reasons():
    f = binding.fibonacci(3, 2)
    assert binding.optimised_mask(binding.phi_of(f, 3)).all()
    signs, bounds = binding.unsoundness(f, 3)
    assert "leaves {-1, 1}" in signs
    assert "diverges: the spectral radius of Phi is 1.83929" in bounds


def test_a_jordan_block_on_the_circle_diverges_although_no_modulus_exceeds_one():
    # x(t) = 2 x(t-1) - x(t-2) has the double eigenvalue 1 and grows linearly.
    assert "diverges" in binding.unsoundness([[-1.0, 2.0]], 2)[1]
    (only,) = binding.unsoundness([[-1.0, 2 * np.cos(0.3)]], 2)
    assert "leaves {-1, 1}" in only


def test_golden_9_only_repeat_copy_is_within_reach_of_a_linear_network_from_rest():
    gaps = [toeplitz_gap(selection_rules.published(rule).operator, 8, 12) for rule in RULES]
    assert gaps == [0.0, 1.0, 1.0, 1.0]
    f = binding.fibonacci(2, 1)
    assert toeplitz_gap(f, 2, 2) == 1
    assert toeplitz_gap(f, 2, 8) == 21


def test_an_operator_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="3 times as many columns"):
        binding.phi_of(np.ones((2, 5)), 3)
