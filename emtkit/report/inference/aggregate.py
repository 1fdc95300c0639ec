"""One quantity over some rows: the estimate, its interval, and an account of every cell."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emtkit.plugin.statistic import Estimate, Sample, Statistic, statistic_named
from emtkit.report.data.causes import Cause
from emtkit.report.data.results import Results, hashable, is_axis, level_text, where_text
from emtkit.report.inference.resampling import share_near_best
from emtkit.study.quantity import Quantity
from emtkit.study.views import ITERATION

_MOST_REASONS = 3
NOT_INDEPENDENT = "pairs that share a network are not independent"


@dataclass(frozen=True)
class Aggregate:
    """A quantity over `total` cells, of which `n` gave a value.

    `value` is None where there is no number to show, and `cause` says why; `why` says it of those
    members of a best of many whose value is undefined. `estimate` is the number with its interval,
    None for a dash or a text. `counts` are of the cells that gave no value, by what became of them;
    `left_out` are those that a condition on a scalar removed. `near_best` is the share of networks
    near the best one (`stat: best`) or the share of the mode. `cells` are the keys behind the
    number; `sample` and `pairs` (the values of `over`, one per member of the sample) serve
    comparisons, `members` are the keys behind the values of the sample, and `texts` are how many
    networks gave each text. `states` counts the networks that their analysis names by a state
    (`Results.states`), whatever the number. `task` is what the networks were evaluated on: equal
    tasks share their evaluation set.
    """

    value: float | str | None
    estimate: Estimate | None = None
    n: int = 0
    total: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    near_best: float | None = None
    cause: str = ""
    why: str = ""
    cells: tuple[str, ...] = ()
    sample: Sample | None = field(default=None, repr=False, compare=False)
    members: tuple[str, ...] = field(default=(), repr=False, compare=False)
    texts: Mapping[str, int] = field(default_factory=dict)
    states: Mapping[str, int] = field(default_factory=dict)
    pairs: tuple[Hashable, ...] = field(default=(), repr=False, compare=False)
    task: frozenset[Hashable] = field(default=frozenset(), repr=False, compare=False)


def aggregate(
    results: Results, rows: Sequence[int], quantity: Quantity, over: Sequence[str]
) -> Aggregate:
    """The quantity over `rows` of the frame, each cell key counted once; computed once.

    Conditions on axes narrow the population; conditions on scalars leave cells out of the
    statistic and are counted. A NaN among what remains makes a dash, never a smaller average, and
    so do two networks that differ in more than `over`. Only `best` bears a NaN where it does not
    decide: in a network that is not the best one. A share counts no NaN.
    """
    over = results.sides(over)
    key = "aggregate", tuple(rows), repr(quantity), tuple(over)
    if quantity.where or key not in results.memory:
        results.memory[key] = _aggregate(results, rows, quantity, over)
    found: Aggregate = results.memory[key]
    return found


def _aggregate(
    results: Results, rows: Sequence[int], quantity: Quantity, over: Sequence[str]
) -> Aggregate:
    axis = {name: wanted for name, wanted in quantity.where.items() if is_axis(name)}
    found = {name: wanted for name, wanted in quantity.where.items() if name not in axis}
    # The first row of every cell key: two grids may hold the same network.
    keys = results.column("cell")
    network = [name for name in ("cell", ITERATION) if name in results.frame.columns]
    population = sorted(
        min(same) for same in results.groups(results.keep(rows, axis), network).values()
    )
    if not population:
        return Aggregate(None, cause=f"no cell has {where_text(axis)}" if axis else "no cell")
    column = quantity.column
    assert column is not None
    account = _account(results, population, quantity, found)
    kept, counts = account.kept, Counter[str](cause.status for cause in account.causes.values())
    counts.update(undefined=len(account.blank), left_out=account.left_out)
    counted = Aggregate(
        None,
        n=len(kept) - len(account.blank),
        total=len(population),
        counts=counts,
        cells=tuple(str(keys[row]) for row in population),
        states=results.states(population, [column, *_by(quantity)]),
    )
    cause = _why_not(results, account, len(population), found, over)
    if cause:
        return replace(counted, cause=cause)
    values = [results.column(column)[row] for row in kept]
    by = [results.column(name)[row] for name in _by(quantity) for row in kept]
    why = _commonest([cause.reason for cause in account.blank.values()])
    task = frozenset(results.task(row) for row in kept)
    result = _evaluate(values, by, quantity, replace(counted, why=why, task=task))
    if result.estimate is not None and (noise := _noise(results, kept, by, quantity)):
        result = replace(result, estimate=result.estimate.with_noise(noise))
    if results.of_pairs and result.estimate is not None:
        # Their interval would be too narrow, and there is none for pairs.
        bare = replace(result.estimate, low=nan, high=nan, why=f"{NOT_INDEPENDENT}: no interval")
        result = replace(result, estimate=bare)
    if result.value is None and not result.cause:
        result = replace(result, cause=_why_undefined(quantity, values, by, why))
    members = tuple(str(keys[row]) for row in kept)
    return replace(result, members=members, pairs=tuple(results.levels(row, over) for row in kept))


def statistic_of(quantity: Quantity) -> Statistic:
    """The statistic that a quantity names."""
    return statistic_named(quantity.statistic, quantity.of)


def missing_text(found: Aggregate) -> str:
    """What became of the cells that gave no value: `2 failed, 1 not applicable`."""
    statuses = ("failed", "lost", "not_applicable", "missing", "left_out", "undefined")
    counts = {status: found.counts[status] for status in statuses}
    if found.why and sum(counts.values()) == counts["undefined"]:
        return f"undefined in {counts['undefined']} of {found.total}: {found.why}"
    listed = ", ".join(f"{n} {_word(status)}" for status, n in counts.items() if n)
    return f"{listed}: {found.why}" if found.why else listed


def states_text(found: Aggregate) -> str:
    """How many networks are in a state that their analysis names: `3 silent`."""
    return ", ".join(f"{n} {name}" for name, n in found.states.items())


def _noise(results: Results, kept: Sequence[int], by: Sequence[Any], quantity: Quantity) -> float:
    """The standard error of the evaluation set in a statistic of the column; 0 where none is known.

    One set for all networks: its errors do not average out over them.
    """
    column = results.error_of(quantity.column or "")
    if column is None or quantity.is_share or statistic_of(quantity).pairs:
        return 0.0
    stored = [results.column(column)[row] for row in kept]
    if any(isinstance(error, str) for error in stored):  # a store of others may hold anything
        return 0.0
    errors = np.array(stored, float)
    ranking = None
    if by:
        ranking = np.array(by, float) * (-1.0 if quantity.direction == "max" else 1.0)
    noise = float(statistic_of(quantity)(errors, ranking))
    return noise if np.isfinite(noise) else 0.0


def _why_undefined(quantity: Quantity, values: Sequence[Any], by: Sequence[Any], why: str) -> str:
    n = len(values)
    if statistic_of(quantity).pairs:
        columns = {quantity.column: values, quantity.by: by}
        equal = [
            f"{name} is {found[0]:g} in all {n}"
            for name, found in columns.items()
            if len(set(found)) == 1
        ]
        return f"{' and '.join(equal)}, so that there is no order"
    if quantity.of is not None and quantity.of > n:
        return f"the best of {quantity.of} runs asks for {quantity.of} networks; there are {n}"
    return f"undefined in the best network: {why}"


def _by(quantity: Quantity) -> list[str]:
    statistic = statistic_of(quantity)
    return [quantity.by or quantity.column or ""] if statistic.ranks or statistic.pairs else []


@dataclass(frozen=True)
class _Account:
    """Rows that count (`kept`; those in `blank` only for what is best), and why others do not."""

    kept: list[int]
    blank: dict[int, Cause]
    causes: dict[int, Cause]
    left_out: int


def _account(
    results: Results,
    population: Sequence[int],
    quantity: Quantity,
    conditions: Mapping[str, Any],
) -> _Account:
    account = _Account([], {}, {}, 0)
    left_out = 0
    names = [quantity.column or "", *_by(quantity)]
    for row in population:
        if not conditions and all(results.is_done(row, name) for name in names):
            account.kept.append(row)
            continue
        known = [results.cause(row, name) for name in conditions]
        absent = next((one for one in known if one.status not in ("done", "undefined")), None)
        if absent is None and not results.keep([row], conditions):
            left_out += 1
            continue
        value = results.cause(row, quantity.column or "")
        ranks = [results.cause(row, name) for name in _by(quantity)]
        if statistic_of(quantity).leaves_out and "undefined" in {c.status for c in (value, *ranks)}:
            left_out += 1
            continue
        blank = value.status == "undefined"
        borne = statistic_of(quantity).ranks and blank
        # What is undefined has no value that a share counts, and is one of those it is a share of.
        aside = borne or (quantity.share is not None and blank)
        wanted = [*known, *ranks] if aside else [*known, *ranks, value]
        absent = absent or next((one for one in wanted if one.status != "done"), None)
        if absent is not None:
            account.causes[row] = absent
            continue
        account.kept.append(row)
        if borne:
            account.blank[row] = value
    return replace(account, left_out=left_out)


def _why_not(
    results: Results,
    account: _Account,
    total: int,
    conditions: Mapping[str, Any],
    over: Sequence[str],
) -> str:
    """The cause of a dash; empty where a number can be given."""
    causes, kept = account.causes, account.kept
    undefined = [cause.reason for cause in causes.values() if cause.status == "undefined"]
    if undefined:
        return f"undefined in {len(undefined)} of {total}: {_commonest(undefined)}"
    if not kept and causes:
        words = Counter(cause.status for cause in causes.values())
        status, count = words.most_common(1)[0]
        reasons = [c.reason for c in causes.values() if c.status == status and c.reason]
        why = f": {_commonest(reasons)}" if reasons else ""
        return (_word(status) if count == total else f"{_word(status)} in {count}") + why
    if not kept:
        return f"none of {total} has {where_text(conditions)}"
    merged = [rows for rows in results.groups(kept, over).values() if len(rows) > 1]
    if merged:
        names = sorted({name for rows in merged for name in results.varying(rows)} - set(over))
        return (
            f"several networks would fall into one number: they differ in {', '.join(names)}; "
            "name it in rows, columns, where or over"
        )
    return ""


def _evaluate(
    values: Sequence[Any], by: Sequence[Any], quantity: Quantity, account: Aggregate
) -> Aggregate:
    if quantity.share is not None:
        values = [quantity.share.counts(value) for value in values]
    statistic = statistic_of(quantity)
    if statistic.reads == "labels":
        values, by = _coded([*values], [*by])
    textual = any(isinstance(value, str) for value in values)
    if any(isinstance(value, str) for value in by):
        return replace(account, cause=f"{quantity.by} is text, by which nothing can be ranked")
    sign = -1.0 if statistic.ranks and quantity.direction == "max" else 1.0
    ranking = sign * np.array(by, float) if by else None
    picks = statistic.ranks and not statistic.counts_runs
    if statistic.reads == "texts" or (textual and (picks or len(values) == 1)):
        read = statistic if picks else statistic_named("mode")
        return _evaluate_text(values, ranking, read, quantity.within, account)
    if textual:
        return replace(account, cause=f"{quantity.column} is text: use `stat: mode` or `share`")
    if statistic.reads == "truths" and not all(value in (0, 1) for value in values):
        cause = f"{quantity.column} is not yes or no: use `share: {{of, equals}}`"
        return replace(account, cause=cause)
    sample = Sample(np.array(values, float), ranking)
    if np.isnan(statistic(sample.values, sample.by)):
        return account
    found = statistic.interval(sample)
    near = share_near_best(ranking, quantity.within) if picks and ranking is not None else None
    return replace(account, value=found.value, estimate=found, near_best=near, sample=sample)


def _coded(values: list[Any], by: list[Any]) -> tuple[list[int], list[int]]:
    """Equal numbers for equal values of either column."""
    texts = [level_text(hashable(value)) for value in values + by]
    codes = [sorted(set(texts)).index(text) for text in texts]
    return codes[: len(values)], codes[len(values) :]


def _evaluate_text(
    values: Sequence[Any],
    ranking: NDArray[np.float64] | None,
    statistic: Statistic,
    within: float,
    account: Aggregate,
) -> Aggregate:
    """The commonest text, or that of the best network."""
    texts = [level_text(hashable(value)) for value in values]
    names = sorted(set(texts))
    codes = Sample(np.array([names.index(text) for text in texts], float), ranking)
    value = names[int(statistic(codes.values, codes.by))]
    if values[texts.index(value)] is None:
        return account
    counts = Counter(texts)
    common = counts[value] / len(texts)
    near = common if ranking is None else share_near_best(ranking, within)
    return replace(account, value=value, near_best=near, texts=counts)


def _commonest(reasons: Sequence[str]) -> str:
    """The reasons, each with the number of networks that have it where they have not all one."""
    counted = Counter(reasons).most_common()
    if len(counted) <= 1:
        return counted[0][0] if counted else ""
    listed = ", ".join(f"{reason} ({count})" for reason, count in counted[:_MOST_REASONS])
    more = sum(count for _, count in counted[_MOST_REASONS:])
    return f"{listed}, others ({more})" if more else listed


def _word(status: str) -> str:
    return "not run" if status == "missing" else status.replace("_", " ")
