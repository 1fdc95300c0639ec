"""The tests of numbers again, as on other processors: `python -m tests.portable`.

A library computes with the kernels of the processor that it finds, and sums in their order. Each
can be told to take another's. A pass sets one choice for every library at once, asks the libraries
what they took, and runs the tests below; this processor's own kernels are run by `make test`.
Choices that this machine cannot take (there is no AVX2 on ARM) are shown and count as failed on
x86-64 only.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Rooms whose tests compare numbers, so that a new file in one of them is run; the other rooms, and
# the files left out, start processes, draw pictures and read texts.
CHOSEN = ("dynamics", "docs", "plugin", "report", "std", "studies", "train")
CHOSEN += ("test_contracts.py", "test_rounding.py")
LEFT = ("plugin/test_index.py", "report/test_browser.py", "report/test_figures.py")

Seen = dict[str, str]
"""What each library says that it computes with."""


@dataclass(frozen=True)
class Choice:
    """Variables that make a library take other kernels, and how to see that it did."""

    library: str
    variables: Mapping[str, str]
    taken: Callable[[str], bool]


def torch_kernels(level: str) -> Choice:
    """Kernels of torch itself: `default`, `avx2`."""
    return Choice("torch", {"ATEN_CPU_CAPABILITY": level}, lambda seen: seen == level.upper())


def openblas(core: str) -> Choice:
    """The core that numpy's and scipy's OpenBLAS take themselves for."""
    return Choice(
        "OpenBLAS", {"OPENBLAS_CORETYPE": core}, lambda seen: set(seen.split(", ")) == {core}
    )


def numpy_loops(*left: str) -> Choice:
    """The loops of numpy compiled for the features `left`, of those that it has."""
    most = [name for name in numpy_features() if name not in left]
    variables = {"NPY_DISABLE_CPU_FEATURES": " ".join(most)} if most else {}
    return Choice("numpy", variables, lambda seen: set(seen.split()) <= {"baseline", *left})


def mkl(variable: str, value: str, unwanted: str) -> Choice:
    """The instructions that torch's MKL may take."""
    return Choice("MKL", {variable: value}, lambda seen: bool(seen) and unwanted not in seen)


def numba_features(*names: str) -> Choice:
    """A processor without a name that has these features alone."""
    variables = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": ",".join(f"+{name}" for name in names),
    }
    return Choice("numba", variables, lambda seen: set(seen.split()) == set(names))


def threads(count: int) -> Choice:
    """Threads of each library; waiting ones sleep, since tests share the cores."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    patience = {"OMP_WAIT_POLICY": "passive", "OPENBLAS_THREAD_TIMEOUT": "4"}
    variables = {**dict.fromkeys(names, str(count)), **patience}
    return Choice("threads", variables, lambda seen: set(seen.split(", ")) == {str(count)})


def passes() -> dict[str, tuple[Choice, ...]]:
    """What is run, each choice in one pass or another."""
    return {
        "old processor, one thread": (
            torch_kernels("default"),
            openblas("Nehalem"),
            numpy_loops(),
            mkl("MKL_CBWR", "COMPATIBLE", "Extensions"),
            numba_features("avx2", "fma"),
            threads(1),
        ),
        "AVX2, two threads": (
            torch_kernels("avx2"),
            openblas("Haswell"),
            numpy_loops("X86_V3", "AVX2", "FMA3"),
            mkl("MKL_ENABLE_INSTRUCTIONS", "AVX2", "AVX-512"),
            numba_features("avx2"),
            threads(2),
        ),
    }


def look() -> Seen:
    """What the libraries of this process compute with."""
    import numba
    import numpy as np
    import scipy.linalg  # noqa: F401  loads its own OpenBLAS
    import torch

    blas = _openblas_libraries()
    ones = np.ones(64)
    product = numba.njit(fastmath=True)(_product)
    product(ones, ones)
    code = "".join(product.inspect_asm().values())
    features = {"avx512f": "zmm", "avx2": "ymm", "fma": "vfmadd"}
    torch.ones(64, 64) @ torch.ones(64, 64)  # MKL says what it is at its first product
    return {
        "torch": torch.backends.cpu.get_cpu_capability(),
        "OpenBLAS": ", ".join(core for core, _ in blas),
        "numpy": " ".join(numpy_features()) or "baseline",
        "numba": " ".join(name for name, word in features.items() if word in code),
        "threads": ", ".join(str(n) for n in (torch.get_num_threads(), *(n for _, n in blas))),
    }


def numpy_features() -> list[str]:
    """The features beyond its baseline for which numpy has loops and uses them."""
    from numpy._core import _multiarray_umath as umath

    return [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]]


def _product(left, right):
    total = 0.0
    for n in range(left.size):
        total += left[n] * right[n]
    return total


def _openblas_libraries() -> list[tuple[str, int]]:
    """Core and threads of each OpenBLAS that this process has loaded (Linux)."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    found = []
    for path in sorted({line.split()[-1] for line in lines if "openblas" in line}):
        library = ctypes.CDLL(path)
        for ending in ("64_", ""):
            core = getattr(library, f"scipy_openblas_get_corename{ending}", None)
            count = getattr(library, f"scipy_openblas_get_num_threads{ending}", None)
            if core is not None and count is not None:
                core.restype = ctypes.c_char_p
                found.append((core().decode(), int(count())))
    return found


def seen_with(environment: Mapping[str, str]) -> Seen:
    """`look` in a new process, and what its MKL said."""
    asked = [sys.executable, "-m", "tests.portable", "look"]
    said = subprocess.run(
        asked, env={**environment, "MKL_VERBOSE": "1"}, cwd=ROOT, check=True, capture_output=True
    ).stdout.decode()
    lines = said.splitlines()
    mkl_lines = [line for line in lines if line.startswith("MKL_VERBOSE")]
    seen: Seen = json.loads(lines[-1])
    words = mkl_lines[0].partition("for Intel(R) 64 architecture ")[2].split(", Lnx")[0]
    return {**seen, "MKL": words.removesuffix(" enabled processors")} if mkl_lines else seen


def run(name: str, choices: tuple[Choice, ...]) -> bool:
    """One pass: what is set, what was taken, and the tests. True where all is well."""
    began = time.monotonic()
    environment = dict(os.environ)
    for choice in choices:
        environment.update(choice.variables)
    seen, taken = seen_with(environment), True
    print(f"== {name}")
    for choice in choices:
        found = seen.get(choice.library, "")
        right = choice.taken(found)
        taken = taken and right
        said = " ".join(f"{variable}={value}" for variable, value in choice.variables.items())
        print(f"   {choice.library:<9} {found or 'none':<28} {'' if right else 'NOT TAKEN '}{said}")
    sys.stdout.flush()
    chosen = [str(ROOT / "tests" / room) for room in CHOSEN]
    left = [f"--ignore={ROOT / 'tests' / file}" for file in LEFT]
    tests = [sys.executable, "-m", "pytest", "-n", "auto", "-q", "-r", "fE", *left, *chosen]
    passed = subprocess.run(tests, env=environment, cwd=ROOT, check=False).returncode == 0
    taken = taken or platform.machine() not in ("x86_64", "AMD64")
    words = "passed" if passed else "FAILED"
    words += "" if taken else ", with kernels that were not those asked for"
    print(f"== {name}: {words} in {time.monotonic() - began:.0f} s\n", flush=True)
    return passed and taken


if __name__ == "__main__":
    if sys.argv[1:] == ["look"]:
        print(json.dumps(look()))
    else:
        results = [run(name, choices) for name, choices in passes().items()]
        sys.exit(0 if all(results) else 1)
