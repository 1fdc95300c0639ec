"""Which two networks a comparison looks at: always on one setting of a task."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations, product
from typing import Any

from emtkit.errors import EmtkitError, did_you_mean
from emtkit.plugin.applies import refusal
from emtkit.plugin.registry import Registry
from emtkit.study.cells import Measure, PluginConfig, Row, canonical, digest
from emtkit.study.checked import Problems
from emtkit.study.columns import columns
from emtkit.study.entries import Entry
from emtkit.study.pair_choice import PairChoice
from emtkit.study.resolve import Setting, settings
from emtkit.study.wanted import matches


@dataclass(frozen=True)
class NetworkPair:
    """Two networks, under the labels of their study, and what is compared of them.

    Of a pair that is compared both ways alike, `first` has the key that comes first.
    """

    first: Row
    second: Row
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Chosen:
    """The pairs of one comparison, among the first `seeds` of all `seeds_there`."""

    pairs: tuple[tuple[Row, Row], ...]
    possible: int
    seeds: int
    seeds_there: int


def compared_by(
    entries: Iterable[Entry], rows: Sequence[Row], registry: Registry, problems: Problems
) -> tuple[Setting, ...]:
    """The comparisons of a study; wrong ones, and too many pairs, are noted and left out."""
    found: list[Setting] = []
    known = {name for row in rows for name in columns(row)}
    for entry in entries:
        here, choice = (*entry.path, "pairs"), entry.pairs or PairChoice()
        for name in () if choice.differ == "all" else choice.differ:
            if name.partition(".")[0] == "task":
                hint = "two networks are compared on one setting of a task"
                problems.say(here, f"`pairs` cannot differ in '{name}'", hint)
            elif not any(one == name or one.startswith(f"{name}.") for one in known):
                problems.say(here, f"no network has '{name}'", did_you_mean(name, sorted(known)))
        for one in settings("comparison", entry, registry, problems):
            try:
                choose_for(one, rows, registry)
            except EmtkitError as error:
                hint = "name fewer columns in which they `differ`, a reference, or raise `most`"
                problems.say(here, str(error), hint)
            else:
                found.append(one)
    return tuple(found)


def choose_for(comparison: Setting, rows: Iterable[Row], registry: Registry) -> Chosen:
    """The pairs that a comparison of a study looks at.

    Raises:
        EmtkitError: there are too many.
    """
    choice = comparison.entry.pairs or PairChoice()
    symmetric = registry.comparisons[comparison.config.name].symmetric
    return choose(rows, choice, symmetric=symmetric)


def choose(rows: Iterable[Row], choice: PairChoice, *, symmetric: bool) -> Chosen:
    """The pairs of these rows that are compared, each network once.

    Where there are more than `most`, networks of the highest seeds are left out, one seed after
    the other: what is left is whole, with every pair among the networks that are in it.

    Raises:
        EmtkitError: one seed of each network gives too many already.
    """
    found = {row.cell.key: row for row in reversed([*rows]) if row.cell.reason is None}
    there = sorted({row.cell.seed for row in found.values()})
    groups = _groups(found.values(), choice)
    possible = kept = sum(group.count(None, symmetric) for group in groups)
    seeds = len(there)
    while kept > choice.most:
        seeds -= 1
        if not seeds:
            said = f"one seed of every network gives {kept:,} pairs"
            raise EmtkitError(f"{said}, and `most` allows {choice.most:,}")
        kept = sum(group.count(there[seeds - 1], symmetric) for group in groups)
    last = there[seeds - 1] if there else None
    pairs = tuple(pair for group in groups for pair in group.pairs(last, symmetric))
    return Chosen(pairs, possible, seeds, len(there))


def comparison_key(first: str, second: str, comparison: PluginConfig) -> str:
    """Key of a finding on two networks: both cells, and the comparison with its parameters."""
    return digest(["comparison", first, second, comparison.identity()])


def measure_of(
    pair: tuple[Row, Row], label: str, comparison: PluginConfig, registry: Registry
) -> Measure:
    """The comparison of two networks, with the reason where it does not apply."""
    first, second = (row.cell for row in pair)
    cls = registry.comparisons[comparison.name]
    reasons = [
        refusal(cls, registry.tasks[cell.task.name], registry.architectures[cell.architecture.name])
        for cell in (first, second)
    ]
    key = comparison_key(first.key, second.key, comparison)
    reason = next((one for one in reasons if one is not None), None)
    return Measure(key, label, comparison, "end", (), reason, second.key)


def joined(found: Iterable[tuple[tuple[Row, Row], Measure]]) -> tuple[NetworkPair, ...]:
    """One record for each pair of networks, with everything that is compared of it."""
    pairs: dict[tuple[str, str], NetworkPair] = {}
    for (first, second), measure in found:
        key = first.cell.key, second.cell.key
        known = pairs.get(key, NetworkPair(first, second, ()))
        pairs[key] = replace(known, measures=(*known.measures, measure))
    return tuple(pairs.values())


@dataclass(frozen=True)
class _Group:
    """Networks any two of which may be compared; `references` where it is with these alone."""

    members: Sequence[Row]
    references: Sequence[Row] | None

    def count(self, last: int | None, symmetric: bool) -> int:
        """How many pairs there are among seeds up to `last`."""
        n = len(_first(self.members, last))
        both = 1 if symmetric else 2
        if self.references is not None:
            return both * n * len(_first(self.references, last))
        return both * n * (n - 1) // 2

    def pairs(self, last: int | None, symmetric: bool) -> Iterator[tuple[Row, Row]]:
        """These pairs."""
        members = sorted(_first(self.members, last), key=lambda row: row.cell.key)
        if self.references is None:
            yield from (combinations if symmetric else permutations)(members, 2)
            return
        for one, other in product(members, _first(self.references, last)):
            forth = one.cell.key < other.cell.key
            if forth or not symmetric:
                yield one, other
            if not (forth and symmetric):
                yield other, one


def _groups(rows: Iterable[Row], choice: PairChoice) -> list[_Group]:
    found: dict[str, tuple[list[Row], list[Row]]] = {}
    for row in rows:
        own = columns(row)
        fixed = {name: value for name, value in own.items() if not choice.frees(name)}
        members, references = found.setdefault(canonical(fixed), ([], []))
        (references if _matches(own, choice.against) else members).append(row)
    named = choice.against is not None
    return [_Group(members, others if named else None) for members, others in found.values()]


def _matches(own: Mapping[str, Any], where: Mapping[str, Any] | None) -> bool:
    return where is not None and all(
        name in own and matches(own[name], wanted) for name, wanted in where.items()
    )


def _first(rows: Sequence[Row], last: int | None) -> Sequence[Row]:
    return rows if last is None else [row for row in rows if row.cell.seed <= last]
