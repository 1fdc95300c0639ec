"""The memory that this process may use, in bytes, and networks that do not fit into it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emtkit.plugin.architecture import SequenceModel
    from emtkit.plugin.task import Task

SMALL = 64
"""Networks are counted where a square of their largest number may take a part so small of it."""


def memory_limit(root: Path = Path("/")) -> int:
    """The least of the machine's memory and the limits of our control group and its parents.

    `root` is the folder that holds `proc` and `sys`. Control groups exist on Linux, in two
    versions: all controllers in one tree, or a tree for memory alone.
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, group = line.split(":", 2)
        if controllers in {"", "memory"}:
            tree = root / "sys/fs/cgroup" / controllers
            name = "memory.limit_in_bytes" if controllers else "memory.max"
            own = tree / group.lstrip("/")
            for folder in (own, *own.parents):
                limits += [int(text) for text in _lines(folder / name) if text.isdecimal()]
    return min(limits)


def large_network(
    cls: "type[SequenceModel]", task: "Task", values: Mapping[str, Any], limit: int
) -> int:
    """How many numbers the weights of a network have, where `limit` bytes may not do; else 0.

    It is built without memory for its weights (torch's device "meta"). One that cannot be, and one
    whose parameters are all small, counts as 0.
    """
    largest = max((v for v in values.values() if type(v) is int), default=0)
    if 4 * largest**2 < limit / SMALL:
        return 0
    import torch

    from emtkit.plugin.params import build_arguments

    try:
        with torch.device("meta"):
            network = cls(task, **build_arguments(cls, values))
    except Exception:  # of any kind: building it will tell
        return 0
    return sum(value.numel() for value in network.state_dict().values())


def bytes_text(count: float) -> str:
    """`8.3 GB`, `4.0 TB`."""
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e6:.0f} MB"


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().split("\n")[:-1]
    except OSError:
        return []
