"""`twm_attention` by hand against its module: every variant, any slopes, the same bits anywhere."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor
from torch.func import functional_call, vmap

from emtkit.plugin.stream import Stream
from emtkit.train.stack import flatten, stack
from emtkit.train.tiers.dense import DenseTier
from emtkit_std.architectures.twm_attention import TwmAttention
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from tests.rounding import assert_rounded_rows
from tests.std.kernels import assert_autograd, assert_bits_are_its_own

VARIANTS = some.fixed_dictionaries(
    {
        "heads": some.integers(1, 3),
        "position": some.sampled_from(["none", "onehot", "learned"]),
        "scale": some.sampled_from(["sqrt", "none"]),
        "rank": some.sampled_from([None, 1, 3]),
        "boundary_activation": some.sampled_from(["none", "tanh"]),
        "input_mode": some.sampled_from(["clamp", "add"]),
    }
)


@some.composite
def stacks(draw, dtype):
    """Networks of any variant and size, and a batch for them."""
    variant, models = draw(VARIANTS), draw(some.integers(2, 7))
    history, dimension, batch, horizon = (draw(some.integers(1, 6)) for _ in range(4))
    torch.manual_seed(draw(some.integers(0, 2**31)))
    task = Hds(rule="repeat", history=history, dimension=dimension, horizon=horizon)
    nets = [TwmAttention(task, **variant).to(dtype) for _ in range(models)]
    stacked = stack(nets, [task] * models, [""] * models)
    streams = [Stream(seed, "train", dtype=dtype) for seed in range(models)]
    flat = torch.stack([flatten(net) for net in nets])
    return stacked, flat, stacked.draw(batch, streams, horizon), horizon


@settings(max_examples=60, deadline=None)
@given(some.data(), some.sampled_from([torch.float64, torch.float32]))
def test_the_kernel_gives_what_autograd_gives(data, dtype):
    stacked, flat, batch, _ = data.draw(stacks(dtype))
    assert_autograd(DenseTier().gradients(stacked, flat, batch, batch.mask), stacked, flat, batch)


@dataclass(frozen=True)
class Traced:
    """The states (T M B H) of the plain module, and the gradient of their product with slopes."""

    states: Tensor
    slopes: dict[str, Tensor]


def traced(stacked, flat, batch, steps, slopes) -> Traced:
    leaves = {k: v.detach().requires_grad_() for k, v in stacked.parameters(flat).items()}

    def trace(weights, buffers, inputs):
        named = {**weights, **buffers}
        return functional_call(stacked.template, named, (inputs, batch.steps)).states

    heard = batch.inputs[:, :, : batch.input_steps].to(flat.dtype)
    states = vmap(trace)(leaves, stacked.buffers, heard).movedim(2, 0)[:steps]
    share = (states[-len(slopes) :] * slopes).sum()
    found = [torch.zeros_like(v) for v in leaves.values()]
    if share.requires_grad:
        found = torch.autograd.grad(share, list(leaves.values()), materialize_grads=True)
    return Traced(states.detach(), dict(zip(leaves, found, strict=True)))


@settings(max_examples=60, deadline=None)
@given(some.data())
def test_states_are_the_trace_and_slopes_may_reach_any_part_of_them(data):
    """Of the last K steps, K from one to all; and where not all inputs are heard."""
    stacked, flat, batch, _ = data.draw(stacks(torch.float64))
    steps = data.draw(some.integers(1, batch.steps))
    asked = data.draw(some.integers(1, steps))
    kernel, weights = stacked.template.stacked_kernel(), stacked.parameters(flat)
    inputs = batch.inputs[:, :, : min(batch.input_steps, steps)].movedim(2, 0).contiguous()
    run = kernel.forward(weights, inputs, steps)
    slopes = torch.randn(asked, *run.states.shape[1:], dtype=torch.float64)
    found = kernel.backward(weights, inputs, run, slopes)
    single, double = (
        traced(stacked.cast(dtype), flat.to(dtype), batch, steps, slopes.to(dtype))
        for dtype in (torch.float32, torch.float64)
    )
    assert found.keys() == double.slopes.keys()
    states = (each.states.movedim(1, 0) for each in (run, single, double))
    assert_rounded_rows(*states, size=2 * steps)
    for name in found:
        assert_rounded_rows(found[name], single.slopes[name], double.slopes[name], 2 * steps)


@settings(max_examples=60, deadline=None)
@given(some.data(), some.sampled_from([torch.float32, torch.float64]))
def test_a_row_has_the_same_bits_in_any_company_and_past_its_own_horizon(data, dtype):
    stacked, flat, batch, longest = data.draw(stacks(dtype))
    models = stacked.models
    horizons = data.draw(some.lists(some.integers(1, longest), min_size=models, max_size=models))
    assert_bits_are_its_own(stacked, flat, batch, horizons)


def test_a_row_that_diverges_is_no_number_and_harms_no_other(recwarn):
    task = Hds(rule="repeat", history=3, dimension=2, horizon=40)
    nets = [TwmAttention(task, heads=2) for _ in range(3)]
    stacked = stack(nets, [task] * 3, [""] * 3)
    batch = stacked.draw(4, [Stream(seed, "train", dtype=torch.float32) for seed in range(3)], 40)
    flat = torch.stack([flatten(net) for net in nets])
    wild = flat.clone()
    wild[1] *= 1e6
    calm = DenseTier().gradients(stacked, flat, batch, batch.mask)
    found = DenseTier().gradients(stacked, wild, batch, batch.mask)
    assert not found.losses[1].isfinite()
    assert torch.equal(found.gradients[::2], calm.gradients[::2])
    assert not recwarn.list


@pytest.mark.parametrize("given_strength", [None, 20.0])
def test_only_what_trains_has_a_kernel(given_strength):
    task = Hds(rule="repeat", history=3, dimension=2)
    model = TwmAttention(task, position="onehot", exact_strength=given_strength)
    assert (model.stacked_kernel() is None) == (given_strength is not None)
