"""Weights that other programs stored, read without running anything that a file holds."""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from emtkit.errors import EmtkitError


def load_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or .npz file, or of a .pt file that holds nothing else.

    Raises:
        EmtkitError: there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise EmtkitError(f"the weights were to be read from '{path}'; there is no such file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".npz":
            return _numpy(path)
        held = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise EmtkitError(f"{path} is not a safetensors file: {error}") from None
    except OSError:
        raise
    except Exception:  # whatever it holds; torch's own words advise to run it
        raise EmtkitError(
            f"{path} cannot be read as weights alone: it is damaged, or holds more than named "
            "tensors; save `model.state_dict()`, best with safetensors.torch.save_file"
        ) from None
    for key in ("state_dict", "model_state_dict"):
        if isinstance(held, dict) and isinstance(held.get(key), dict):
            held = held[key]
    tensors = isinstance(held, dict) and all(isinstance(v, Tensor) for v in held.values())
    if not tensors or not held:
        raise EmtkitError(f"{path} holds no state dict; save `model.state_dict()`")
    return dict(held)


def _numpy(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as held:
        return {name: torch.from_numpy(np.ascontiguousarray(held[name])) for name in held.files}
