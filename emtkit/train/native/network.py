"""The networks of the native tier, how their weights lie in one flat row, and kernels of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

LANES = 16
"""Sequences in one vector register."""

MAX_HIDDEN = 64
ACTIVATIONS = ("linear", "relu", "tanh")
READOUTS = ("linear", "relu")


class Words(IntEnum):
    """What a row that draws does about its words: rows of equal draws come one after the other."""

    MAKE = 0
    KEEP = 1  # make them, for this row and the next
    TAKE = 2  # those that were kept


@dataclass(frozen=True)
class Network:
    """h_t = W_uh u_t + W_hh sigma(h_t-1) + b,  y_t = rho(W_r x_t + b_r),  sigma(h_-1) = 0.

    `reads` says what x_t is: "activation", sigma(h_t), as in an Elman network, or
    "preactivation", h_t itself. Weights: W_uh (H I), W_hh (H H), W_r (O H), and b (H), b_r (O)
    where `bias` and `readout_bias` say so. ValueError for sizes and names that do not exist.

    A flat row (P) holds A = [W_uh | b | W_hh] and then R = [b_r | W_r], each row by row. Where only
    one of the biases exists, the place of the other is there too, and stays 0.
    """

    hidden: int
    inputs: int
    outputs: int
    activation: str = "tanh"
    readout: str = "linear"
    reads: str = "activation"
    bias: bool = False
    readout_bias: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.hidden <= MAX_HIDDEN:
            raise ValueError(
                f"a native network was asked for {self.hidden} hidden units;"
                f" this tier takes 1 to {MAX_HIDDEN}"
            )
        if self.inputs < 1 or self.outputs < 1:
            raise ValueError(
                f"a native network was asked for {self.inputs} inputs and {self.outputs} outputs;"
                " it has at least one of each"
            )
        for what, asked, allowed in (
            ("activation", self.activation, ACTIVATIONS),
            ("readout", self.readout, READOUTS),
            ("reads", self.reads, ("activation", "preactivation")),
        ):
            if asked not in allowed:
                raise ValueError(
                    f"a native network was asked for {what} '{asked}';"
                    f" allowed: {', '.join(allowed)}"
                )

    @property
    def ones(self) -> int:
        """1 where a constant input carries the biases, else 0."""
        return int(self.bias or self.readout_bias)

    @property
    def reads_early(self) -> bool:
        """Whether the readout sees another number than the recurrence passes on."""
        return self.reads == "preactivation" and self.activation != "linear"

    @property
    def columns(self) -> int:
        """The width of A."""
        return self.inputs + self.ones + self.hidden

    @property
    def seen(self) -> int:
        """The width of R."""
        return self.ones + self.hidden

    @property
    def back(self) -> int:
        """The width of S = [W_r' | W_hh'] (H O+H)."""
        return self.outputs + self.hidden

    @property
    def parameters(self) -> int:
        """P, the length of a flat row."""
        return self.hidden * self.columns + self.outputs * self.seen

    def views(self, flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The named weights (M, ...) of flat rows (M P): views, not copies."""
        models = len(flat)
        split = self.hidden * self.columns
        advance = flat[:, :split].reshape(models, self.hidden, self.columns)
        readout = flat[:, split:].reshape(models, self.outputs, self.seen)
        named = {
            "W_uh": advance[:, :, : self.inputs],
            "W_hh": advance[:, :, self.inputs + self.ones :],
            "W_r": readout[:, :, self.ones :],
        }
        if self.bias:
            named["b"] = advance[:, :, self.inputs]
        if self.readout_bias:
            named["b_r"] = readout[:, :, 0]
        return named

    def flat(self, rows: NDArray[Any], order: NDArray[np.int64]) -> Floats:
        """New flat rows (M P) from others whose weights lie in another `order`."""
        out = np.zeros((len(rows), self.parameters), dtype=np.float32)
        out[:, order] = rows
        return out

    def order(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Places in a flat row of the weights `names`, one after the other, each row by row."""
        views = self.views(np.arange(self.parameters)[None])
        return np.concatenate([views[name].ravel() for name in names])

    @property
    def back_places(self) -> NDArray[np.int64]:
        """Places in a flat row of S, row by row."""
        views = self.views(np.arange(self.parameters)[None])
        return np.concatenate([views["W_r"][0].T, views["W_hh"][0].T], axis=1).ravel()

    def clear_absent(self, flat: Floats) -> None:
        """Set the place of a bias that does not exist to 0, in every flat row."""
        if self.bias and not self.readout_bias:
            flat[:, self.hidden * self.columns :: self.seen] = 0.0
        if self.readout_bias and not self.bias:
            flat[:, self.inputs : self.hidden * self.columns : self.columns] = 0.0


@dataclass(frozen=True, kw_only=True)
class KernelPlan(Network):
    """What a kernel is compiled for; `width` is q, `rows` and `tile` are register tiles.

    `drawn`: whether the kernel draws inputs itself, see `draws`; `recalled`: whether targets are
    inputs again, see `data`. The result depends on all but `rows` and `tile`.
    """

    width: int
    rows: int
    tile: int
    drawn: bool = False
    recalled: bool = False

    @property
    def row(self) -> int:
        """Bytes of a vector row."""
        return 4 * LANES * self.width


@dataclass(frozen=True)
class Arguments:
    """The run-time arguments, as LLVM integers, in the order of the call: addresses and counts."""

    models: Any
    batch: Any  # sequences, a multiple of the block
    steps: Any
    input_steps: Any
    scored: Any
    weights: Any  # M P: A, then R
    transposed: Any  # M H (O + H): S
    input_stride: Any  # bytes from one sequence of inputs to the next
    target_stride: Any  # the same of targets
    inputs: Any  # M addresses of (B s I), unless `drawn`
    targets: Any  # M addresses of (B K O), unless `recalled`
    scales: Any  # M K O
    mask: Any  # B: 1 for a sequence, 0 for padding
    states: Any  # scratch, T + 1 times `columns` rows: [u_t ; 1 ; g_t-1]
    shown: Any  # scratch, T times `seen` rows: [1 ; h_t], when `reads_early`
    deltas: Any  # scratch, T + 1 times `back` rows: [e_t ; d_t+1], from t = -1 on
    staged: Any  # scratch, K times O rows: the targets of a block
    sums: Any  # scratch, P vectors: the gradient, lane by lane
    cost: Any  # scratch, K rows: twice the loss of each scored step, lane by lane
    silence: Any  # scratch, one row of zeros: the target that is no input
    gradient: Any  # M P, out
    losses: Any  # M K, float64, out
    counter: Any = None  # 4, uint64: where the draw begins; this and the following when `drawn`
    limit: Any = None  # float64: the words below it give numbers, the others 0
    mode: Any = None  # one of `network.Words`
    words: Any = None  # scratch, B T I words: those that rows share, in lanes
    again: Any = None  # K O addresses in `states` or of `silence`; this and the next if `recalled`
    signs: Any = None  # K O, float32: minus the sign of each target
