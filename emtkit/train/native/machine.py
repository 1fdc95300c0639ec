"""What the native tier asks of a machine, and what it is compiled from."""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

NEEDED = ("avx2", "fma")


@dataclass(frozen=True)
class Tiles:
    """Register tiles: rows of a product for 1, 2 and 4 vectors a row, and the gradient's square.

    They change speed only: the order of every sum is the same.
    """

    rows: dict[int, int]
    square: int


def unavailable() -> str | None:
    """Why the native tier cannot run here; None where it can."""
    for package in ("numba", "llvmlite"):
        try:
            version(package)
        except PackageNotFoundError:
            return (
                f"the native tier needs {package}, which is not installed: pip install emtkit[fast]"
            )
    missing = [name for name in NEEDED if name not in features()]
    if missing:
        # without them every fused multiply-add is a call into the C library: 130 times slower
        return f"the native tier needs {' and '.join(NEEDED)}; this processor lacks {missing}"
    return None


@cache
def features() -> frozenset[str]:
    """What numba compiles for: the processor's features, or those NUMBA_CPU_FEATURES names."""
    import numba
    from llvmlite import binding

    settings: Any = numba.config
    if settings.CPU_FEATURES is not None:
        named = str(settings.CPU_FEATURES).split(",")
        return frozenset(name[1:] for name in named if name.startswith("+"))
    return frozenset(name for name, has in binding.get_host_cpu_features().items() if has)


def tiles() -> Tiles:
    """Tiles that fit the vector registers: 32 of 16 lanes, or 16 of 8."""
    if "avx512f" in features():
        return Tiles(rows={1: 8, 2: 8, 4: 4}, square=4)
    return Tiles(rows={1: 4, 2: 2, 4: 1}, square=2)


@cache
def digest() -> int:
    """A hash of the sources and of the compiler's versions; 60 bits."""
    here = Path(__file__).parent
    hashed = sha256()
    plugin = here.parents[1] / "plugin"
    drawing = (plugin / "_philox.py", plugin / "_philox_numba.py")
    for source in (*sorted(here.glob("*.py")), *drawing):
        hashed.update(source.read_bytes())
    for package in ("numba", "llvmlite"):
        hashed.update(version(package).encode())
    return int(hashed.hexdigest()[:15], 16)
