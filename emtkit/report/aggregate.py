"""One quantity over some rows: the estimate, its interval, and an account of every cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from emtkit.report.evidence import Cause, Evidence, is_axis, where_text
from emtkit.report.statistics import Estimate, Sample, Statistic, estimate, share_near_best
from emtkit.study.quantity import Quantity, matches


@dataclass(frozen=True)
class Aggregate:
    """A quantity over `total` cells, of which `n` gave a value.

    `value` is None where there is no number to show, and `cause` says why. `near_best` is the
    share of networks near the best one (`stat: best`) or the share of the mode. `left_out` counts
    cells that a condition on a scalar removed. `cells` are the keys behind the number; `sample`
    and `pairs` (the values of `over`, one per member of the sample) serve comparisons.
    """

    value: float | str | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    total: int = 0
    failed: int = 0
    lost: int = 0
    not_applicable: int = 0
    missing: int = 0
    undefined: int = 0
    left_out: int = 0
    near_best: float | None = None
    cause: str = ""
    cells: tuple[str, ...] = ()
    sample: Sample | None = field(default=None, repr=False, compare=False)
    texts: tuple[Any, ...] = ()
    pairs: tuple[Hashable, ...] = field(default=(), repr=False, compare=False)

    @property
    def estimate(self) -> Estimate | None:
        """The number with its interval, None for a dash or a text."""
        if self.low is None or self.high is None or not isinstance(self.value, float):
            return None
        return Estimate(self.value, self.low, self.high, self.n)


def aggregate(
    evidence: Evidence, rows: Sequence[int], quantity: Quantity, over: Sequence[str]
) -> Aggregate:
    """The quantity over `rows` of the frame, each cell key counted once.

    Conditions on axes narrow the population; conditions on scalars leave cells out of the
    statistic and are counted. A NaN among what remains makes a dash, never a smaller average, and
    so do two networks that differ in more than `over`.
    """
    axis = {name: wanted for name, wanted in quantity.where.items() if is_axis(name)}
    found = {name: wanted for name, wanted in quantity.where.items() if name not in axis}
    population = _once(evidence, evidence.keep(rows, axis))
    if not population:
        return Aggregate(None, cause=_nothing(axis))
    column = quantity.column
    assert column is not None
    causes, kept, left_out = _account(evidence, population, [column, *_by(quantity)], found)
    counts = Counter(cause.standing for cause in causes.values())
    account = Aggregate(
        None,
        n=len(kept),
        total=len(population),
        failed=counts["failed"],
        lost=counts["lost"],
        not_applicable=counts["not_applicable"],
        missing=counts["missing"],
        undefined=counts["undefined"],
        left_out=left_out,
        cells=tuple(str(evidence.column("cell")[row]) for row in population),
    )
    cause = _why_not(evidence, population, kept, causes, found, over)
    if cause:
        return replace(account, cause=cause)
    pairs = tuple(evidence.levels(row, over) for row in kept)
    values = [evidence.column(column)[row] for row in kept]
    by = [evidence.column(name)[row] for name in _by(quantity) for row in kept]
    return replace(_evaluate(values, by, quantity, account), pairs=pairs)


def statistic_of(quantity: Quantity) -> Statistic | None:
    """The statistic that a quantity names; None for `mode`, which is no number."""
    kind = quantity.statistic
    return None if kind == "mode" else Statistic(kind, quantity.direction)


def standing_text(found: Aggregate) -> str:
    """What became of the cells that gave no value: `2 failed, 1 not applicable`."""
    counts = {
        "failed": found.failed,
        "lost": found.lost,
        "not applicable": found.not_applicable,
        "not run": found.missing,
        "undefined": found.undefined,
        "left out": found.left_out,
    }
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def word_of(value: Any) -> str:
    """A most frequent value as it is shown."""
    return str(value) if not isinstance(value, bool) else ("yes" if value else "no")


def _by(quantity: Quantity) -> list[str]:
    if quantity.statistic != "best":
        return []
    return [quantity.by or quantity.column or ""]


def _once(evidence: Evidence, rows: Sequence[int]) -> list[int]:
    """The first row of every cell key: two grids may hold the same network."""
    keys = evidence.column("cell")
    first = {keys[row]: row for row in reversed(rows)}
    return sorted(first.values())


def _account(
    evidence: Evidence,
    population: Sequence[int],
    names: Sequence[str],
    conditions: Mapping[str, Any],
) -> tuple[dict[int, Cause], list[int], int]:
    """Why rows give no number; the rows that do; how many the conditions left out."""
    causes: dict[int, Cause] = {}
    kept: list[int] = []
    left_out = 0
    for row in population:
        known = [evidence.cause(row, name) for name in conditions]
        absent = next((one for one in known if one.standing not in ("done", "undefined")), None)
        if absent is not None:
            causes[row] = absent
            continue
        if not evidence.keep([row], conditions):
            left_out += 1
            continue
        wanted = [evidence.cause(row, name) for name in names]
        absent = next((one for one in wanted if one.standing != "done"), None)
        if absent is None:
            kept.append(row)
        else:
            causes[row] = absent
    return causes, kept, left_out


def _why_not(
    evidence: Evidence,
    population: Sequence[int],
    kept: Sequence[int],
    causes: Mapping[int, Cause],
    conditions: Mapping[str, Any],
    over: Sequence[str],
) -> str:
    """The cause of a dash; empty where a number can be given."""
    undefined = [cause.reason for cause in causes.values() if cause.standing == "undefined"]
    if undefined:
        return f"undefined in {len(undefined)} of {len(population)}: {_commonest(undefined)}"
    if not kept and causes:
        words = Counter(cause.standing for cause in causes.values())
        standing, count = words.most_common(1)[0]
        reasons = [c.reason for c in causes.values() if c.standing == standing and c.reason]
        why = f": {_commonest(reasons)}" if reasons else ""
        word = {"missing": "not run"}.get(standing, standing.replace("_", " "))
        return (word if count == len(population) else f"{word} in {count}") + why
    if not kept:
        return f"none of {len(population)} has {where_text(conditions)}"
    merged = [rows for rows in evidence.groups(kept, over).values() if len(rows) > 1]
    if merged:
        names = sorted({name for rows in merged for name in evidence.varying(rows)} - set(over))
        return (
            f"several networks would fall into one number: they differ in {', '.join(names)}; "
            "name it in rows, columns, where or over"
        )
    return ""


def _evaluate(
    values: Sequence[Any], by: Sequence[Any], quantity: Quantity, account: Aggregate
) -> Aggregate:
    if quantity.share is not None:
        equals = quantity.share.equals
        values = [matches(value, equals) for value in values]
    statistic = statistic_of(quantity)
    if statistic is None:
        mode, count = min(Counter(values).items(), key=lambda item: (-item[1], str(item[0])))
        common = count / len(values)
        return replace(account, value=word_of(mode), near_best=common, texts=tuple(values))
    if any(isinstance(value, str) for value in [*values, *by]):
        if len(values) == 1 and quantity.statistic != "share":
            return replace(account, value=str(values[0]), texts=tuple(values))
        return replace(account, cause=f"{quantity.column} is text: use `stat: mode` or `share`")
    if statistic.kind == "share" and not all(value in (0, 1) for value in values):
        return replace(
            account, cause=f"{quantity.column} is no yes-or-no: use `share: {{of, equals}}`"
        )
    sample = Sample(np.array(values, float), np.array(by, float) if by else None)
    found = estimate(sample, statistic)
    near = None
    if sample.by is not None:
        near = share_near_best(sample.by, quantity.direction, quantity.within)
    return replace(
        account, value=found.value, low=found.low, high=found.high, near_best=near, sample=sample
    )


def _commonest(reasons: Sequence[str]) -> str:
    (reason, _), *others = Counter(reasons).most_common()
    return reason + (f" (and {len(others)} other reasons)" if others else "")


def _nothing(where: Mapping[str, Any]) -> str:
    return f"no such cell: {where_text(where)}" if where else "no such cell"
