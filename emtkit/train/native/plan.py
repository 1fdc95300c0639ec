"""What a kernel is compiled for, and what it is called with."""

from dataclasses import dataclass
from typing import Any

from emtkit.train.native.network import LANES, Network


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
