"""What runs on a worker of a cluster: it says what it is, and does jobs; bytes in, bytes out."""

import hashlib
import platform
from collections.abc import Collection, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import emtkit
from emtkit.execute.engines import _last_lines
from emtkit.execute.messages import decode_job, encode
from emtkit.execute.worker import Work
from emtkit.plugin.registry import Registry
from emtkit.plugin.sources import LooseFile
from emtkit.train.grouping import available


def describe() -> dict[str, Any]:
    """What this process would compute with: versions, tiers, and digests of installed code."""
    found = {f"{p.kind} {p.name}": p.digest for p in Registry.installed().all()}
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "emtkit": f"{emtkit.__version__} ({OWN_DIGEST})",
        "torch": version("torch"),
        "numpy": version("numpy"),
        "machine": platform.machine(),
        "tiers": sorted(available()),
        "plugins": found,
    }


def differences(
    here: Mapping[str, Any], there: Mapping[str, Any], needed: Collection[str] | None
) -> list[str]:
    """Why what `there` computes may not be what is computed `here`; empty when it is the same.

    `needed` are the plugins that count ('task k_delay'), all of them where it is None.
    """
    names = ("python", "emtkit", "torch", "numpy", "machine")
    found = [f"{n}: {here[n]} here, {there.get(n)} there" for n in names if here[n] != there.get(n)]
    lacking = sorted(set(here["tiers"]) - set(there["tiers"]))
    found += [f"tier {name}: not there" for name in lacking]
    for name, digest in here["plugins"].items():
        other = there["plugins"].get(name)
        if digest != other and (needed is None or name in needed):
            found.append(f"{name}: " + (f"{digest} here, {other} there" if other else "not there"))
    return found


def do(data: bytes, loose: tuple[LooseFile, ...], name: str) -> bytes:
    """Do one job, with one thread, as every worker does; `name` is that of its last lines."""
    torch.set_num_threads(1)
    with _last_lines.kept(name):
        return encode(_work(loose).do(decode_job(data)[0]))


@cache
def _work(loose: tuple[LooseFile, ...]) -> Work:
    return Work(Registry.installed(loose))


def _own_digest() -> str:
    root = Path(emtkit.__file__).parent
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return total.hexdigest()[:12]


OWN_DIGEST = _own_digest()
"""Of the files of emtkit as they were when this process began: they may be edited while it runs."""
