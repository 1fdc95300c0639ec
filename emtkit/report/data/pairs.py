"""The results with a row per two networks that were compared, for views of comparisons.

The columns of the first network keep their names, those of the second begin with `other.`;
`same.<axis>` says whether the two agree on it, `apart.<scalar>` how far apart their numbers are.
Pairs that are compared both ways alike have two rows, one from each side, under one name in `cell`,
by which they count once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from emtkit.report.data.frame import column_of
from emtkit.report.data.results import Results, View, is_axis
from emtkit.report.data.sides import APART, BETWEEN, OTHER, SAME
from emtkit.store.records import FindingResult
from emtkit.store.store import Store
from emtkit.study.cells import Measure
from emtkit.study.plan import Plan
from emtkit.study.views import compared_in, speaks_of_pairs

Reason = tuple[str, str, str, str, str]
Place = tuple[str, str]


def with_pairs(results: Results, plan: Plan, store: Store) -> Results:
    """The results, with those of pairs (`Results.seen_by`) where the study compares networks."""
    if not plan.comparisons:
        return results
    findings = store.findings_of(m.key for pair in plan.pairs for m in pair.measures)
    classes = plan.registry.comparisons
    both_ways = all(classes[one.config.name].symmetric for one in plan.comparisons)
    records: dict[Place, dict[str, Any]] = {}
    compared: dict[str, list[Place]] = {one.label: [] for one in plan.comparisons}
    reasons: dict[Reason, None] = {}
    for pair in plan.pairs:
        place = pair.first.cell.key, pair.second.cell.key
        for measure in pair.measures:
            found = findings.get(measure.key)
            named = {f"{measure.label}.{k}": v for k, v in found.scalars.items()} if found else {}
            symmetric = classes[measure.analysis.name].symmetric
            for at in (place, place[::-1]) if symmetric else (place,):
                records.setdefault(at, {}).update(named)
                compared[measure.label].append(at)
                name = _name(at, both_ways)
                reasons.update(dict.fromkeys(pair_reasons(name, measure, found)))
    # In the order of the study, which views keep.
    order = {key: at for at, key in enumerate(dict.fromkeys(results.frame["cell"].tolist()))}
    records = dict(sorted(records.items(), key=lambda one: [order[key] for key in one[0]]))
    rows = {place: at for at, place in enumerate(records)}
    return results.with_pairs(
        _Pairs(
            _frame(results.frame, records, both_ways),
            pd.DataFrame(list(reasons), columns=["cell", "label", "scalar", "reason", "status"]),
            results.conditions,
            {label: frozenset(rows[place] for place in found) for label, found in compared.items()},
        )
    )


@dataclass(frozen=True, eq=False)
class _Pairs:
    """What views of pairs read: the rows `compared` by each comparison, by its label."""

    frame: pd.DataFrame
    reasons: pd.DataFrame
    conditions: Mapping[str, tuple[str, ...]]
    compared: Mapping[str, frozenset[int]]
    _known: dict[frozenset[str], Results] = field(default_factory=dict)

    def __call__(self, view: View | None) -> Results | None:
        """The pairs that are compared by all that a view names; None where it shows no pairs.

        Without a view: all pairs.
        """
        if view is None:
            return Results(self.frame, self.reasons, self.conditions, of_pairs=True)
        if not speaks_of_pairs(view, self.compared):
            return None
        labels = compared_in(view, self.compared)
        if labels not in self._known:
            rows = frozenset.intersection(*(self.compared[label] for label in labels))
            part = self.frame.iloc[sorted(rows)].reset_index(drop=True)
            self._known[labels] = Results(part, self.reasons, self.conditions, of_pairs=True)
        return self._known[labels]


def _name(place: Place, both_ways: bool) -> str:
    """What a pair is called: the two keys, in order where both ways are one."""
    return BETWEEN.join(sorted(place) if both_ways else place)


def _frame(
    networks: pd.DataFrame, records: Mapping[Place, Mapping[str, Any]], both_ways: bool
) -> pd.DataFrame:
    rows = {key: at for at, key in reversed(list(enumerate(networks["cell"].tolist())))}
    first = networks.iloc[[rows[one] for one, _ in records]].reset_index(drop=True)
    second = networks.iloc[[rows[other] for _, other in records]].reset_index(drop=True)
    ended = first["status"].mask(first["status"] == "done", second["status"])
    why = first["reason"].mask(first["status"] == "done", second["reason"])
    axes = [name for name in map(str, networks.columns) if _is_compared(name)]
    same = {f"{SAME}{name}": _agree(first[name], second[name]) for name in axes}
    names = list(dict.fromkeys(name for record in records.values() for name in record))
    apart = {f"{APART}{name}": (first[name] - second[name]).abs() for name in _numbers(networks)}
    own = {name: column_of([one.get(name) for one in records.values()]) for name in names}
    cells = [_name(place, both_ways) for place in records]
    left = first.assign(cell=cells, status=ended, reason=why)
    right = second.drop(columns=["status", "reason"]).add_prefix(OTHER)
    return pd.concat([left, right, pd.DataFrame({**same, **apart, **own})], axis=1)


def _numbers(networks: pd.DataFrame) -> list[str]:
    """The columns of numbers that were found of networks."""
    named = zip(map(str, networks.columns), networks.dtypes, strict=True)
    return [name for name, kind in named if kind.kind in "if" and "." in name and not is_axis(name)]


def _is_compared(name: str) -> bool:
    return name in ("architecture", "seed", "grid") or name.startswith(
        ("architecture.", "training.")
    )


def _agree(one: "pd.Series[Any]", other: "pd.Series[Any]") -> list[bool]:
    """Whether two columns agree, row by row; two that have no value do."""
    return [bool(a == b or (a != a and b != b)) for a, b in zip(one, other, strict=True)]


def pair_reasons(name: str, measure: Measure, found: FindingResult | None) -> Iterator[Reason]:
    """Why what was asked of two networks is not there, or not all of it."""
    label = measure.label
    if measure.reason is not None:
        yield name, label, "", measure.reason, "not_applicable"
    elif found is None:
        yield name, label, "", "not compared yet; `emtkit run` compares it", "missing"
    elif found.status != "done":
        yield name, label, "", found.error, found.status
    else:
        for scalar, reason in found.reasons.items():
            yield name, label, scalar, reason, "done"
