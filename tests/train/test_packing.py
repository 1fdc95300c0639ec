"""Every operation that counts as safe in a stack is searched for bits that tell a row's place."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import vmap

from emtkit.train.packing import EXACT, OUTERMOST, Packing, Tail

# what each operation of a list is, on one row (B H); names in brackets come from its derivative
OPERATIONS = {
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
    "baddbmm": lambda x: torch.baddbmm(x[None], x[None], (x.T @ x)[None])[0],
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


@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(stacks())
def test_an_operation_keeps_the_bits_of_a_row(name: str, drawn: tuple[Tensor, list[int]]) -> None:
    rows, order = drawn
    function = OPERATIONS[name]

    def sample(count: int) -> None:
        computed(rows[:1].repeat_interleave(count, 0), None)

    def computed(given: Tensor, packing: Packing | None) -> tuple[Tensor, Tensor]:
        leaf = given.clone().requires_grad_()
        found = vmap(function)(leaf) if packing is None else packing.map(function, leaf)
        slope = torch.linspace(0.3, 1, found[0].numel(), dtype=rows.dtype).view(found.shape[1:])
        return found.detach(), torch.autograd.grad((found * slope).sum(), leaf)[0]

    packing = Packing.of(sample)
    for together, apart in zip(
        computed(rows, packing), computed(rows[order], packing), strict=True
    ):
        same = (together[order] == apart) | (together[order].isnan() & apart.isnan())
        assert same.all(), f"{int((~same).sum())} numbers differ; {packing}"


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
