"""A number on a scale whose ends are measured: 0 as in some networks, 1 as in others.

    (value - zero) / (one - zero)

`zero` and `one` are the same statistic over the networks that a scale names: those in which there
is nothing to find, and those in which there is all of it.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from emtkit.plugin.statistic import Sample
from emtkit.report.data.results import Results, is_axis, level_text
from emtkit.report.inference.aggregate import Aggregate, aggregate
from emtkit.study.quantity import Scale, Value
from emtkit.study.wanted import Where

EQUAL = 1e-9
"""Ends that differ by less than this of the greater leave nothing between them but rounding."""


def on_scale(
    results: Results, found: Aggregate, value: Value, levels: Mapping[str, Any]
) -> Aggregate:
    """`found`, of the networks that have these `levels`, on the scale of its value.

    The ends are taken as they are: the interval is that of the value, in units of the scale. There
    is no number where an end has none, or both are equal; the cause says so.
    """
    if found.value is None or value.scale is None:
        return found
    ends: list[float] = []
    for name in Scale.model_fields:
        end = _end(results, value, getattr(value.scale, name), levels)
        if not isinstance(end.value, float):
            why = end.cause or f"{end.value} is no number"
            return _no_number(found, f"the scale has no {name}: {why}")
        ends.append(end.value)
        found = replace(found, cells=tuple(dict.fromkeys((*found.cells, *end.cells))))
    zero, one = ends
    if not isinstance(found.value, float):
        return _no_number(found, f"{value.value} is text, and has no scale")
    if math.isclose(zero, one, rel_tol=EQUAL):
        return _no_number(found, f"zero and one of the scale are equal ({zero:.3g})")
    return _moved(found, zero, one - zero)


def _end(results: Results, value: Value, where: Where, levels: Mapping[str, Any]) -> Aggregate:
    """The number at one end: on the same task, and else in networks as alike as there are."""
    members = results.keep(range(len(results)), where)
    asked = [(name, one) for name, one in (*value.where.items(), *levels.items()) if is_axis(name)]
    asked = [(name, one) for name, one in asked if name not in where]
    met = results.met(members, asked)
    for name, level in asked:
        if name.partition(".")[0] == "task" and name not in met:
            return Aggregate(None, cause=f"no such network on {name} = {level_text(level)}")
    found = {name: one for name, one in value.where.items() if not is_axis(name)}
    quantity = value.model_copy(update={"where": found})
    return aggregate(results, results.keep(members, met), quantity, ["seed", "grid"])


def _moved(found: Aggregate, zero: float, unit: float) -> Aggregate:
    """The aggregate with all its numbers on the scale."""
    assert isinstance(found.value, float)
    estimate, sample = found.estimate, found.sample
    if estimate is not None:
        low, high = ((end - zero) / unit for end in (estimate.low, estimate.high))
        estimate = replace(
            estimate,
            value=(estimate.value - zero) / unit,
            low=low if unit > 0 else high,
            high=high if unit > 0 else low,
            noise=estimate.noise / abs(unit),
        )
    if sample is not None:
        sample = Sample((sample.values - zero) / unit, sample.by)
    return replace(found, value=(found.value - zero) / unit, estimate=estimate, sample=sample)


def _no_number(found: Aggregate, cause: str) -> Aggregate:
    return replace(found, value=None, estimate=None, sample=None, near_best=None, cause=cause)
