"""What the recurrent architectures share: starts, tied readouts, and weights as a pulse circuit."""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from emtkit import EmtkitError, RecurrentModel, Stream, Task
from emtkit_std._theory.facts import Activation, Array, DelayLaw, PulseCircuit

Init = Literal["spiral", "gaussian", "uniform"]
_STARTS = 200


class Constructed(RecurrentModel):
    """A network that is built from the facts of its task."""

    @classmethod
    def trains(cls, parameters: Mapping[str, Any]) -> bool:
        """Never."""
        return False

    def hold(self, weights: Mapping[str, Tensor]) -> None:
        """Take these weights as buffers."""
        for name, value in weights.items():
            self.register_buffer(name, value)


def recurrent_weights(init: Init, hidden: int) -> Tensor:
    """W_hh (H, H) from torch's generator.

    `spiral`: rho Rot(theta) in blocks of two, rho ~ U(.5, .95), theta ~ U(0, 180) degrees; a unit
    left over decays by +-rho. `gaussian`: N(0, 1/H). `uniform`: U(-1, 1) / sqrt(H).
    """
    if init == "gaussian":
        return torch.randn(hidden, hidden) / math.sqrt(hidden)
    if init == "uniform":
        return (2.0 * torch.rand(hidden, hidden) - 1.0) / math.sqrt(hidden)
    pairs = (hidden + 1) // 2
    radius, theta = 0.5 + 0.45 * torch.rand(pairs), math.pi * torch.rand(pairs)
    cosine, sine = radius * torch.cos(theta), radius * torch.sin(theta)
    blocks = torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2)
    if hidden % 2:
        blocks[-1, 0, 0] = radius[-1] * torch.sign(cosine[-1])
    return torch.block_diag(*blocks.unbind())[:hidden, :hidden].contiguous()


def outer_weights(
    init: Init, rows: int, columns: int, hidden: int, fan_in: int | None = None
) -> Tensor:
    """Input or readout weights (rows, columns), each row a sum over `fan_in` n (its columns).

    N(0, 1 / (4 max(1, n - 4))), or U(-1, 1) / sqrt(H) for `uniform`.
    """
    if init == "uniform":
        return (2.0 * torch.rand(rows, columns) - 1.0) / math.sqrt(hidden)
    # 1/2 at the paper's few units and features. There a sum of n terms is small enough; of many
    # it is not: outputs of 20 times their targets (75 features, 100 units) are pushed down by the
    # first ten updates, and a rectifier then gives none back.
    terms = columns if fan_in is None else fan_in
    return 0.5 / math.sqrt(max(1, terms - 4)) * torch.randn(rows, columns)


@lru_cache(maxsize=64)
def silent_share(init: Init, hidden: int, inputs: int, activation: Activation) -> float:
    """Share of starts whose one rectified output is 0 throughout sparse inputs of one sign.

    y_t = relu(W_r h_t), h_t = W_hh sigma(h_{t-1}) + W_uh u_t, of `_STARTS` starts, always the same;
    the caller's generator stays where it is.
    """
    driven = Stream(None, "starts").sparse_uniform((64, 16, inputs), 0.3)
    silent = 0
    with torch.random.fork_rng(devices=[]):
        for seed in range(_STARTS):
            torch.default_generator.manual_seed(seed)
            W_hh = recurrent_weights(init, hidden)
            W_uh = outer_weights(init, hidden, inputs, hidden)
            W_r = outer_weights(init, 1, hidden, hidden)
            state, shown = W_hh.new_zeros(len(driven), hidden), False
            for step in driven.unbind(1):
                state = activated(state, activation) @ W_hh.T + step @ W_uh.T
                shown |= bool((state @ W_r.T > 0).any())
            silent += not shown
    return silent / _STARTS


def uniform(*shape: int, fan_in: int) -> nn.Parameter:
    """A trained tensor that begins as U(-1, 1) / sqrt(fan_in), like those of torch's own layers."""
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


def own_items(task: Task) -> Tensor:
    """Which direction each output repeats: (L, O, I), its sign at (delay, output, source)."""
    law = task.facts(DelayLaw)
    own = torch.zeros(max(law.delay) + 1, len(law.delay), law.inputs)
    for output, (delay, source, sign) in enumerate(
        zip(law.delay, law.source, law.sign, strict=True)
    ):
        own[delay, output, source] = sign
    return own


def tied_readout(W_hh: Tensor, W_uh: Tensor, own: Tensor, activation: Activation) -> Tensor:
    """W_r (O, H) of the directions w_k = W_hh sigma(w_{k-1}) that the outputs should repeat."""
    direction = W_uh
    readout = own[0] @ direction.T
    for item in own[1:]:
        direction = W_hh @ activated(direction, activation)
        readout = readout + item @ direction.T
    return readout


def is_one_product_cheaper(input_steps: int, inputs: int, hidden: int) -> bool:
    """Whether `linear_states` beats the loop over time, from shapes alone.

    It multiplies driven I / (H + I) times as much, in one product instead of 2 T small ones.
    """
    return input_steps * inputs <= 32 * (hidden + inputs)


def linear_states(W_hh: Tensor, W_uh: Tensor, inputs: Tensor, steps: int) -> Tensor:
    """States (B T H) of h_t = W_hh h_{t-1} + W_uh u_t from rest, all of them in one product.

    h_t = sum_s w_s u_{t-s} with w_s = W_hh^s W_uh; `inputs` (B driven I), zero afterwards.
    """
    batch, input_steps, channels = inputs.shape
    directions = [W_uh]
    for _ in range(steps - 1):
        directions.append(W_hh @ directions[-1])
    ahead = W_uh.new_zeros(input_steps - 1, *W_uh.shape)
    padded = torch.cat([ahead, torch.stack(directions)])
    # Window t holds the ages t - driven + 1 .. t, the input of the last of them being the first.
    windows = padded.unfold(0, input_steps, 1)  # T H I driven
    kernel = windows.permute(3, 2, 0, 1).reshape(input_steps * channels, -1)
    states = inputs.flip(1).reshape(batch, input_steps * channels) @ kernel
    return states.reshape(batch, steps, -1)


def activated(values: Tensor, activation: Activation) -> Tensor:
    """The named activation, element by element."""
    if activation == "linear":
        return values
    return torch.relu(values) if activation == "relu" else torch.tanh(values)


def slope(values: Tensor, activation: Activation) -> Tensor:
    """The derivative of the named activation, element by element; 0 at the kink of relu."""
    if activation == "linear":
        return torch.ones_like(values)
    return (values > 0).to(values) if activation == "relu" else 1.0 - torch.tanh(values).square()


def to_array(weights: Tensor) -> Array:
    """Weights in float64 for the maths modules."""
    return weights.detach().cpu().numpy().astype(np.float64)


def pulse_circuit(
    W_hh: Tensor,
    W_uh: Tensor,
    W_r: Tensor,
    b: Tensor | None,
    b_r: Tensor | None,
    activation: Activation,
    *,
    readout: Literal["linear", "relu"] = "linear",
    reads: Literal["preactivation", "activation"] = "preactivation",
) -> PulseCircuit:
    """The weights as that fact; a bias that is None is zero."""
    bias = np.zeros(len(W_hh)) if b is None else to_array(b)
    bias_r = np.zeros(len(W_r)) if b_r is None else to_array(b_r)
    matrices = to_array(W_hh), to_array(W_uh), to_array(W_r)
    return PulseCircuit(*matrices, bias, bias_r, activation, readout, reads)


def as_buffer(weights: Array) -> Tensor:
    """Constructed weights in torch's default precision."""
    if not np.isfinite(weights).all():
        raise EmtkitError(
            "constructed weights are not finite; this is a mistake of the construction"
        )
    return torch.from_numpy(weights).to(torch.get_default_dtype())
