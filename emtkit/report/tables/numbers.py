"""How numbers and verdicts are written: as many digits as say something, the same everywhere."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emtkit.plugin.statistic import Estimate
from emtkit.report.inference.resampling import Difference
from emtkit.report.inference.stated import BEFORE
from emtkit.report.inference.verdict import Control, Verdict


def number_text(value: float, specification: str | None = None) -> str:
    """A number by its format, else with three significant digits and no exponent in the middle."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if specification is not None:
        return format(value, specification)
    size = abs(value)
    if size != 0 and not 1e-3 <= size < 1e5:
        return f"{value:.2e}"
    if value == int(value):
        return str(int(value))
    digits = max(0, 2 - math.floor(math.log10(size)))
    return f"{value:.{digits}f}"


def interval_text(found: Estimate, specification: str | None = None) -> str:
    """An interval: `[0.11, 0.14]`; empty where there is none, or of one value alone."""
    if found.n < 2 or not found.bounded:
        return ""
    low, high = (number_text(bound, specification) for bound in (found.low, found.high))
    return f"[{low}, {high}]"


def plus_minus_text(found: Estimate, specification: str | None = None) -> str:
    """An interval beside its number: `± 0.02`, or `+0.03 −0.01` where the sides differ."""
    if found.n < 2 or not found.bounded:
        return ""
    sides = (found.high - found.value, found.value - found.low)
    above, below = (number_text(side, specification) for side in sides)
    return f"± {above}" if above == below else f"+{above} −{below}"


def share_text(share: float) -> str:
    """A share in percent."""
    return f"{100 * share:.0f} %"


def p_text(p: float | None) -> str:
    """A p-value, never written as zero."""
    if p is None:
        return "–"
    return "p < 0.001" if p < 1e-3 else f"p = {p:.3f}"


def difference_text(found: Difference, p: float | None, specification: str | None = None) -> str:
    """A difference with its interval and, where it was tested, corrected p and effect size."""
    value = number_text(found.estimate.value, specification)
    sign = "+" if found.estimate.value > 0 else ""
    text = f"{sign}{value} {interval_text(found.estimate, specification)}".rstrip()
    if p is None:
        return text
    return f"{text}, {p_text(p)}, d = {number_text(found.effect, '.2f')}"


def verdict_lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """One line per verdict: the claim, the word, where, estimate, interval, p and n."""
    for one in verdicts:
        remarks = f"({'; '.join(one.remarks)})" if one.remarks else ""
        late = "" if one.stated == BEFORE else one.stated
        found = (numbers_text(one), one.given, controls_text(one), remarks, late, one.cause)
        parts = [f"{one.word:<13} {one.claim.id}", one.where, *found]
        yield "  ".join(part for part in parts if part)


@dataclass(frozen=True)
class VerdictTexts:
    """What was found, as texts: estimate and what it is compared with, interval, p, n of all.

    `controls` are the values of the controls.
    """

    estimate: str
    interval: str
    p: str
    count: str
    controls: str

    @classmethod
    def of(cls, one: Verdict) -> "VerdictTexts":
        """Those of a verdict; empty where there is none."""

        return cls(
            _against(one),
            interval_text(one.estimate) if one.estimate else "",
            "" if one.p is None else p_text(one.p),
            f"{one.n} of {one.total}" if one.total else "",
            controls_text(one),
        )


def controls_text(one: Verdict) -> str:
    """The controls with their values: `control untrained 0.512; positive control circuit 1`."""
    return "; ".join(
        f"{'positive ' if control.role == 'positive' else ''}control {control.name} "
        f"{_against(control) or '–'}"
        for control in one.controls
    )


def _against(one: Verdict | Control) -> str:
    """The value, and what it is compared with; empty where there is none."""

    def text(value: float | str | None) -> str:
        return number_text(value) if isinstance(value, float) else (value or "")

    if one.compared is None:
        return text(one.value)
    return f"{text(one.value)} against {text(one.compared)}".lstrip()


def numbers_text(one: Verdict) -> str:
    """What was found: estimate, what it is compared with, interval, p and n."""
    found = VerdictTexts.of(one)
    count = found.count and f"n {found.count}"
    return " ".join(filter(None, (found.estimate, found.interval, found.p, count)))
