"""The memory that this process may use, in bytes."""

import os
from pathlib import Path


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


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().split("\n")[:-1]
    except OSError:
        return []
