"""The bounds themselves: true for every order of summing, and too narrow for a wrong formula."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.rounding import assert_rounded, assert_rounded_rows, rounding

SUMS = {
    "one by one": lambda x: np.cumsum(x)[-1],
    "backwards": lambda x: np.cumsum(x[::-1])[-1],
    "in pairs": np.sum,
    "in 8 lanes": lambda x: np.pad(x, (0, -len(x) % 8)).reshape(-1, 8).sum(axis=0).sum(),
    "by BLAS": lambda x: x @ np.ones_like(x),
}


@pytest.mark.parametrize("order", SUMS)
@settings(max_examples=40, deadline=None)
@given(
    count=some.integers(1, 300),
    seed=some.integers(0, 2**31),
    dtype=some.sampled_from([np.float32, np.float64]),
)
def test_a_sum_in_any_order_is_within_its_size_and_condition(order, count, seed, dtype):
    terms = np.random.default_rng(seed).normal(size=count).astype(dtype)
    exact = sum(map(Fraction, terms.astype(float).tolist()))
    moduli = float(sum(map(abs, map(Fraction, terms.astype(float).tolist()))))
    gap = abs(float(Fraction(float(SUMS[order](terms))) - exact))
    assert gap <= rounding(count, moduli, dtype)


def test_it_is_of_the_precision_that_is_asked_for():
    assert rounding(1) == 4 * 2.0**-52
    assert rounding(3, 5, np.float32) == rounding(3, 5, torch.float32) == 60 * 2.0**-23


VALUES = np.random.default_rng(0).normal(size=(3, 50))


@pytest.mark.parametrize(
    ("wrong", "size"),
    [
        (VALUES * (1 + 1e-12), 100),
        (VALUES.astype(np.float32).astype(np.float64), 1e5),  # a step in single precision
        (VALUES + 1e-9, 1e5),
        (np.where(VALUES[1, 7] == VALUES, 0, VALUES), 1e5),  # a term left out
        (np.where(VALUES[1, 7] == VALUES, np.nan, VALUES), 1e5),
        (VALUES[:1], 1e5),
    ],
    ids=["factor", "single precision", "offset", "a term", "not a number", "broadcast"],
)
def test_an_array_of_a_wrong_formula_is_not_taken(wrong, size):
    assert_rounded(VALUES * (1 + 1e-15), VALUES, 100)
    with pytest.raises(AssertionError):
        assert_rounded(wrong, VALUES, size)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("lost", ["the last of eight steps", "a bias of the slope"])
def test_a_gradient_of_a_wrong_formula_is_not_taken(dtype, lost):
    """Backpropagation through tanh(w h + u) by hand, right and cut short."""

    def loss(weight, inputs):
        state = torch.zeros_like(inputs[:, 0])
        for step in range(8):
            state = torch.tanh(weight * state + inputs[:, step])
        return state.square().sum(1)

    def by_hand(weight, inputs, steps=8, slope=0.0):
        states = [torch.zeros_like(inputs[:, 0])]
        for step in range(8):
            states.append(torch.tanh(weight * states[-1] + inputs[:, step]))
        found, back = torch.zeros_like(weight), 2 * states[-1]
        for step in reversed(range(8 - steps, 8)):
            back = back * (1 - states[step + 1].square() + slope)
            found, back = found + back * states[step], back * weight
        return found.detach()

    torch.manual_seed(0)
    data = torch.rand(5, 8, 4).double()
    weights = 1 + torch.rand(5, 4).double()

    def autograd(precision):
        leaf = weights.to(dtype).to(precision).requires_grad_()
        return torch.autograd.grad(loss(leaf, data.to(dtype).to(precision)).sum(), leaf)[0]

    single, double = autograd(torch.float32), autograd(torch.float64)
    given_ = weights.to(dtype), data.to(dtype)
    assert_rounded_rows(by_hand(*given_), single, double, 2 * 8)
    cut = {"steps": 1} if lost == "the last of eight steps" else {"slope": 1e-4}
    with pytest.raises(AssertionError, match="rounding explains"):
        assert_rounded_rows(by_hand(*given_, **cut), single, double, 2 * 8)
