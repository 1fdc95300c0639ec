"""Claims that no result could support: their p cannot fall below alpha with so few seeds."""

from collections.abc import Iterator, Sequence

from emtkit.errors import EmtkitError
from emtkit.report.data.results import Results
from emtkit.report.inference.aggregate import statistic_of
from emtkit.report.inference.claims import combinations
from emtkit.report.inference.resampling import EXACT_UP_TO, holm
from emtkit.study.views import Claim, EachShare, Expect


def unreachable(results: Results, claims: Sequence[Claim]) -> Iterator[str]:
    """A sentence for each claim that must come out as inconclusive at best, and what would help.

    Only the networks that a study plans are read, no result. Of n pairs the least p is 2/2^n, and
    Holm multiplies the least of m combinations by m.
    """
    for claim in claims:
        expect, other = claim.expect, claim.expect.other
        least_p = statistic_of(expect).least_p
        if other is None or expect.equals is not None or other.statistic != expect.statistic:
            continue  # a p decides between the same statistic twice, and not that both are equal
        try:
            pairs = [n for n in _pairs(results, expect) if n]
        except EmtkitError:  # a column that no cell has: the claim is not testable, which it says
            continue
        reached = [p for p in holm([least_p(n) for n in pairs]) if p is not None]
        hopeless = sum(p >= expect.alpha for p in reached)
        share = expect.scope.share if isinstance(expect.scope, EachShare) else 1.0
        count = len(pairs)
        if hopeless <= int((1 - share) * count + 1e-9):  # so many may stay open without harm
            continue
        tried = range(1, EXACT_UP_TO + 1)
        enough = next((n for n in tried if count * (least_p(n) or 1) < expect.alpha), None)
        family = f" (over {count} combinations, Holm-corrected)" if count > 1 else ""
        remedy = f"give it {enough} seeds" if enough else "ask for fewer combinations"
        yield (
            f"claim '{claim.id}' cannot be supported: with {min(pairs)} paired seeds its p cannot "
            f"fall below {max(reached):.2g}{family}, and alpha is {expect.alpha:g}; {remedy}"
        )


def _pairs(results: Results, expect: Expect) -> list[int]:
    """How many members of `over` each combination shares with what it is compared with.

    Where seeds say nothing, one number decides without a p.
    """
    found = []
    for one in combinations(results, expect):
        if not one.deterministic:
            own = results.groups(one.rows, expect.over).keys()
            others = results.groups(one.against, expect.over).keys()
            found.append(len(own if one.fixed else own & others))
    return found
