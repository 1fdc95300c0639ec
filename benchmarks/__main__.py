"""Time everything, one thread, and write `benchmarks/results.md`."""

from __future__ import annotations

import datetime
import importlib.util
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.cases import CASES, Case
from benchmarks.programs import (
    Program,
    emtkit_steps,
    emtkit_training,
    jax_training,
    products_alone,
    square_product,
    torch_training,
)
from benchmarks.timing import interleaved
from emtkit import Registry
from emtkit.train.device import keep_freed_memory
from emtkit.train.grouping import available

RESULTS = Path(__file__).with_name("results.md")
NOTES = Path(__file__).with_name("notes.md")
SMALL = 16
GROWTH = (1, 4, 20, 64, 256)


def main() -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    registry = Registry.installed()
    parts = [
        "# Benchmarks",
        "Written by `python -m benchmarks`; the last section is `notes.md`.",
        _machine(),
        _limit(),
        _cases(registry),
        _growth(registry),
        NOTES.read_text() if NOTES.exists() else "",
    ]
    RESULTS.write_text("\n\n".join(part.strip() for part in parts) + "\n")


def _machine() -> str:
    packages = [
        name for name in ("torch", "numpy", "numba", "jax") if importlib.util.find_spec(name)
    ]
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    load = os.getloadavg()[0]
    return (
        f"{datetime.date.today()}, {_processor()}, {os.cpu_count()} cores, one thread used, load "
        f"average {load:.1f} when it began. Python {platform.python_version()}, {versions}. CPU "
        "time, medians of rounds in which the programs take turns: trust ratios."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "")


def _limit() -> str:
    seconds = interleaved({"product": square_product()})["product"]
    return f"A 1024³ product in single precision: {2 * 1024**3 / seconds / 1e9:.0f} GF/s."


def _cases(registry: Registry) -> str:
    """Every tier of emtkit, data, clip and Adam included, against the other programs."""
    rows = []
    for case in CASES:
        models = 64 if case.hidden <= SMALL else 20
        programs = programs_of(case, models, registry)
        seconds = interleaved(programs)
        per_model = {
            name: value / (1 if name in ("nn.RNN", "nn.RNN fresh", "limit") else models)
            for name, value in seconds.items()
        }
        plain, fresh = per_model["nn.RNN"], per_model["nn.RNN fresh"]
        limit = 2 * 1024**3 / seconds["limit"]
        tiers = [name for name in ("native", "dense", "vmap") if name in per_model]
        best = min(per_model[name] for name in tiers)
        rows.append(
            [
                case.label,
                str(models),
                f"{fresh * 1e3:.2f}",
                *(_ratio(fresh, per_model, name) for name in ("native", "dense", "vmap")),
                f"{plain * 1e3:.2f}",
                *(_ratio(plain, per_model, name) for name in ("dense fixed", "jax")),
                f"{per_model['products'] / per_model['dense fixed']:.0%}",
                f"{case.operations / best / limit:.0%}",
            ]
        )
        print(" ".join(rows[-1]), flush=True)
    head = [
        "network", "M", "nn.RNN ms", "native x", "dense x", "vmap x", "nn.RNN fixed ms",
        "dense fixed x", "JAX fixed x", "products / dense fixed", "fastest / 1024³ rate",
    ]  # fmt: skip
    return (
        "## Training, M networks in a stack\n\nA model's iteration: nn.RNN + Adam + clip in ms, "
        "and how many times faster the others are. All draw fresh data in every iteration (nn.RNN "
        "by torch), except in the columns `fixed`: there all work on data drawn once, JAX (vmap + "
        "scan + jit) too. Products: the matrix products of the dense tier in its shapes, nothing "
        "else.\n\n" + _table(head, rows)
    )


def programs_of(case: Case, models: int, registry: Registry) -> dict[str, Program]:
    programs: dict[str, Program] = {
        "nn.RNN": torch_training(case, fresh=False),
        "nn.RNN fresh": torch_training(case, fresh=True),
        "products": products_alone(case, models),
        "limit": square_product(),
        "dense": emtkit_training(case, models, "dense", registry),
        "dense fixed": emtkit_steps(case, models, "dense", registry),
        "vmap": emtkit_training(case, models, "vmap", registry),
    }
    if "native" in available() and case.hidden <= 64:
        programs["native"] = emtkit_training(case, models, "native", registry)
    jax = jax_training(case, models)
    return programs if jax is None else {**programs, "jax": jax}


def _growth(registry: Registry) -> str:
    """How the time of one model's iteration changes with M, H and T."""
    rows = []
    for case, tier in ((CASES[0], "dense"), (CASES[4], "native"), (CASES[4], "dense")):
        if tier not in available():
            continue
        programs = {str(m): emtkit_training(case, m, tier, registry) for m in GROWTH}
        seconds = interleaved(programs, rounds=3)
        rows.append([case.label, tier, *(f"{seconds[str(m)] / m * 1e6:.0f}" for m in GROWTH)])
        print(" ".join(rows[-1]), flush=True)
    head = ["network", "tier", *(f"M = {m}" for m in GROWTH)]
    more = []
    for hidden in (16, 32, 64, 128, 256):
        case = Case(hidden, 48, 64, 8, 8)
        more.append((f"H{hidden} T48", emtkit_training(case, 8, "dense", registry)))
    for steps in (18, 108, 208):
        case = Case(64, steps, 64, 8, 8)
        more.append((f"H64 T{steps}", emtkit_training(case, 8, "dense", registry)))
    seconds = interleaved(dict(more), rounds=3)
    grown = [[name, f"{value / 8 * 1e6:.0f}"] for name, value in seconds.items()]
    return (
        "## Growth\n\nMicroseconds of one model's iteration.\n\n"
        + _table(head, rows)
        + "\n\nDense, M = 8, B64:\n\n"
        + _table(["network", "µs"], grown)
        + "\n\nMemory of the dense tier: 4 T B (H + I) bytes a model for states and inputs (tanh, "
        "float32) and 4 K B O for the targets of K scored steps; going back needs none that grows."
    )


def _ratio(plain: float, per_model: Mapping[str, float], name: str) -> str:
    return f"{plain / per_model[name]:.1f}" if name in per_model else "-"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
