"""Claims that no result could support: too few seeds for an interval, or for a p below alpha."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from emtkit.errors import EmtkitError
from emtkit.plugin.statistic import Sample
from emtkit.plugin.swaps import EXACT_UP_TO
from emtkit.report.data.results import Results
from emtkit.report.inference.aggregate import statistic_of
from emtkit.report.inference.claims import side_of
from emtkit.report.inference.combinations import combinations
from emtkit.report.inference.resampling import holm
from emtkit.study.views import Claim, EachShare, Expect


@dataclass(frozen=True)
class _Planned:
    """A claim with the number of pairs, or of networks, behind each of its combinations."""

    claim: Claim
    counts: tuple[int, ...]

    @property
    def tested(self) -> bool:
        """Whether a p decides: between the same statistic twice, and not that both are equal."""
        expect, other = self.claim.expect, self.claim.expect.other
        return (
            other is not None
            and expect.equals is None
            and statistic_of(other) is statistic_of(expect)
        )


def unreachable(results: Results, claims: Sequence[Claim]) -> Iterator[str]:
    """A sentence for each claim that must come out as inconclusive at best, and what would help.

    Only the networks that a study plans are read, no result. Of n pairs the least p is 2/2^n. Holm
    multiplies it by the number of the study's comparisons that cannot have a lesser one, at least.
    """
    planned = [
        _Planned(claim, tuple(_counts(results.seen_by(claim), claim.expect))) for claim in claims
    ]
    family = [_least_ps(one) for one in planned]
    for place, one in enumerate(planned):
        expect, count = one.claim.expect, len(one.counts)
        if one.tested:
            least = _corrected(family, place)
            lacking = [n for n, p in zip(one.counts, least, strict=True) if p >= expect.alpha]
        elif expect.other is None:
            lacking = [n for n in one.counts if _no_number(expect, n)]
        else:
            continue
        share = expect.scope.share if isinstance(expect.scope, EachShare) else 1.0
        if len(lacking) <= int((1 - share) * count + 1e-9):  # so many may stay open without harm
            continue
        if not one.tested:
            why = _no_number(expect, min(lacking))
            yield f"claim '{one.claim.id}' cannot be supported: {why}"
            continue
        enough = next(
            (n for n in range(1, EXACT_UP_TO + 1) if _is_enough(family, place, one, n)), None
        )
        count = sum(map(len, family))
        whole = f" (Holm-corrected over {count} comparisons of the study)" if count > 1 else ""
        remedy = f"give it {enough} seeds" if enough else "ask for fewer comparisons"
        yield (
            f"claim '{one.claim.id}' cannot be supported: with {min(lacking)} paired seeds its p "
            f"cannot fall below {max(least):.2g}{whole}, and alpha is {expect.alpha:g}; {remedy}"
        )


def _least_ps(one: _Planned) -> list[float]:
    """The least p of each comparison of a claim, not yet corrected."""
    least = statistic_of(one.claim.expect).least_p
    return [least(n) for n in one.counts] if one.tested else []


def _corrected(family: Sequence[Sequence[float]], place: int) -> list[float]:
    """The least corrected p of one claim's comparisons: Holm's grows with every p of the family."""
    found = holm([p for ps in family for p in ps])
    start = sum(map(len, family[:place]))
    return [1.0 if p is None else p for p in found[start : start + len(family[place])]]


def _is_enough(family: Sequence[Sequence[float]], place: int, one: _Planned, pairs: int) -> bool:
    """Whether so many pairs in every comparison of a claim could support it."""
    expect = one.claim.expect
    more = [statistic_of(expect).least_p(max(n, pairs)) for n in one.counts]
    changed = [more if at == place else ps for at, ps in enumerate(family)]
    return max(_corrected(changed, place)) < expect.alpha


def _no_number(expect: Expect, n: int) -> str:
    """Why no result of n networks lies on the claimed side of a number; empty where one may."""
    statistic = statistic_of(expect)
    if (why := statistic.no_interval(n)) or statistic.reads != "truths":
        return why
    found = [
        statistic.interval(Sample((np.arange(n) < true).astype(float))) for true in range(n + 1)
    ]
    if any(side_of(one, expect) for one in found):
        return ""
    ends = " to ".join(f"[{one.low:.3g}, {one.high:.3g}]" for one in (found[0], found[-1]))
    return f"the interval of a share of {n} networks, {ends}, never lies wholly on that side"


def _counts(results: Results, expect: Expect) -> Iterator[int]:
    """How many members of `over` each combination has, or shares with what it is compared with.

    Where seeds say nothing one number decides without chance, and is left out.
    """
    try:
        found = combinations(results, expect)
    except EmtkitError:  # a column that no cell has: the claim is not testable, which it says
        return
    for one in found:
        own = results.groups(one.rows, expect.over).keys()
        others = results.groups(one.against, expect.over).keys()
        count = len(own if one.fixed or expect.other is None else own & others)
        if count and not one.deterministic:
            yield count
