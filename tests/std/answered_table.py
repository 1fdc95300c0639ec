"""The table of `docs/analyses-answered.md`: which analyses answer on tasks without a theory.

`python -m tests.std.answered_table` writes the page; `test_answered_table.py` holds it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from emtkit import Analysis, NotApplicable, Registry, SequenceModel, Task
from emtkit.plugin.applies import refusal
from emtkit_std.tasks.associative_recall import AssociativeRecall
from emtkit_std.tasks.cued_delay import CuedDelay
from emtkit_std.tasks.flip_flop import FlipFlop
from tests.std.nulls_table import ROWS, table
from tests.std.subjects import build, subject_of

PAGE = Path(__file__).parents[2] / "docs" / "analyses-answered.md"
BEFORE = 36
TASKS: tuple[type[Task], ...] = (FlipFlop, CuedDelay, AssociativeRecall)
ARCHITECTURES = ("elman", "linear_rnn", "gru", "lstm", "wave_rnn", "diagonal_ssm", "attention")
ANALYSES = (
    *("attention_boundary", "basis_sensitivity", "conjugacy", "emt_basis", "emt_spectrum"),
    *("fixed_points", "gradient_lag", "history_decoding", "intervene", "linear_ceiling"),
    *("memory_capacity", "spectrum", "superposition", "twm_waves"),
)
INTRODUCTION = f"""# Which analyses answer on tasks without a law

{len(ANALYSES)} analyses of {len(ARCHITECTURES)} architectures ({", ".join(ARCHITECTURES)}),
untrained and at their defaults, on three tasks of the literature at theirs. None of these tasks
states a law of history or of delays; what the analyses compare with is estimated from
`targets(inputs)`. Made by `python -m tests.std.answered_table`; a test compares the page with the
code.

A pair is *answered* if the analysis applies at its defaults (it is not `NotApplicable`), and at
least one of its headline scalars is defined: those of [analyses against nulls](analyses-nulls.md),
but for `emt_spectrum` (`angle_error` or `top_angle_error`, not a number of modes) and
`basis_sensitivity` (`phi_error` of either method). NaN is no answer, nor are the words
"undefined", "none", "indeterminate" and "silent", nor a count of 0. By this count {BEFORE} of 294
pairs were answered before laws were estimated. `linear_ceiling` speaks of the task alone, and says
the same of every network.

Of an untrained network the answers are mostly that nothing is kept: a defined error near 1 is an
answer, and no sign of a memory. What they say of networks that are exact is tested
(`tests/std/test_estimated_law.py`): errors of 0.
"""
REFUSALS = """
## Why the rest is not answered

Each sentence says what to add or to use instead.
"""
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


def page() -> str:
    """The whole page."""
    found = pairs()
    answered = sum(pair.answered for pair in found)
    lines = [INTRODUCTION, f"{_share(answered, len(found))} are answered.\n"]
    rows = {
        f"`{name}`": _row([pair for pair in found if pair.analysis == name]) for name in ANALYSES
    }
    rows["all"] = _row(list(found))
    heads = ("analysis", *(f"`{task.name}`" for task in TASKS), "all")
    lines += [table(heads, rows), REFUSALS, *_refusals(found)]
    return "\n".join(lines) + "\n"


def _row(found: Sequence[Pair]) -> list[str]:
    by_task = [[pair for pair in found if pair.task == task.name] for task in TASKS]
    counts = [(sum(pair.answered for pair in each), len(each)) for each in (*by_task, found)]
    return [f"{of} of {all_}" for of, all_ in counts[:-1]] + [_share(*counts[-1])]


def _share(answered: int, of: int) -> str:
    return f"{answered} of {of} ({100 * answered / of:.0f} %)"


def _refusals(found: Sequence[Pair]) -> list[str]:
    """Every sentence once, with the pairs that it was said of; an architecture as X."""
    said: dict[tuple[str, str], list[str]] = {}
    for pair in found:
        for reason in pair.reasons:
            whole = re.sub(rf"\b{pair.architecture}\b", "X", reason)
            said.setdefault((pair.analysis, whole), []).append(
                f"{pair.architecture} on {pair.task}"
            )
    return [
        f"- `{analysis}`, {len(where)} times ({where[0]}{', ..' if len(where) > 1 else ''}): "
        f"{reason}."
        for (analysis, reason), where in said.items()
    ]


def says_what_to_do(reason: str) -> bool:
    """Whether a reason names something to do: a verb in the imperative, and what it is done to."""
    return TO_DO.search(reason) is not None


TO_DO = re.compile(
    r"\b(use|offer|write|choose|take|raise|lower|set|train|make|build|see)\b"
    r"(?!\s+(?:is|of)\b)\s+(the |a |an |more |it |one |in )?[`\w]"
)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
