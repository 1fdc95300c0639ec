import numpy as np
import pytest

from emtkit_std._theory.emt import angles as angles
from emtkit_std._theory.emt import binding as binding
from emtkit_std._theory.emt import selection as selection_rules
from tests.rounding import rounding

RULES = ("T1", "T2", "T3", "T4")


def spectrum_of(rule):
    selection = selection_rules.published(rule)
    return np.linalg.eigvals(binding.phi_of(selection.operator, selection.history))


@pytest.mark.parametrize("rule", RULES)
def test_golden_11_a_spectrum_against_itself_is_zero_and_not_nan(rule):
    values = spectrum_of(rule)
    result = angles.compare_spectra(values, values)
    assert result.error == 0.0
    assert result.status == "comparable"
    assert result.found == result.expected == (64 if rule == "T1" else 36)


def test_golden_11_unequal_counts_are_indeterminate_and_nan():
    values = spectrum_of("T1")
    result = angles.compare_spectra(np.delete(values, 5), values)
    assert np.isnan(result.error)
    assert result.status == "indeterminate"
    assert (result.found, result.expected) == (63, 64)


def test_golden_11_angles_are_compared_across_the_cut():
    found, expected = np.exp(1j * (np.pi - 1e-3)), np.exp(1j * (-np.pi + 1e-3))
    limit = rounding(2, np.pi)  # two angles of up to pi, and their difference
    assert angles.compare_spectra([found], [expected]).error == pytest.approx(2e-3, abs=limit)


def test_pairs_are_apart_by_their_wrapped_angle_to_the_bit():
    turns = np.random.default_rng(0).uniform(-np.pi, np.pi, 500)
    turns[:4] = -np.pi, np.pi, 0.0, np.pi / 2
    difference = turns[:, None] - turns
    wrapped = (difference + np.pi) % (2 * np.pi) - np.pi
    assert np.array_equal(angles._wrap_once(difference), wrapped)


def test_assignment_is_optimal_where_the_nearest_choice_is_not():
    # The first found is nearest to the first expected; pairing them costs the second dearly.
    expected = np.exp(1j * np.array([0.0, 1.0]))
    found = np.exp(1j * np.array([0.4, -0.1]))
    result = angles.compare_spectra(found, expected)
    assert result.error == pytest.approx((0.1 + 0.6) / 2)
    assert angles.match_angles(found, expected) == pytest.approx([0.6, 0.1])


def test_angle_noise_is_measured_as_its_own_size_or_less():
    generator = np.random.default_rng(0)
    theory = selection_rules.published("T3").spectrum
    noise = 0.01 * generator.standard_normal(len(theory))
    result = angles.compare_spectra(1.01 * theory * np.exp(1j * noise), theory)
    assert result.error == pytest.approx(abs(noise).mean(), rel=0.05)


def test_gap_and_top_error_describe_a_spectrum_whose_counts_differ():
    theory = np.exp(2j * np.pi * np.arange(4) / 4)
    measured = np.concatenate([theory * [1.0, 0.95, 0.85, 0.95], [0.2]])
    result = angles.compare_spectra(measured, theory)
    assert result.found == 3
    assert result.gap == pytest.approx(0.85 / 0.2)
    assert result.top_error <= rounding(1, np.pi)
    assert np.isnan(angles.compare_spectra(theory, theory).gap)
    assert angles.compare_spectra(np.append(theory, 0), theory).gap == np.inf


@pytest.mark.parametrize(
    ("rule", "mean", "tolerance"),
    [("T1", 0.1965, 0.006), ("T2", 0.152, 0.012), ("T3", 0.110, 0.012), ("T4", 0.084, 0.015)],
)
def test_golden_10_null(rule, mean, tolerance):
    theory = selection_rules.published(rule).spectrum
    normals = np.random.default_rng(1).standard_normal((50, len(theory), len(theory)))
    assert angles.null_angle_error(theory, normals) == pytest.approx(mean, abs=tolerance)


def test_golden_10_null_at_the_small_size():
    theory = selection_rules.repeat(4, 4).spectrum
    normals = np.random.default_rng(1).standard_normal((50, 16, 16))
    assert angles.null_angle_error(theory, normals) == pytest.approx(0.390, abs=0.02)


def test_haar_matrices_are_orthogonal_of_both_determinants():
    normals = np.random.default_rng(0).standard_normal((20, 5, 5))
    drawn = angles.haar_orthogonal(normals)
    assert np.abs(drawn @ drawn.transpose(0, 2, 1) - np.eye(5)).max() <= rounding(5 * 5)
    assert set(np.rint(np.linalg.det(drawn))) == {-1.0, 1.0}


def test_the_null_refuses_normals_of_another_size():
    with pytest.raises(ValueError, match=r"shape \(draws, 4, 4\)"):
        angles.null_angle_error(np.exp(2j * np.pi * np.arange(4) / 4), np.zeros((50, 5, 5)))


def test_confusion_between_rules_has_the_known_off_diagonal():
    spectra = {rule: spectrum_of(rule) for rule in RULES}
    table = {rule: angles.confusion(spectra[rule], spectra) for rule in RULES}
    assert table["T2"]["T3"].error == pytest.approx(0.165, abs=5e-4)
    assert table["T2"]["T4"].error == pytest.approx(0.160, abs=5e-4)
    assert table["T3"]["T4"].error == pytest.approx(0.105, abs=5e-4)
    assert table["T1"]["T2"].status == "indeterminate"
    for rule in RULES:
        assert table[rule][rule].error == 0.0


def test_counts_by_direction_show_the_multiplicities_of_repeat_copy():
    turns = np.rint(np.angle(spectrum_of("T1")) / (2 * np.pi) * 8).astype(int) % 8
    assert np.bincount(turns).tolist() == [8] * 8
