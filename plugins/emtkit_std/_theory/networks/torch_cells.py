"""The weights of torch's own recurrent layers, read into one record."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from emtkit import EmtkitError, Recognised


@dataclass(frozen=True)
class TorchCell:
    """One layer of nn.RNN, nn.GRU or nn.LSTM and the linear layer that reads its output.

    `W_hh` (G H, H), `W_uh` (G H, I), `W_r` (O, H), `b_r` (O) or None; `biases` are those of input
    and state, each (G H), or empty.
    """

    W_hh: Tensor
    W_uh: Tensor
    W_r: Tensor
    b_r: Tensor | None
    biases: tuple[Tensor, ...]
    used: frozenset[str]

    @property
    def hidden(self) -> int:
        """Number of units H."""
        return int(self.W_hh.shape[1])

    @property
    def both_biases(self) -> Tensor | None:
        """The sum of the two biases."""
        return self.biases[0] + self.biases[1] if self.biases else None

    def recognised(self, others: Mapping[str, Tensor | None]) -> Recognised:
        """The matrices and b_r under their names, and `others` that are there."""
        weights = {"W_hh": self.W_hh, "W_uh": self.W_uh, "W_r": self.W_r}
        optional = {"b_r": self.b_r, **others}
        weights |= {name: value for name, value in optional.items() if value is not None}
        parameters = {
            "hidden": self.hidden,
            "bias": bool(self.biases),
            "readout_bias": self.b_r is not None,
        }
        return Recognised(weights, parameters, self.used)


def torch_cell(weights: Mapping[str, Tensor], gates: int) -> TorchCell | None:
    """The cell with that many gates, or None if there is none.

    Raises:
        EmtkitError: it has several layers or directions, or its readout cannot be identified.
    """
    found = [re.fullmatch(r"(.*)weight_hh_l0", name) for name in weights]
    starts = [match.group(1) for match in found if match]
    if len(starts) != 1:
        return None
    (start,) = starts
    W_hh = weights[f"{start}weight_hh_l0"]
    if W_hh.ndim != 2 or W_hh.shape[0] != gates * W_hh.shape[1]:
        return None
    names = [
        name for name in weights if re.match(rf"{re.escape(start)}(weight|bias)_[ih]h_l", name)
    ]
    more = sorted(name for name in names if not name.endswith("_l0"))
    if more:
        raise EmtkitError(_too_much(start, more))
    readout = _readout(weights, names, int(W_hh.shape[1]))
    biased = f"{start}bias_hh_l0" in weights
    biases = (weights[f"{start}bias_ih_l0"], weights[f"{start}bias_hh_l0"]) if biased else ()
    shift = f"{readout.removesuffix('weight')}bias"
    b_r = weights.get(shift)
    used = frozenset([*names, readout, *([] if b_r is None else [shift])])
    W_uh, W_r = weights[f"{start}weight_ih_l0"], weights[readout]
    return TorchCell(W_hh, W_uh, W_r, b_r, biases, used)


def _too_much(start: str, more: list[str]) -> str:
    """Why a stack of layers, or a layer of two directions, is no network of one state."""
    back = more[0].endswith("_l0_reverse")
    what = "a second direction" if back else "a second layer"
    why = (
        "it reads the future before it answers, which no working memory can"
        if back
        else "emtkit's networks have one recurrent layer, whose state the analyses look at"
    )
    instead = "bidirectional=False" if back else "num_layers=1"
    layer = start.rstrip(".") or "of this file"
    return (
        f"the recurrent layer {layer} has {what} ({', '.join(more)}): {why}. Train it with"
        f" `{instead}`, or write its class as a plugin (`emtkit new architecture NAME`) "
        "and name it with `as`"
    )


def _readout(weights: Mapping[str, Tensor], names: list[str], hidden: int) -> str:
    fitting = [
        name
        for name, value in weights.items()
        if name not in names and value.ndim == 2 and value.shape[1] == hidden
    ]
    if len(fitting) != 1:
        raise EmtkitError(
            f"{len(fitting)} weights could be the readout (O, {hidden}): "
            f"{', '.join(fitting) or 'none'}. {_choice(fitting)}"
        )
    return fitting[0]


def _choice(fitting: list[str]) -> str:
    if not fitting:
        return "Save the linear layer that reads the states with the recurrent one"
    others = " ".join(f"--drop {name}" for name in fitting[1:])
    return f"Leave the others out with `drop`: `{others}` takes {fitting[0]} for the readout"
