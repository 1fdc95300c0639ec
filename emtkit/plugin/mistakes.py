"""Mistakes of plugins' authors, each named in one sentence."""

import inspect
import re

import torch
from torch import Tensor

from emtkit.plugin.architecture import RecurrentModel
from emtkit.plugin.stream import Stream

ROWS = 3


def step_mistake(model: RecurrentModel, channels: int) -> str | None:
    """What is wrong with `step` of `model`, which is given one input of so many channels."""
    like: Tensor = next(iter(model.state_dict().values()))
    state = model.initial(ROWS)
    if not isinstance(state, Tensor) or state.shape != (ROWS, model.hidden):
        return f"`initial({ROWS})` gave {_told(state)}, not a state ({ROWS}, {model.hidden})"
    wanted = f"(B, H) = ({ROWS}, {model.hidden}), H being `self.hidden`"
    try:
        with torch.no_grad():
            found = model.step(state, like.new_zeros(ROWS, channels))
    except RuntimeError as error:
        first = str(error).strip().split("\n")[0]
        return f"`step` of a state {wanted}, raised: {first}; is `self.hidden` the state's size?"
    if isinstance(found, tuple | list):
        return (
            f"`step` returned {_told(found)}; it returns the next state alone, one tensor "
            f"{wanted}: join several parts with `torch.cat([h, c], 1)`, and leave outputs to `read`"
        )
    if not isinstance(found, Tensor) or found.shape != state.shape:
        return f"`step` of a state {wanted}, gave {_told(found)}: `self.hidden` is the state's size"
    return None


def signature_of_stream(error: Exception) -> str:
    """For a wrong call of a stream's method, how it is called; empty for any other error."""
    called = re.search(r"Stream\.(\w+)\(\)", str(error))
    method = getattr(Stream, called.group(1), None) if called else None
    if method is None:
        return ""
    names = [name for name in inspect.signature(method).parameters if name != "self"]
    return f"; it is called as `stream.{method.__name__}({', '.join(names)})`"


def _told(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"
