"""Memory and devices: what fits on the CUDA device, and how freed memory is kept."""

import ctypes
from functools import cache

import torch

from emtkit.plugin.architecture import RecurrentModel
from emtkit.plugin.task import Batch
from emtkit.train.stack import flatten

LARGEST_FROM_HEAP = 32 * 2**20
KEPT = 512 * 2**20
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's mallopt

SHARE = 0.5
"""Of the free memory, what one program takes: another worker may train on the same device."""

COPIES = 4
"""Times the counted bytes: buffers that grow, what products leave behind, several lengths."""


def has_cuda() -> bool:
    """Whether there is a CUDA device that torch can use."""
    return torch.cuda.is_available()


def label(device: torch.device) -> str:
    """What provenance calls the device."""
    if device.type != "cuda":
        return device.type
    return f"cuda ({torch.cuda.get_device_name(device)})"


def rows_of_cuda(model: RecurrentModel, batch: Batch, sequences: int) -> int:
    """Rows of `model` that one program holds there, on `sequences` times the one in `batch`."""
    free, _ = torch.cuda.mem_get_info()
    return max(2, int(SHARE * free) // bytes_of_row(model, batch, sequences))


def bytes_of_row(model: RecurrentModel, batch: Batch, sequences: int) -> int:
    """Memory that training one row takes: states, shown and passed on, data, weights and moments.

    `batch` is one of a single sequence, at the longest horizon.
    """
    states = 2 * model.hidden
    data = 3 * (batch.inputs.shape[-1] + batch.targets.shape[-1])
    numbers = sequences * batch.steps * (states + data) + 8 * flatten(model).numel()
    return COPIES * numbers * batch.inputs.element_size()


@cache
def keep_freed_memory() -> None:
    """Arrays of some MiB come from the heap and go back there; once per process.

    By default glibc maps each anew, and the kernel clears its pages in every training iteration:
    about half of the time where a stack of small networks draws 10 MiB of data.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, LARGEST_FROM_HEAP)
        mallopt(_TRIM_THRESHOLD, KEPT)
