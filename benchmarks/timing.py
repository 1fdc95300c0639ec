"""Interleaved timing: drift of the machine hits all programs alike, so ratios are what to trust."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

from benchmarks.programs import Program


def interleaved(
    programs: Mapping[str, Program], rounds: int = 9, seconds: float = 0.15
) -> dict[str, float]:
    """Median CPU seconds of one iteration of each program, taken in turns."""
    counts = {name: _count(program, seconds) for name, program in programs.items()}
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            times[name].append(_timed(program, counts[name]))
    return {name: statistics.median(found) for name, found in times.items()}


def _count(program: Program, seconds: float) -> int:
    """Iterations that take about `seconds`; the first ones compile and warm up."""
    program(2)
    return max(2, round(seconds / max(_timed(program, 2), 1e-7)))


def _timed(program: Program, iterations: int) -> float:
    """Seconds of one of `iterations` or a few more."""
    start = time.process_time()
    made = program(iterations)
    return (time.process_time() - start) / made
