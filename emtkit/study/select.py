"""A part of a plan, as chosen by `--only task.rule=T1,architecture.hidden=128 --seeds 0-2`."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from emtkit.errors import EmtkitError, StudyError, did_you_mean
from emtkit.study.axes import Condition, conditions, values_of
from emtkit.study.cells import Row
from emtkit.study.checked import shown
from emtkit.study.columns import columns
from emtkit.study.document import parse_document
from emtkit.study.plan import Plan
from emtkit.study.wanted import Exactly, matches
from emtkit.text import spans


def select(plan: Plan, only: str | None = None, seeds: str | None = None) -> Plan:
    """The rows of `plan` that `only` and `seeds` keep.

    `only` is `column=value,...`: all must hold, and a column named twice takes either value.
    `seeds` is `0-2`, `3`, or several of these with commas.

    Raises:
        EmtkitError: a column is unknown, or a value or seed is in no row; the values are listed.
    """
    wanted = {} if only is None else _read_only(only)
    chosen = None if seeds is None else _read_seeds(seeds)
    _check_values(wanted, conditions(plan.rows))
    if chosen is not None:
        there = {row.cell.seed for row in plan.rows}
        if missing := sorted(chosen - there):
            raise EmtkitError(
                f"--seeds {seeds}: no network has seed {missing[0]}; "
                f"the seeds are {', '.join(spans(there))}"
            )
    kept = tuple(
        row
        for row in plan.rows
        if (chosen is None or row.cell.seed in chosen) and _keeps(wanted, row)
    )
    if not kept and plan.rows:
        raise EmtkitError(
            f"--only {only}: each value occurs, but no network has them all; ask for fewer"
        )
    keys = {row.cell.key for row in kept}
    tuned = (one for one in plan.tuned if any(row.cell.key in keys for row in one.waiting))
    return replace(plan, rows=kept, tuned=tuple(tuned))


def _read_only(text: str) -> Mapping[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    # A comma ends a value only before the next `column=`, so that lists may hold commas.
    for part in re.split(r",(?=[\w.]+=)", text):
        column, equals, value = part.partition("=")
        if not equals or not value.strip() or not column.strip():
            raise EmtkitError(
                f"--only {text}: '{part}' is not `column=value`; "
                "write for instance --only task.delay=3,architecture=elman"
            )
        found[column.strip()] = (*found.get(column.strip(), ()), _value(value, text))
    return found


def _value(text: str, only: str) -> Any:
    try:
        value = parse_document(f"value: {text}".encode(), "--only").value
    except StudyError as error:
        raise EmtkitError(f"--only {only}: {error.problems[0].text}") from None
    found = value["value"] if isinstance(value, dict) else None
    return tuple(found) if isinstance(found, list) else found


def _read_seeds(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        span = re.fullmatch(r"\s*([0-9]{1,10})\s*(?:-\s*([0-9]{1,10})\s*)?", part)
        first, last = (int(span[1]), int(span[2] or span[1])) if span else (1, 0)
        if last < first or last - first > 10**6:
            raise EmtkitError(
                f"--seeds {text}: '{part}' is not a span of seeds; write for instance --seeds 0-2,7"
            )
        found.update(range(first, last + 1))
    return found


def _check_values(wanted: Mapping[str, tuple[Exactly, ...]], groups: tuple[Condition, ...]) -> None:
    for column, values in wanted.items():
        if column == "seed":
            raise EmtkitError("--only seed=...: seeds have an option of their own, --seeds 0-2")
        known = values_of(column, groups)
        if not known:
            names = sorted({name for condition in groups for name in condition.columns})
            hint = did_you_mean(column, names)
            raise EmtkitError(f"--only {column}=...: there is no column '{column}'; {hint}")
        for value in values:
            if not any(matches(one, value) for one in known):
                listed = ", ".join(shown(one) for one in known)
                raise EmtkitError(
                    f"--only {column}={shown(value)}: no network has this value; "
                    f"its values are {listed}"
                )


def _keeps(wanted: Mapping[str, tuple[Exactly, ...]], row: Row) -> bool:
    if not wanted:
        return True
    found = columns(row)
    return all(
        column in found and any(matches(found[column], value) for value in values)
        for column, values in wanted.items()
    )
