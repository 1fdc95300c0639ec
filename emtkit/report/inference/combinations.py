"""The combinations of axes that a claim speaks of: which networks it puts side by side."""

from dataclasses import dataclass
from typing import Any

from emtkit.report.data.results import Results, on_axes
from emtkit.study.quantity import Quantity
from emtkit.study.views import Expect


@dataclass(frozen=True)
class Combination:
    """One combination that a claim speaks of: its levels, its rows, and those compared with.

    `deterministic`: seeds say nothing, since there is one by choice, or nothing to train in any
    network. `fixed`: it is compared with a single network that has nothing to train.
    """

    levels: tuple[tuple[str, Any], ...]
    rows: list[int]
    against: list[int]
    deterministic: bool
    fixed: bool


def combinations(results: Results, expect: Expect) -> list[Combination]:
    """Every combination of the axes that are neither fixed nor averaged."""
    other = expect.other
    against = results.shown(on_axes(other.where)) if other is not None else []
    return combined(results, expect, results.shown(on_axes(expect.where)), against)


def combined(
    results: Results, expect: Expect, rows: list[int], against: list[int]
) -> list[Combination]:
    """The combinations of these rows, each with those of `against` that it is compared with."""
    axes = results.distinguishing(rows, aside=expect.over)
    fixed = set(expect.bound.where) if isinstance(expect.bound, Quantity) else set()
    shared = [axis for axis in axes if axis not in fixed]
    partners = results.groups(against, shared)
    chosen = "seed" in expect.where or "seed" not in expect.over
    found = []
    for levels, members in results.groups(rows, axes).items():
        named = tuple(zip(axes, levels, strict=True))
        beside = partners.get(tuple(level for axis, level in named if axis in shared), [])
        still = {row for row in (*members, *beside) if _constructed(results, row)}
        deterministic = chosen or still == {*members, *beside}
        alone = len(beside) == 1 and beside[0] in still
        found.append(Combination(named, members, beside, deterministic, alone))
    return found


def _constructed(results: Results, row: int) -> bool:
    """Whether a network has nothing to train, so that its seed says nothing."""
    trained = "training.steps" in results.frame.columns
    return trained and results.column("training.steps")[row] is None
