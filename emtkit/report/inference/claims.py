"""Claims of a study against its results: supported, not supported, inconclusive, not testable.

Supported: the 95 % interval lies wholly on the claimed side (for `equals` within `tolerance`) and,
where there is a p, p < alpha. Not supported: wholly on the other side. Else inconclusive. A claim
whose cells were not all run, or whose numbers are undefined, is not testable. The p of a claim's
combinations are Holm-corrected together: the claim is the family.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from emtkit.errors import EmtkitError
from emtkit.plugin.statistic import Estimate
from emtkit.report.data.results import Results, is_axis, level_text, where_text
from emtkit.report.inference.aggregate import Aggregate, aggregate, missing_text, statistic_of
from emtkit.report.inference.paired import PairedDifference, corrected, paired_difference
from emtkit.report.inference.verdicts import agrees, counts_text, side_of
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
    """One combination that a claim speaks of: its levels, its rows, and those compared with."""

    levels: tuple[tuple[str, Any], ...]
    rows: list[int]
    against: list[int]


@dataclass(frozen=True)
class _Case:
    """One combination: the aggregate, that which it is compared with, and their difference."""

    levels: tuple[tuple[str, Any], ...]
    found: Aggregate
    other: Aggregate | None
    comparison: PairedDifference | None
    deterministic: bool


def verdicts_of(results: Results, claims: Sequence[Claim]) -> list[Verdict]:
    """A verdict per claim, or per combination of a claim that is decided `for: each`."""
    return [verdict for claim in claims for verdict in verdicts_of_claim(results, claim)]


def verdicts_of_claim(results: Results, claim: Claim) -> list[Verdict]:
    """The verdicts on one claim: one per combination (`each`), else one over all of them."""
    try:
        cases = list(_cases(results, claim.expect))
    except EmtkitError as error:
        return [Verdict(claim, "not testable", cause=str(error))]
    if not cases:
        cause = f"no cell of the results has {where_text(claim.expect.where)}"
        return [Verdict(claim, "not testable", cause=cause)]
    parts = [_decide(claim, case) for case in _corrected(cases)]
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
    found = []
    for levels, members in results.groups(rows, axes).items():
        named = tuple(zip(axes, levels, strict=True))
        key = tuple(level for axis, level in named if axis in shared)
        found.append(Combination(named, members, partners.get(key, [])))
    return found


def is_deterministic(results: Results, expect: Expect, one: Combination) -> bool:
    """Whether seeds say nothing: there is one by choice, or nothing to train in any network."""
    if "seed" in expect.where or "seed" not in expect.over:
        return True
    return all(_constructed(results, row) for row in (*one.rows, *one.against))


def is_fixed(results: Results, one: Combination) -> bool:
    """Whether a combination is compared with a single network that has nothing to train."""
    return len(one.against) == 1 and _constructed(results, one.against[0])


def _cases(results: Results, expect: Expect) -> Iterator[_Case]:
    other = expect.other
    for one in combinations(results, expect):
        found = aggregate(results, one.rows, expect, expect.over)
        deterministic = is_deterministic(results, expect, one)
        if other is None:
            yield _Case(one.levels, found, None, None, deterministic)
            continue
        second = aggregate(results, one.against, other, expect.over)
        statistics = statistic_of(expect), statistic_of(other)
        apart = paired_difference(found, second, *statistics, fixed=is_fixed(results, one))
        yield _Case(one.levels, found, second, apart, deterministic)


def _axis_part(quantity: Quantity) -> dict[str, Any]:
    return {name: wanted for name, wanted in quantity.where.items() if is_axis(name)}


def _constructed(results: Results, row: int) -> bool:
    """Whether a network has nothing to train, so that its seed says nothing."""
    trained = "training.steps" in results.frame.columns
    return trained and results.column("training.steps")[row] is None


def _corrected(cases: Sequence[_Case]) -> list[_Case]:
    known = [case.comparison for case in cases if case.comparison is not None]
    fixed = iter(corrected(known))
    return [
        case if case.comparison is None else replace(case, comparison=next(fixed)) for case in cases
    ]


def _decide(claim: Claim, case: _Case) -> Verdict:
    found, other = case.found, case.other
    base = Verdict(
        claim,
        "not testable",
        case.levels,
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
    if estimate.n == 1 and not case.deterministic:
        return replace(base, word="inconclusive", cause="a single seed gives no interval")
    certain = case.deterministic and estimate.low == estimate.high
    return _decide_number(base, estimate, None if certain else p)


def _decide_number(base: Verdict, estimate: Estimate, p: float | None) -> Verdict:
    expect = base.claim.expect
    side = side_of(estimate, expect)
    if side is None:
        return replace(base, word="inconclusive", p=p, cause="the interval reaches to both sides")
    if not side:
        return replace(base, word="not supported", p=p)
    if p is None or expect.equals is not None:
        return replace(base, word="supported", p=None)
    if p < expect.alpha:
        return replace(base, word="supported", p=p)
    least = statistic_of(expect).least_p(estimate.n)
    beyond = least is not None and least >= expect.alpha
    short = f"; {estimate.n} seeds cannot go below {least:g}" if beyond else ""
    return replace(
        base, word="inconclusive", p=p, cause=f"p = {p:.3g} is not below {expect.alpha:g}{short}"
    )


def _decide_text(base: Verdict, case: _Case) -> Verdict:
    """Texts and modes: the share of resampled seeds that agree with what is claimed."""
    expect = base.claim.expect
    if expect.equals is None:
        return replace(base, cause=f"{expect.column} is text, and compares only with `equals`")
    target = case.other.value if case.other is not None else None
    if not isinstance(expect.bound, Quantity):
        target = expect.bound
    agreeing = agrees(case.found, target)
    if case.found.n == 1 and not case.deterministic:
        return replace(base, word="inconclusive", cause="a single seed gives no interval")
    words: dict[bool | None, Word] = {True: "supported", False: "not supported"}
    cause = "" if agreeing is not None else "resampled seeds disagree"
    return replace(base, word=words.get(agreeing, "inconclusive"), cause=cause)


def _untestable(found: Aggregate) -> str:
    """Why a number decides nothing: cells that were not run, or a dash."""
    unknown = found.missing + found.lost
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
        cause=counts_text(words, len(applying)),
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
