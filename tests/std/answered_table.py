"""The table of `docs/analyses-answered.md`: which analyses answer on tasks without a theory.

`python -m tests.std.answered_table` writes the page; `test_answered_table.py` holds it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from emtkit import Analysis, NotApplicable, Registry, SequenceModel, Task
from emtkit.plugin.applies import refusal
from emtkit_std.tasks.associative_recall import AssociativeRecall
from emtkit_std.tasks.cued_delay import CuedDelay
from emtkit_std.tasks.flip_flop import FlipFlop
from tests.std.nulls_table import ROWS
from tests.std.subjects import build, subject_of

PAGE = Path(__file__).parents[2] / "docs" / "analyses-answered.md"
TASKS: tuple[type[Task], ...] = (FlipFlop, CuedDelay, AssociativeRecall)
ARCHITECTURES = ("elman", "linear_rnn", "gru", "lstm", "wave_rnn", "diagonal_ssm", "attention")
ANALYSES = (
    *("attention_boundary", "basis_sensitivity", "conjugacy", "emt_basis", "emt_spectrum"),
    *("fixed_points", "gradient_lag", "history_decoding", "intervene", "linear_ceiling"),
    *("memory_capacity", "spectrum", "superposition", "twm_waves"),
)
UNSAID = ("undefined", "none", "indeterminate", "silent")
"""Words that stand for no answer."""


@dataclass(frozen=True)
class Pair:
    """What an analysis says of an architecture on a task: `reasons` are given where it does not."""

    analysis: str
    task: str
    architecture: str
    answered: bool
    reasons: tuple[str, ...] = ()


@cache
def pairs() -> tuple[Pair, ...]:
    """All of them, of untrained networks at defaults; each is measured once."""
    return tuple(_measured())


def _measured() -> Iterator[Pair]:
    known = {plugin.name: plugin.cls for plugin in Registry.installed().all()}
    for name in ANALYSES:
        for made in TASKS:
            for architecture in ARCHITECTURES:
                task = made()
                yield measured(known[name], task, build(known[architecture], task))


def measured(analysis: type[Analysis], task: Task, model: SequenceModel) -> Pair:
    """One pair: answered if a headline scalar (those of `nulls_table`) is defined."""
    where = analysis.name, task.name, model.name
    if (why := refusal(analysis, type(task), type(model))) is not None:
        return Pair(*where, False, (why,))
    try:
        found = analysis().measure(subject_of(model, task))
    except NotApplicable as refused:
        return Pair(*where, False, (str(refused),))
    said = {name: found.scalars[name] for name in HEADLINES[analysis.name]}
    if any(_is_said(value) for value in said.values()):
        return Pair(*where, True)
    reasons = {found.reasons.get(name, f"{name} is {value}") for name, value in said.items()}
    return Pair(*where, False, tuple(sorted(reasons)))


HEADLINES: Mapping[str, tuple[str, ...]] = {
    **{name: ROWS[name].scalars for name in ANALYSES},
    "emt_spectrum": ("angle_error", "top_angle_error"),
    "basis_sensitivity": ("phi_error_dual", "phi_error_fitted"),
}


def _is_said(value: object) -> bool:
    if isinstance(value, str):
        return value not in UNSAID
    if isinstance(value, float):
        return not math.isnan(value)
    return isinstance(value, bool) or value != 0  # that nothing was found is no answer


if __name__ == "__main__":
    for pair in _measured():
        print(pair, flush=True)
