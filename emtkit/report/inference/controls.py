"""Which networks a combination of a claim is held against, and what is asked of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emtkit.report.data.results import Results, on_axes, where_text
from emtkit.report.inference.verdict import Control, Verdict
from emtkit.study.quantity import Quantity
from emtkit.study.roles import CONTROLS, Role
from emtkit.study.views import Claim, Expect

SAME = "both sides of the comparison would be the same networks"


@dataclass(frozen=True)
class Asked:
    """What is asked of one control: the expectation, on its `rows`, compared with `against`.

    `cause`: why nothing can be asked of it; empty where something can.
    """

    name: str
    role: Role
    expect: Expect
    rows: list[int]
    against: list[int]
    cause: str = ""


def asked_of_controls(
    results: Results,
    claim: Claim,
    levels: Sequence[tuple[str, Any]],
    rows: Sequence[int],
    against: Sequence[int],
) -> Iterator[Asked]:
    """What is asked of every control of a combination that has these levels and rows.

    The expectation is the claim's own. Of its conditions, and of the combination's levels, those
    are kept that networks of the control meet; the others fall. What it is compared with is
    taken from the control where that has networks of the compared condition, else left as it is.
    No network is its own control. A control that the claim does not name itself, but has from the
    study, counts only with networks on the same tasks.
    """
    key = results.column("cell")
    own = {key[row] for row in (*rows, *against)}
    task = [name for name in map(str, results.frame.columns) if name.startswith("task.")]
    tasks = {results.levels(row, ["task", *task]) for row in (*rows, *against)}
    for role in CONTROLS:
        for name, found in _named(results, claim, role):
            members = [row for row in found if key[row] not in own]
            if claim.controls(role) is None:
                same = ["task", *task]
                members = [row for row in members if results.levels(row, same) in tasks]
                if not members:
                    continue
            if members:
                yield _asked(results, claim.asked, name, role, levels, members, list(against))
            else:
                cause = "it has no networks but the claim's own" if found else "it has no networks"
                yield Asked(name, role, claim.expect, [], [], cause)


def outcome(asked: Asked, verdicts: Sequence[Verdict]) -> Control:
    """What a control shows, by the verdicts on its combinations.

    A negative control is satisfied if one of them is, a positive one if all are. An undefined
    number satisfies nothing; what was not run, or does not apply, says nothing.
    """
    answers = [_answer(verdict) for verdict in verdicts]
    decisive = asked.role == "negative"
    said = next((one for one in (decisive, not decisive) if one in answers), None)
    if not verdicts or said is None:
        cause = asked.cause or next((one.cause for one in verdicts), "it has no networks")
        return Control(asked.name, asked.role, None, cause=cause)
    shown = verdicts[answers.index(said)]
    cause = shown.cause if shown.value is None else ""
    cells = tuple(dict.fromkeys(cell for one in verdicts for cell in one.cells))
    return Control(asked.name, asked.role, said, shown.value, shown.compared, cause, cells)


def _answer(verdict: Verdict) -> bool | None:
    if verdict.word == "not testable" and not verdict.cause.startswith("undefined"):
        return None
    return verdict.word == "supported"


def _named(results: Results, claim: Claim, role: Role) -> Iterator[tuple[str, list[int]]]:
    """The name and the rows of each control of this role."""
    given, whole = claim.controls(role), range(len(results))
    if isinstance(given, Mapping):
        yield where_text(given), results.keep(whole, given)
    elif given is not None:
        for name in given:
            yield name, results.keep(whole, {"grid": name})
    elif "role" in results.frame.columns:
        of_role = results.keep(whole, {"role": role})
        for (name,), rows in results.groups(of_role, ["grid"]).items():
            yield str(name), rows


def _asked(
    results: Results,
    expect: Expect,
    name: str,
    role: Role,
    levels: Sequence[tuple[str, Any]],
    members: list[int],
    against: list[int],
) -> Asked:
    met = results.met(members, (*expect.where.items(), *levels))
    rows = results.keep(members, on_axes(met))
    asked = expect.model_copy(update={"where": met})
    if not isinstance(expect.bound, Quantity):
        return Asked(name, role, asked, rows, [])
    compared = results.keep(members, on_axes({**met, **expect.bound.where}))
    other = asked.other
    assert other is not None
    alike = (other.column, other.statistic) == (asked.column, asked.statistic)
    cause = SAME if alike and compared == rows else ""
    return Asked(name, role, asked, rows, compared or against, cause)
