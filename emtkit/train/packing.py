"""With how many rows a stack is computed, so that no bit of a row tells who its neighbours are.

Two things in torch depend on a row's place among M:

- Element-wise code takes whole vectors, and the rest of an array by scalar code, which rounds some
  functions differently (sigmoid, softplus, elu, x**1.5; not tanh, exp, +, *). Rows that nobody
  keeps are appended until that rest lies within them.
- A few operations choose their path by the total size (a product with a matrix that all rows share,
  a convolution, a sum with M inside). Rows that use one are computed one by one.

Which operations a network uses is recorded, not guessed: the same code runs once for 2 and once
for 3 rows (`Packing.of`), and what differs in the sizes of its arrays is M. An operation that no
list here names counts as one that depends on M; tests search every named one for a difference.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

VECTORS = 128
"""Bytes that element-wise code takes at once, at most: two vectors of 512 bits."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


EXACT = _names(
    "abs add addcdiv addcmul bitwise_and bitwise_not bitwise_or ceil clamp clamp_max clamp_min "
    "cos div eq erf exp expm1 floor ge gt isinf isnan le leaky_relu lerp log log1p "
    "logical_and logical_not logical_or lt masked_fill maximum minimum mul ne neg reciprocal relu "
    "round rsqrt rsub sgn sign sin sqrt sub tanh tanh_backward threshold threshold_backward where"
)
"""Element-wise operations that round alike in vectors and in the rest."""

MOVES = _names(
    "_to_copy _unsafe_view cat clone constant_pad_nd copy diagonal_backward empty_like fill flip "
    "full_like gather index index_put index_select lift_fresh new_empty new_full new_ones "
    "new_zeros ones ones_like repeat roll scalar_tensor scatter scatter_add select_backward "
    "slice_backward sort stack tril triu unfold_backward zero zeros zeros_like"
)
"""What only copies or fills (adding at most element by element)."""

OUTERMOST = _names(
    "_log_softmax _log_softmax_backward_data _softmax _softmax_backward_data all amax amin any "
    "argmax argmin bmm cumsum linalg_vector_norm logsumexp max mean min native_layer_norm "
    "native_layer_norm_backward prod std sum var var_mean"
)
"""What gives a row the same bits wherever M is the outermost dimension of the array."""

TAILED = _names(
    "elu_backward hardtanh_backward log_sigmoid_backward log_sigmoid_forward mish_backward "
    "mse_loss mse_loss_backward softplus_backward"
)
"""Element-wise operations that torch does not mark as such (`torch.Tag.pointwise`)."""


@dataclass(frozen=True)
class Tail:
    """Arrays with `per_row` * M elements in one run, of which the last row's last `inner` are last.

    A run is computed in pieces of `piece` elements, and a rest.
    """

    per_row: int
    inner: int
    piece: int

    def spares(self, kept: int, rows: int) -> bool:
        """Whether the rest of a run of `rows` rows lies outside the `kept` first ones."""
        return self.per_row * rows % self.piece <= (rows - kept) * self.inner


@dataclass(frozen=True)
class Packing:
    """What a computation needs: rows to spare for `tails`, or rows `apart` (the operation why)."""

    tails: frozenset[Tail]
    apart: str | None = None

    @staticmethod
    def of(run: Callable[[int], object]) -> "Packing":
        """That of `run`, which computes as many equal rows as it is asked to."""
        two, three = (recorded(run, rows) for rows in (2, 3))
        if [call.name for call in two] != [call.name for call in three]:
            return Packing(frozenset(), "an operation that runs row by row")
        tails: set[Tail] = set()
        for pair in zip(two, three, strict=True):
            found = _judged(*pair)
            if isinstance(found, str):
                return Packing(frozenset(), found)
            tails.update(found)
        return Packing(frozenset(tails))

    def rows(self, kept: int) -> int:
        """The fewest rows, two or more, with which `kept` rows can be computed."""
        rows = max(kept, 2)
        while not all(tail.spares(kept, rows) for tail in self.tails):
            rows += 1
        return rows

    def index(self, kept: int) -> Tensor:
        """Which of `kept` rows are computed: all, and the first again to spare."""
        rows = torch.arange(self.rows(kept))
        return rows.where(rows < kept, 0)

    def map(self, function: Callable[..., Any], *given: Any) -> Any:
        """`function` of every row of `given`, whose tensors lead with M; its results do too."""
        kept = len(tree_leaves(given)[0])
        if self.apart is not None:
            rows = [torch.tensor([row]) for row in range(kept)]
            parts = [vmap(function)(*_picked(given, row)) for row in rows]
            return tree_map(lambda *values: torch.cat(values), *parts)
        computed = vmap(function)(*_picked(given, self.index(kept)))
        return tree_map(lambda value: value[:kept], computed)


Packings = dict[tuple[object, ...], Packing]
"""Packings by what the computation depends on."""


def _picked(given: Any, rows: Tensor) -> Any:
    return tree_map(lambda value: value.index_select(0, rows.to(value.device)), given)


@dataclass(frozen=True)
class _Array:
    """Size and place of one tensor."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int


@dataclass(frozen=True)
class _Call:
    """One operation: its name, what kind torch says that it is, results and operands."""

    name: str
    is_view: bool
    is_pointwise: bool
    arrays: tuple[_Array, ...]


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down what is computed, below vmap and autograd."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch imports its compiler for this: seconds in every worker

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[_Call] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((result, args, kwargs)) if isinstance(t, Tensor)]
        arrays = tuple(_Array(tuple(t.shape), t.stride(), t.element_size()) for t in tensors)
        name = func._schema.name.removeprefix("aten::").rstrip("_")
        self.calls.append(_Call(name, func.is_view, torch.Tag.pointwise in func.tags, arrays))
        return result


def recorded(run: Callable[[int], object], rows: int) -> list[_Call]:
    """The operations of `run` on so many rows, those of its derivatives among them."""
    recorder = _Recorder()
    with recorder:
        run(rows)
    return recorder.calls


def _judged(two: _Call, three: _Call) -> Iterable[Tail] | str:
    """The tails of one operation on 2 and on 3 rows, or its name where rows must be apart."""
    arrays = [pair for pair in zip(two.arrays, three.arrays, strict=True) if pair[0] != pair[1]]
    if not arrays or two.is_view or two.name in EXACT | MOVES:
        return ()
    if two.name in OUTERMOST:
        return () if all(_is_outermost(*pair) for pair in arrays) else two.name
    if two.is_pointwise or two.name in TAILED:
        return _tails(two.arrays, three.arrays)
    return two.name


def _is_outermost(two: _Array, three: _Array) -> bool:
    """Whether M is in one dimension alone, and that is not within another."""
    many = [at for at, size in enumerate(two.shape) if size != three.shape[at]]
    if len(many) != 1:
        return not many
    own = two.strides[many[0]]
    others = [s for at, s in enumerate(two.strides) if at != many[0] and two.shape[at] > 1]
    return own == 0 or all(own >= other for other in others)


def _tails(two: tuple[_Array, ...], three: tuple[_Array, ...]) -> Iterable[Tail]:
    """Those of every run of elements that the code may take at once: M and more of an array.

    How far it joins dimensions depends on all operands; so each from M outwards may be the last.
    """
    piece = VECTORS // min(array.itemsize for array in two)
    for small, large in zip(two, three, strict=True):
        if small.shape == large.shape or small.shape != two[0].shape:
            continue
        inner = small_run = large_run = 1
        for at in sorted(range(len(small.shape)), key=lambda at: (small.strides[at], -at)):
            if small_run == large_run and small.shape[at] == large.shape[at]:
                inner *= small.shape[at]
            small_run, large_run = small_run * small.shape[at], large_run * large.shape[at]
            if small_run != large_run:
                yield Tail(large_run - small_run, inner, piece)
