"""On which side of a claim a number, an interval or a text is."""

from collections.abc import Mapping

from emtkit.plugin.statistic import Estimate
from emtkit.report.data.results import hashable, level_text
from emtkit.report.inference.aggregate import Aggregate
from emtkit.report.inference.resampling import CONFIDENCE
from emtkit.study.quantity import Quantity
from emtkit.study.views import Expect


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


def agrees(found: Aggregate, target: object) -> bool | None:
    """Whether the text found is `target`, in 95 % of resampled seeds; None: undecided."""
    share = found.shares.get(level_text(hashable(target)), 0.0)
    if share >= CONFIDENCE:
        return True
    return False if share <= 1 - CONFIDENCE else None


def counts_text(words: Mapping[str, int], total: int) -> str:
    """How the combinations of a claim fell: `11 of 12 supported, 1 inconclusive`."""
    order = ("supported", "not supported", "inconclusive", "not testable")
    counted = [(word, words.get(word, 0)) for word in order if words.get(word, 0)]
    first, *rest = [f"{count} {word}" for word, count in counted] or ["none supported"]
    head, _, tail = first.partition(" ")
    return ", ".join([f"{head} of {total} {tail}", *rest])
