"""What made a result: versions, machine, commit."""

import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import emtkit
from emtkit.plugin.registry import Registry
from emtkit.study.cells import Cell


@cache
def provenance(device: str = "cpu") -> dict[str, Any]:
    """Versions of what computes, machine and device, and the commit when it is a checkout."""
    return {
        "emtkit": emtkit.__version__,
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": version("numpy"),
        "machine": platform.machine(),
        "processor": _processor(),
        "system": platform.system(),
        "device": device,
        "commit": _commit(),
    }


def sources(registry: Registry, cell: Cell) -> str:
    """Digests of the sources of the cell's task and architecture, as they are today."""
    plugins = (
        registry.get("task", cell.task.name),
        registry.get("architecture", cell.architecture.name),
    )
    return "+".join(plugin.digest for plugin in plugins if plugin is not None)


def _processor() -> str:
    cpu = Path("/proc/cpuinfo")
    if sys.platform == "linux" and cpu.exists():
        for line in cpu.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def _commit() -> str:
    root = Path(emtkit.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    asked = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
