"""The results with a row per network and snapshot, for views of what training does."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from emtkit.plugin.over_training import TABLE
from emtkit.report.data.results import Results
from emtkit.store.store import Store
from emtkit.study.plan import Plan
from emtkit.study.views import ITERATION


def with_snapshots(results: Results, plan: Plan, store: Store) -> Results:
    """The results, with those over training (`Results.seen_by`) where a view asks for them.

    Over training every network with an analysis `at: snapshots` has a row per snapshot: the column
    `iteration`, the scalars of these analyses then, and else what the network has at its end. What
    is not measured yet has rows without numbers.
    """
    if not plan.study.over_training:
        return results
    places: list[int] = []
    records: list[dict[str, Any]] = []
    reasons: list[tuple[str, str, str, str, str]] = []
    for place, row in enumerate(plan.rows):
        measured = [one for one in row.measures if one.at == "snapshots" and one.reason is None]
        found: dict[int, dict[str, Any]] = {step: {} for one in measured for step in one.steps}
        for measure in measured:
            table = store.content(measure.key).tables.get(TABLE)
            if table is None:
                continue
            for step, name, value, text, reason in table.itertuples(index=False):
                found[int(step)][f"{measure.label}.{name}"] = text or value
                if reason:
                    at = f"{row.cell.key}@{int(step)}"
                    reasons.append((at, measure.label, name, reason, "done"))
        places += [place] * len(found)
        records += [{ITERATION: step, **found[step]} for step in sorted(found)]
    names = list(dict.fromkeys(name for record in records for name in record))
    own = {name: _column([record.get(name) for record in records]) for name in names}
    kept = results.frame.iloc[places].reset_index(drop=True)
    frame = pd.concat([kept.drop(columns=names, errors="ignore"), pd.DataFrame(own)], axis=1)
    more = pd.DataFrame(reasons, columns=results.reasons.columns, dtype=str)
    why = pd.concat([results.reasons, more], ignore_index=True)
    over = Results(frame, why, results.conditions)
    return Results(results.frame, results.reasons, results.conditions, over)


def _column(values: list[Any]) -> Any:
    present: Mapping[bool, Any] = {isinstance(one, str): one for one in values if one is not None}
    return pd.Series(values, dtype=object if True in present else float)
