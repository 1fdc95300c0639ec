"""Claims of a study against its results, and against their controls.

Supported: the 95 % interval lies wholly on the claimed side (for `equals` within `tolerance`) and,
where there is a p, p < alpha. Not supported: wholly on the other side. Where a comparison has no
interval, p < alpha and its sign decide. Else inconclusive. A claim whose cells were not all run, or
whose numbers are undefined, is not testable. The p of all comparisons of the study's claims are
Holm-corrected together: the study is the family. What is then supported must be refused in the
negative controls, and found in the positive ones (`verdict.held_against`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from emtkit.errors import EmtkitError
from emtkit.plugin.statistic import NORMAL_95, Estimate
from emtkit.report.data.results import Results, hashable, level_text, where_text
from emtkit.report.data.unlike import one_setting, unlike
from emtkit.report.inference.aggregate import Aggregate, aggregate, missing_text, statistic_of
from emtkit.report.inference.combinations import Combination, combinations, combined
from emtkit.report.inference.controls import Asked, asked_of_controls, outcome
from emtkit.report.inference.exchanged import difference_of
from emtkit.report.inference.mantel import mantel_difference
from emtkit.report.inference.paired import PairedDifference, corrected
from emtkit.report.inference.permuted import permuted_control
from emtkit.report.inference.statistics.mode import is_commonest
from emtkit.report.inference.verdict import Control, Verdict, held_against, summary
from emtkit.study.quantity import Quantity
from emtkit.study.views import Claim, EachShare, Expect


@dataclass(frozen=True)
class _Case:
    """A combination: the aggregate, that which it is compared with, and their difference."""

    one: Combination
    found: Aggregate
    other: Aggregate | None = None
    comparison: PairedDifference | None = None


def verdicts_of(results: Results, claims: Sequence[Claim]) -> list[Verdict]:
    """A verdict per claim, or per combination of a claim that is decided `for: each`.

    The comparisons of all claims are one family.
    """
    found: list[list[_Case] | str] = []
    for claim in claims:
        seen = results.seen_by(claim)
        try:
            among = combinations(seen, claim.expect)
            cases = _cases(seen, [(claim.asked, one) for one in among])
        except EmtkitError as error:
            found.append(str(error))
            continue
        found.append(cases or f"no cell of the results has {where_text(claim.expect.where)}")
    family = [case for cases in found if not isinstance(cases, str) for case in cases]
    after = iter(_corrected(family))
    return [
        verdict
        for claim, cases in zip(claims, found, strict=True)
        for verdict in (
            [Verdict(claim, "not testable", cause=cases)]
            if isinstance(cases, str)
            else _verdicts_on(results.seen_by(claim), claim, [next(after) for _ in cases])
        )
    ]


def _verdicts_on(results: Results, claim: Claim, cases: Sequence[_Case]) -> list[Verdict]:
    """The verdicts on one claim: one per combination (`each`), else one over all of them."""
    found = [_told(results, _decide(claim, case), case.one) for case in cases]
    controls = _controls(results, claim, [case.one for case in cases])
    own = [permuted_control(case.found, claim.expect) for case in cases]
    parts = [held_against(one, (*a, *b)) for one, a, b in zip(found, own, controls, strict=True)]
    scope = claim.expect.scope
    if scope == "each":
        return parts
    # One that is undefined is not as all should be.
    parts = [replace(one, word="not supported") if _is_undefined(one) else one for one in parts]
    return [summary(claim, parts, scope.share if isinstance(scope, EachShare) else 1.0)]


def _told(results: Results, verdict: Verdict, one: Combination) -> Verdict:
    """The verdict with the number of cells that met the claim's condition, and what is unlike."""
    given, key = verdict.claim.given, results.column("cell")
    remarks = _remarks(results, verdict.claim.expect, one)
    if states := _states(results, verdict.claim.expect, one):
        remarks = (*remarks, states)
    verdict = replace(verdict, remarks=remarks)
    if not given:
        return verdict
    cells = {key[row] for row in (*one.rows, *one.against)}
    met = {key[row] for row in results.keep((*one.rows, *one.against), given)}
    text = f"{len(met)} of {len(cells)} cells met {where_text(given)}"
    if not met and verdict.cause.startswith("none of"):
        return replace(verdict, cause=f"not applicable: {text}", given=text)
    return replace(verdict, given=text)


def _states(results: Results, expect: Expect, one: Combination) -> str:
    """How many of the networks are in a state that their analysis names: `3 of 16 silent`."""
    rows = (*one.rows, *one.against)
    found = results.states(rows, [expect.column or "", *([expect.by] if expect.by else [])])
    return ", ".join(f"{n} of {len(rows)} {name}" for name, n in found.items())


def _remarks(results: Results, expect: Expect, one: Combination) -> tuple[str, ...]:
    """What else differs between the two sides of a comparison, and whether they were tuned."""
    if expect.other is None or not one.against:
        return ()
    compared = {*expect.other.where, *expect.where}
    sides = [one.rows, one.against]
    differing = unlike(results, sides, compared, expect.over)
    also = [f"the sides also differ in {', '.join(differing)}"] if differing else []
    return (*also, *one_setting(results, sides))


def _is_undefined(verdict: Verdict) -> bool:
    return verdict.word == "not testable" and verdict.cause.startswith("undefined")


def _controls(results: Results, claim: Claim, among: Sequence[Combination]) -> list[list[Control]]:
    """What the controls of each combination show; their p are corrected together."""
    asked = [
        list(asked_of_controls(results, claim, one.levels, one.rows, one.against)) for one in among
    ]
    pairs = [(one, part) for each in asked for one in each for part in _parts(results, one)]
    cases = _corrected(_cases(results, [(one.expect, part) for one, part in pairs]))
    found: dict[int, list[Verdict]] = {}
    for (one, _), case in zip(pairs, cases, strict=True):
        found.setdefault(id(one), []).append(_decide(claim, _by_value(case), one.expect))
    return [[outcome(one, found.get(id(one), [])) for one in each] for each in asked]


def _by_value(case: _Case) -> _Case:
    """A control as it is judged: against a number by its value, for doubt must not favour a claim.

    A comparison keeps its interval and its p: where there is no difference, one of two sides is the
    greater by chance.
    """
    estimate = case.found.estimate
    if estimate is None or case.comparison is not None:
        return case
    point = replace(estimate, low=estimate.value, high=estimate.value, why="")
    found = replace(case.found, estimate=point)
    return replace(case, one=replace(case.one, deterministic=True), found=found)


def _parts(results: Results, asked: Asked) -> list[Combination]:
    """The combinations within one control; of one network its value decides."""
    if asked.cause:
        return []
    found = combined(results, asked.expect, asked.rows, asked.against)
    return [replace(one, deterministic=one.deterministic or len(one.rows) == 1) for one in found]


def _cases(results: Results, among: Sequence[tuple[Expect, Combination]]) -> list[_Case]:
    """Every combination with its numbers; p is not corrected yet."""
    found = []
    for expect, one in among:
        mine, other = aggregate(results, one.rows, expect, expect.over), expect.other
        if other is None:
            found.append(_Case(one, mine, comparison=mantel_difference(mine, expect)))
            continue
        second = aggregate(results, one.against, other, expect.over)
        columns = str(expect.column), str(other.column)
        sides, statistics = (mine, second), (statistic_of(expect), statistic_of(other))
        apart = difference_of(results, columns, sides, statistics, fixed=one.fixed)
        if expect.equals is not None or one.deterministic:
            apart = replace(apart, p=None)  # the interval decides, or nothing is left to chance
        found.append(_Case(one, mine, second, apart))
    return found


def _corrected(cases: Sequence[_Case]) -> list[_Case]:
    """The cases with the p of their comparisons corrected for how many there are."""
    fixed = iter(corrected([case.comparison for case in cases if case.comparison is not None]))
    return [
        case if case.comparison is None else replace(case, comparison=next(fixed)) for case in cases
    ]


def _decide(claim: Claim, case: _Case, expect: Expect | None = None) -> Verdict:
    """The verdict on one combination; `expect` is what a control is asked in the claim's place."""
    claim = claim if expect is None else claim.model_copy(update={"expect": expect})
    found, other = case.found, case.other
    base = Verdict(
        claim,
        "not testable",
        case.one.levels,
        value=found.value,
        compared=other.value if other is not None else None,
        n=found.n,
        total=found.total,
        cells=found.cells + (other.cells if other is not None else ()),
    )
    for side in (found, other):
        if side is not None and (cause := _untestable(side)):
            return replace(base, cause=cause)
    if not isinstance(found.value, float):
        return _decide_text(base, case)
    if case.comparison is not None:
        if case.comparison.difference is None:
            return replace(base, cause=case.comparison.cause)
        estimate, p = case.comparison.difference.estimate, case.comparison.p
    else:
        assert found.estimate is not None
        estimate, p = found.estimate, None
    base = replace(base, estimate=estimate, n=estimate.n, cause=missing_text(found))
    if certain := case.one.deterministic and all(map(_all_equal, filter(None, (found, other)))):
        base = replace(base, estimate=(estimate := estimate.of_constructed()))
    if estimate.n == 1 and not certain:
        return replace(base, word="inconclusive", cause="a single seed gives no interval")
    return _decide_number(base, estimate, p)


def _all_equal(found: Aggregate) -> bool:
    return found.sample is not None and bool(np.ptp(found.sample.values) == 0)


def _decide_number(base: Verdict, estimate: Estimate, p: float | None) -> Verdict:
    expect = base.claim.expect
    side = side_of(estimate, expect) if estimate.bounded else _side_by_test(estimate, expect, p)
    if side is None and (estimate.bounded or p is None or p < expect.alpha):
        cause = estimate.why or "the interval reaches to both sides"
        if not estimate.bounded and p is not None:
            cause = "the difference is within the error of the two evaluation sets"
        return replace(base, word="inconclusive", p=p, cause=cause)
    if side is False:
        return replace(base, word="not supported", p=p)
    if p is None or p < expect.alpha:
        return replace(base, word="supported", p=p)
    least = statistic_of(expect).least_p(estimate.n)
    beyond = least is not None and least >= expect.alpha
    short = f"; {estimate.n} seeds cannot go below {least:g}" if beyond else ""
    return replace(
        base, word="inconclusive", p=p, cause=f"p = {p:.3g} is not below {expect.alpha:g}{short}"
    )


def side_of(estimate: Estimate, expect: Expect) -> bool | None:
    """True: the interval lies wholly on the claimed side; False: wholly on the other; None: both.

    For a comparison the interval is that of the difference, and the bound is 0.
    """
    bound = expect.bound
    limit = 0.0 if isinstance(bound, Quantity) or bound is None else float(bound)
    low, high = estimate.low - limit, estimate.high - limit
    if expect.equals is not None:
        slack = expect.tolerance + 1e-12 * max(abs(limit), abs(estimate.value))
        inside, outside = max(abs(low), abs(high)) <= slack, low > slack or high < -slack
    elif expect.below is not None:
        inside, outside = high < expect.tolerance, low >= expect.tolerance
    else:
        inside, outside = low > -expect.tolerance, high <= -expect.tolerance
    return True if inside else (False if outside else None)


def _side_by_test(estimate: Estimate, expect: Expect, p: float | None) -> bool | None:
    """The side of a difference that p has shown; None where it has not, or a number is the bound.

    A margin is not tested: what is shown to lie below 0 lies below the margin, too.
    """
    if p is None or p >= expect.alpha or abs(estimate.value) <= NORMAL_95 * estimate.noise:
        return None
    return (estimate.value < 0) == (expect.below is not None)


def _decide_text(base: Verdict, case: _Case) -> Verdict:
    """Texts: a mode by how often each text comes; a best network's text is that of one network."""
    expect, found = base.claim.expect, case.found
    if expect.equals is None:
        return replace(base, cause=f"{expect.column} is text, and compares only with `equals`")
    target = case.other.value if case.other is not None else None
    if not isinstance(expect.bound, Quantity):
        target = level_text(hashable(expect.bound))
    if case.one.deterministic and len(found.texts) == 1:
        return replace(base, word="supported" if found.value == target else "not supported")
    if statistic_of(expect).ranks:
        return replace(base, word="inconclusive", cause=statistic_of(expect).lack)
    others = [count for text, count in found.texts.items() if text != target]
    shown = is_commonest(found.texts.get(str(target), 0), others)
    if shown is None:
        cause = f"{found.n} networks do not show which text is the commonest"
        return replace(base, word="inconclusive", cause=cause)
    return replace(base, word="supported" if shown else "not supported", cause="")


def _untestable(found: Aggregate) -> str:
    """Why a number decides nothing: cells that were not run, or a dash."""
    unknown = found.counts["missing"] + found.counts["lost"]
    if found.total and unknown and not found.cause.startswith("undefined"):
        return f"{unknown} of {found.total} cells were not run to the end"
    return found.cause
