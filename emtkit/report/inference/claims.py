"""Claims of a study against its results: supported, not supported, inconclusive, not testable.

Supported: the 95 % interval lies wholly on the claimed side (for `equals` within `tolerance`) and,
where there is a p, p < alpha. Not supported: wholly on the other side. Where a comparison has no
interval, p < alpha and its sign decide. Else inconclusive. A claim whose cells were not all run, or
whose numbers are undefined, is not testable. The p of all comparisons of the study's claims are
Holm-corrected together: the study is the family.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from emtkit.errors import EmtkitError
from emtkit.plugin.statistic import NORMAL_95, Estimate
from emtkit.report.data.results import Results, hashable, is_axis, level_text, where_text
from emtkit.report.inference.aggregate import Aggregate, aggregate, missing_text, statistic_of
from emtkit.report.inference.paired import PairedDifference, corrected, paired_difference
from emtkit.report.inference.statistics.mode import is_commonest
from emtkit.study.quantity import Quantity
from emtkit.study.views import Claim, EachShare, Expect

Word = Literal["supported", "not supported", "inconclusive", "not testable"]


@dataclass(frozen=True)
class Verdict:
    """What the results show about a claim, as a whole or of one of its combinations (`levels`).

    `value` is the estimate as a number or a text; for a comparison `estimate` is that of the
    difference, `value - compared`. `p` is corrected. `cause` says why where the verdict is not
    plain. `parts` are the verdicts of the combinations under a summary.
    """

    claim: Claim
    word: Word
    levels: tuple[tuple[str, Any], ...] = ()
    value: float | str | None = None
    compared: float | str | None = None
    estimate: Estimate | None = None
    p: float | None = None
    n: int = 0
    total: int = 0
    cause: str = ""
    cells: tuple[str, ...] = ()
    parts: tuple["Verdict", ...] = ()

    @property
    def where(self) -> str:
        """The combination as a phrase; empty where the claim has only one."""
        return where_text(dict(self.levels))


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
        try:
            cases = _cases(results, claim.expect)
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
            else _verdicts_on(claim, [next(after) for _ in cases])
        )
    ]


def _verdicts_on(claim: Claim, cases: Sequence[_Case]) -> list[Verdict]:
    """The verdicts on one claim: one per combination (`each`), else one over all of them."""
    parts = [_decide(claim, case) for case in cases]
    scope = claim.expect.scope
    if scope == "each":
        return parts
    return [_summary(claim, parts, scope.share if isinstance(scope, EachShare) else 1.0)]


def expectation_text(expect: Expect) -> str:
    """The testable side of a claim as a phrase: `median of spectrum.radius below 0.9`."""
    side = next(side for side in ("below", "above", "equals") if getattr(expect, side) is not None)
    word = {"equals": "equal to"}.get(side, side)
    bound = expect.other
    if bound is None:
        target = level_text(expect.bound)
    elif (bound.column, bound.statistic) == (expect.column, expect.statistic):
        target = f"that with {where_text(bound.where)}"
    else:
        target = _quantity_text(bound)
    tolerance = f" within {level_text(expect.tolerance)}" if expect.tolerance else ""
    return f"{_quantity_text(expect)} {word} {target}{tolerance}"


def _quantity_text(quantity: Quantity) -> str:
    where = f" with {where_text(quantity.where)}" if quantity.where else ""
    if quantity.share is not None:
        return f"share of {quantity.share.of} = {level_text(quantity.share.equals)}{where}"
    by = f" by {quantity.by}" if quantity.by else ""
    if quantity.of is not None:
        return f"expected best of {quantity.of} of {quantity.value}{by}{where}"
    return f"{quantity.stat} of {quantity.value}{by}{where}"


def combinations(results: Results, expect: Expect) -> list[Combination]:
    """Every combination of the axes that are neither fixed nor averaged."""
    rows = results.keep(range(len(results)), _axis_part(expect))
    axes = results.distinguishing(rows, aside=expect.over)
    other = expect.other
    against = results.keep(range(len(results)), _axis_part(other)) if other is not None else []
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


def _cases(results: Results, expect: Expect) -> list[_Case]:
    """Every combination with its numbers; p is not corrected yet."""
    found = []
    for one in combinations(results, expect):
        mine, other = aggregate(results, one.rows, expect, expect.over), expect.other
        if other is None:
            found.append(_Case(one, mine))
            continue
        second = aggregate(results, one.against, other, expect.over)
        statistics = statistic_of(expect), statistic_of(other)
        apart = paired_difference(mine, second, *statistics, fixed=one.fixed)
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


def _axis_part(quantity: Quantity) -> dict[str, Any]:
    return {name: wanted for name, wanted in quantity.where.items() if is_axis(name)}


def _constructed(results: Results, row: int) -> bool:
    """Whether a network has nothing to train, so that its seed says nothing."""
    trained = "training.steps" in results.frame.columns
    return trained and results.column("training.steps")[row] is None


def _decide(claim: Claim, case: _Case) -> Verdict:
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
    side = _side_of(estimate, expect) if estimate.bounded else _side_by_test(estimate, expect, p)
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


def _side_of(estimate: Estimate, expect: Expect) -> bool | None:
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


def _summary(claim: Claim, parts: Sequence[Verdict], share: float) -> Verdict:
    """One verdict over combinations: at least `share` of those that apply must be supported.

    What is undecided could still go either way; the verdict is given when neither matters.
    """
    applying = [part for part in parts if not part.cause.startswith("not applicable")]
    words: Counter[str] = Counter(part.word for part in applying)
    base = Verdict(
        claim,
        "inconclusive",
        cause=_counts_text(words, len(applying)),
        n=min((part.n for part in applying), default=0),
        total=max((part.total for part in applying), default=0),
        cells=tuple(dict.fromkeys(cell for part in parts for cell in part.cells)),
        parts=tuple(parts),
    )
    if len(applying) == 1:
        (part,) = applying
        return replace(part, levels=(), parts=tuple(parts))
    needed = share * len(applying) - 1e-9
    if not applying or words["not testable"] == len(applying):
        return replace(base, word="not testable", cause=parts[0].cause)
    if words["supported"] >= needed:
        return replace(base, word="supported")
    if len(applying) - words["not supported"] < needed:
        return replace(base, word="not supported")
    if words["not testable"]:
        return replace(base, word="not testable")
    return base


def _counts_text(words: Mapping[str, int], total: int) -> str:
    """How the combinations of a claim fell: `11 of 12 supported, 1 inconclusive`."""
    order = ("supported", "not supported", "inconclusive", "not testable")
    counted = [(word, words.get(word, 0)) for word in order if words.get(word, 0)]
    first, *rest = [f"{count} {word}" for word, count in counted] or ["none supported"]
    head, _, tail = first.partition(" ")
    return ", ".join([f"{head} of {total} {tail}", *rest])
