"""Claims that nothing is held against: whatever is found, they stay unchecked."""

from collections.abc import Iterator, Sequence

from emtkit.errors import EmtkitError
from emtkit.report.data.results import Results
from emtkit.report.inference.combinations import combinations
from emtkit.report.inference.controls import asked_of_controls
from emtkit.report.inference.permuted import has_permuted_control
from emtkit.study.views import Claim


def uncontrolled(results: Results, claims: Sequence[Claim]) -> Iterator[str]:
    """A sentence for each claim that has no negative control, or none for some combination.

    Only the networks that a study plans are read, no result.
    """
    for claim in claims:
        if has_permuted_control(claim.expect):
            continue
        seen = results.seen_by(claim)
        try:
            among = combinations(seen, claim.expect)
        except EmtkitError:  # a column that no cell has: the claim is not testable, which it says
            continue
        bare, why = [], ""
        for one in among:
            asked = asked_of_controls(seen, claim, one.levels, one.rows, one.against)
            negative = [each for each in asked if each.role == "negative"]
            if all(each.cause for each in negative):
                bare.append(one)
                why = next((f" ({each.name}: {each.cause})" for each in negative), "")
        if bare:
            part = (
                "" if len(bare) == len(among) else f" for {len(bare)} of {len(among)} combinations"
            )
            yield (
                f"claim '{claim.id}' has no negative control{part}{why}: what supports it stays "
                "unchecked; give a grid `role: negative`, or name one with `control:`"
            )
