"""Every operation that counts as safe in a stack is searched for bits that tell a row's place."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import vmap

from emtkit.train.packing import EXACT, MOVES, OUTERMOST, TAILED, Packing, Tail, recorded

Operation = Callable[[Tensor], Tensor]
Numbers = tuple[Tensor, Tensor]

# what each operation of a list is, on one row (B H); names in brackets come from its derivative
OPERATIONS: dict[str, Operation] = {
    "tanh": torch.tanh,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": lambda x: (x.abs() + 0.1).log(),
    "log1p": lambda x: x.abs().log1p(),
    "sin": torch.sin,
    "cos": torch.cos,
    "erf": torch.erf,
    "sqrt rsqrt reciprocal": lambda x: (
        (x.abs() + 0.1).sqrt() + x.square().add(1).rsqrt() + 1 / (x * x + 1)
    ),
    "lerp": lambda x: torch.lerp(x, x.flip(0), 0.3),
    "addcmul addcdiv": lambda x: torch.addcmul(x, x, x, value=0.3).addcdiv(
        x, x.abs() + 1, value=0.7
    ),
    "leaky_relu clamp": lambda x: F.leaky_relu(x) * x.clamp(-0.5, 0.8),
    "maximum where": lambda x: torch.where(x > 0, torch.maximum(x, x.flip(1)), x / 3),
    "add with a factor": lambda x: torch.add(x, x.flip(0), alpha=0.37),
    "_softmax": lambda x: F.softmax(x, -1) + F.softmax(x, 0),
    "_log_softmax": lambda x: F.log_softmax(x, -1) + F.log_softmax(x, 0),
    "logsumexp": lambda x: x.logsumexp(-1),
    "native_layer_norm": lambda x: F.layer_norm(x, x.shape[-1:]),
    "sum mean": lambda x: x.sum(0) + x.mean() + x.sum(1, keepdim=True).mean(0),
    "prod": lambda x: x.tanh().prod(-1),
    "var std": lambda x: x.var(0) + x.std(),
    "linalg_vector_norm": lambda x: x.norm(dim=-1) * x.norm(),
    "cumsum": lambda x: x.cumsum(0) + x.cumsum(1),
    "amax amin": lambda x: x.amax(0) - x.amin(0),
    "bmm": lambda x: x @ x.T @ x,
    "minimum relu threshold": lambda x: (
        torch.minimum(x, x.flip(0)).relu() + F.threshold(x, 0.1, -0.2) + torch.rsub(x, 2.0)
    ),
    "clamps": lambda x: x.clamp_min(-1) * x.clamp_max(0.3) * F.hardtanh(x),
    "whole numbers": lambda x: x * (x.round() + x.floor() + x.ceil() + x.sign()),
    "truths": lambda x: torch.where(
        torch.logical_or((x > 0) | (x < -1), x != 0.5) & ~torch.logical_not(x.isfinite()),
        x * 0.3,
        x.masked_fill(x.isnan() | x.isinf(), 0.1),
    ),
    "all any": lambda x: torch.where((x > -2).all(0) | (x > 2).any() | (x > 1).any(1, True), x, 1),
    "max min": lambda x: x.max(0).values + x.min(1, keepdim=True).values + x.max() - x.min(),
    "argmax argmin": lambda x: (
        x.gather(0, x.argmax(0, keepdim=True)) + x.gather(1, x.argmin(1, keepdim=True))
    ),
    "var_mean": lambda x: torch.var_mean(x, 0)[0] * torch.var_mean(x, 1, keepdim=True)[1],
    "mse_loss": lambda x: F.mse_loss(x, x.flip(0), reduction="none"),
    # copies
    "clone cat stack": lambda x: torch.stack([x.clone(), x * 2]) + torch.cat([x, x])[: len(x)],
    "copies in place": lambda x: (
        x.clone().copy_(x * 2) * torch.full_like(x, 0.3)
        + x.double().to(x.dtype) * x.clone().zero_()
    ),
    "new": lambda x: x * x.new_full(x.shape, 2.0) + x.new_empty(x.shape).copy_(x),
    "roll repeat pad": lambda x: F.pad(x.roll(1, 0).repeat(2, 1), (1, 2)),
    "tril triu": lambda x: x.tril() * 2 + x.triu(),
    "diagonal unfold": lambda x: x.diagonal().sum() + x.unfold(0, 2, 1).sum(-1).mean(),
    "index": lambda x: x[:, [1, 0]] + x.index_select(1, torch.tensor([0, 1])),
    "argsort scatter": lambda x: (
        torch.zeros_like(x).scatter(0, x.argsort(0), x * x)
        + x.new_zeros(x.shape).scatter_add(0, x.argsort(0), x)
    ),
    "index_put": lambda x: x.index_put((torch.tensor([0, 1]),), x[:2] * 3),
    # not safe by themselves: they get rows to spare
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "softplus": F.softplus,
    "elu": F.elu,
    "mish": F.mish,
    "gelu": F.gelu,
    "pow": lambda x: x.abs() ** 1.5,
    "log_sigmoid": F.logsigmoid,
    "logaddexp": lambda x: torch.logaddexp(x, x.flip(0)),
    "sigmoid of a column": lambda x: torch.sigmoid(x[:, :1].sum(0)) * x,
    "sigmoid, turned": lambda x: torch.sigmoid(x.T).sum(0),
    # and these are computed apart
    "convolution": lambda x: F.conv1d(x[None], x.new_ones(2, x.shape[0], 1))[0],
    "product with a shared matrix": lambda x: (
        x @ torch.linspace(0, 1, x.shape[1] * 3, dtype=x.dtype).view(-1, 3)
    ),
    "sum across": lambda x: vmap(lambda column: column.sum(), in_dims=1)(x),
}


@st.composite
def stacks(draw: st.DrawFn) -> tuple[Tensor, list[int]]:
    """Rows M B H, and some of them in another order."""
    sizes = [draw(st.integers(2, 40)), draw(st.integers(2, 40)), draw(st.integers(2, 40))]
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    rows = torch.randn(*sizes, generator=generator, dtype=torch.float64).to(dtype)
    return rows, draw(st.lists(st.integers(0, sizes[0] - 1), min_size=1, max_size=9))


def differentiated(function: Operation, given: Tensor, packing: Packing | None = None) -> Numbers:
    """The operation on rows M B H, and the derivative of a sum of its results."""
    leaf = given.clone().requires_grad_()
    found = vmap(function)(leaf) if packing is None else packing.map(function, leaf)
    slope = torch.linspace(0.3, 1, found[0].numel(), dtype=given.dtype).view(found.shape[1:])
    return found.detach(), torch.autograd.grad((found * slope).sum(), leaf)[0]


@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(stacks())
def test_an_operation_keeps_the_bits_of_a_row(name: str, drawn: tuple[Tensor, list[int]]) -> None:
    rows, order = drawn
    function = OPERATIONS[name]

    def sample(count: int) -> None:
        differentiated(function, rows[:1].repeat_interleave(count, 0))

    packing = Packing.of(sample)
    whole, picked = (differentiated(function, given, packing) for given in (rows, rows[order]))
    for together, apart in zip(whole, picked, strict=True):
        same = (together[order] == apart) | (together[order].isnan() & apart.isnan())
        assert same.all(), f"{int((~same).sum())} numbers differ; {packing}"


def test_every_listed_operation_is_searched() -> None:
    def names(function: Operation, dtype: torch.dtype) -> set[str]:
        def sample(rows: int) -> None:
            differentiated(function, torch.ones(rows, 4, 5, dtype=dtype), Packing(frozenset()))

        return {call.name for call in recorded(sample, 3)}

    dtypes = (torch.float32, torch.float64)
    seen = set().union(*(names(f, dtype) for f in OPERATIONS.values() for dtype in dtypes))
    assert not (EXACT | MOVES | OUTERMOST | TAILED) - seen


def test_the_search_finds_what_is_not_packed() -> None:
    """Without rows to spare the same comparison fails: it can."""
    rows = torch.randn(5, 7, 3, generator=torch.Generator().manual_seed(0)).repeat(40, 1, 1)
    at_once, alone = torch.sigmoid(rows), torch.stack([torch.sigmoid(row) for row in rows])
    assert not torch.equal(at_once, alone)


def test_rows_to_spare_are_the_fewest_on_paper() -> None:
    # rows of 21 numbers, 5 of them kept: the rest of 6 * 21 = 3 * 32 + 30 is more than one row,
    # that of 7 * 21 = 4 * 32 + 19 lies within the two spare ones
    packing = Packing(frozenset({Tail(21, 21, 32)}))
    assert [packing.rows(kept) for kept in (1, 2, 5)] == [2, 4, 7]
    assert packing.rows(32) == 32
    assert Packing(frozenset({Tail(1, 1, 32)})).rows(3) == 32
    assert Packing(frozenset()).rows(1) == 2


def test_what_no_list_names_is_computed_apart() -> None:
    assert Packing.of(lambda rows: torch.fft.fft(torch.zeros(rows, 4))).apart == "_fft_r2c"
    assert Packing.of(lambda rows: torch.zeros(rows, 4) @ torch.zeros(4, 3)).apart == "mm"
    assert Packing.of(lambda rows: torch.zeros(4, rows).sum(0)).apart == "sum"
    assert Packing.of(lambda rows: torch.zeros(rows, 4).sum(1)).apart is None
    assert not EXACT & OUTERMOST
