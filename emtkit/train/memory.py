"""Freed memory stays with the process, where the C library lets itself be asked."""

from __future__ import annotations

import ctypes
from functools import cache

LARGEST_FROM_HEAP = 32 * 2**20
KEPT = 512 * 2**20
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's mallopt


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
