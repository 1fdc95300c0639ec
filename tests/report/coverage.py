"""Coverage of every interval and false support of every comparison, by simulation.

Of n networks whose values are drawn from a known law: how often an interval leaves out the truth on
either side, and how often a comparison of two equal laws is found to be on one side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, binomtest, bootstrap, norm, spearmanr
from scipy.stats import t as student

from emtkit.plugin import swaps
from emtkit.plugin.statistic import Estimate, Sample, Statistic, statistic_named
from emtkit.report.inference.aggregate import Aggregate
from emtkit.report.inference.paired import ALPHA, paired_difference

SIZES = (3, 5, 8, 12, 16, 24)
COMPARED = ("mean", "median", "trimmed", "best", "expected_best")
COVERED, SUPPORTED = 0.93, 0.03

Draw = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]


@dataclass(frozen=True)
class Law:
    """A distribution over networks, with its mean and median."""

    name: str
    draw: Draw
    mean: float
    median: float


def _branches(generator: np.random.Generator, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Three networks of ten near 0, seven near 1."""
    return (generator.random(size) < 0.7) + 0.05 * generator.standard_normal(size)


# The median of the branches solves 0.7 Phi((x - 1) / .05) = .2: all of the lower branch lie below.
LAWS = (
    Law("normal", lambda g, size: g.standard_normal(size), 0.0, 0.0),
    Law("lognormal", lambda g, size: np.exp(g.standard_normal(size)), float(np.exp(0.5)), 1.0),
    Law("exponential", lambda g, size: g.exponential(size=size), 1.0, float(np.log(2))),
    Law("two branches", _branches, 0.7, 1 + 0.05 * float(norm.ppf(2 / 7))),
    Law("tied", lambda g, size: np.round(g.standard_normal(size)), 0.0, 0.0),
)
SHARES = (0.5, 0.7, 0.9)


@dataclass(frozen=True)
class Tally:
    """Of `tried` samples: those with an interval, or a test; misses below and above."""

    what: str
    law: str
    n: int
    tried: int
    given: int
    below: int
    above: int

    @property
    def worst(self) -> float:
        """The greater of both one-sided rates of error."""
        return max(self.below, self.above) / self.tried

    @property
    def covered(self) -> float:
        """The share of the samples with an interval in which it holds the truth."""
        return 1 - (self.below + self.above) / self.given if self.given else float("nan")


Method = Callable[[Sample], Estimate]


def interval_tally(
    method: Method, law: str, truth: float, samples: NDArray[np.float64], what: str
) -> Tally:
    """How often the interval of each row of `samples` lies wholly below or above the truth."""
    found = [method(Sample(row)) for row in samples]
    given = [one for one in found if one.bounded]
    below = sum(one.high < truth - 1e-12 for one in given)
    above = sum(one.low > truth + 1e-12 for one in given)
    return Tally(what, law, samples.shape[1], len(samples), len(given), below, above)


def p_until_decided(
    n: int, difference: Callable[[NDArray[np.bool_]], NDArray[np.float64]], size: float
) -> float:
    """`p_of_swaps`, or 1 as soon as the swaps seen so far alone put it at 5 % or above.

    The verdict is the same, for a fifth of the work: most p of equal laws are large.
    """
    exact = n <= swaps.EXACT_UP_TO
    least = abs(float(difference(np.zeros((1, n), bool))[0])) - 1e-12 * size
    hits, ways = (0, 2**n) if exact else (1, 1 + swaps.SWAPS)
    for block in swaps.side_swaps(n):
        for some in np.split(block, range(1000, len(block), 1000)):
            hits += len(some) - int(np.count_nonzero(np.abs(difference(some)) < least))
            if hits / ways >= ALPHA:
                return 1.0
    return hits / ways


def difference_tally(
    statistic: Statistic, law: str, pairs: NDArray[np.float64], what: str
) -> tuple[Tally, Tally]:
    """Intervals of A - B that leave out 0, and comparisons found on either side; both laws equal.

    `pairs` is (R, 2, n).
    """
    n, tried = pairs.shape[-1], len(pairs)
    intervals, verdicts = [0, 0, 0], [0, 0]
    for sides in pairs:
        a, b = (Aggregate(0.0, sample=Sample(x, x), pairs=tuple(range(n))) for x in sides)
        with patch.object(swaps, "p_of_swaps", p_until_decided):
            found = paired_difference(a, b, statistic, statistic)
        assert found.difference is not None
        estimate = found.difference.estimate
        if estimate.bounded:
            intervals[0] += 1
            intervals[1] += estimate.high < 0
            intervals[2] += estimate.low > 0
        if found.separated:
            verdicts[int(estimate.value > 0)] += 1
    return (
        Tally(f"difference of {what}s", law, n, tried, *intervals),
        Tally(f"{what} below {what}", law, n, tried, tried, *verdicts),
    )


def interval_tallies(repeats: int, sizes: Sequence[int] = SIZES) -> Iterator[Tally]:
    """Every interval of one sample."""
    for n in sizes:
        for law in LAWS:
            samples = law.draw(np.random.default_rng([n, len(law.name)]), (repeats, n))
            yield interval_tally(
                statistic_named("mean").interval, law.name, law.mean, samples, "mean"
            )
            yield interval_tally(
                statistic_named("median").interval, law.name, law.median, samples, "median"
            )
        for share in SHARES:
            truths = np.random.default_rng([n, 1]).random((repeats, n)) < share
            name = f"{share:.0%} true"
            method = statistic_named("share").interval
            yield interval_tally(method, name, share, truths.astype(float), "share")


@dataclass(frozen=True)
class JointLaw:
    """Two normal numbers of correlation `rho`; the second ends at a quantile, the first has steps.

    `ends` 1 is no end, as a lifetime has one that is measured up to some step only.
    """

    name: str
    rho: float
    ends: float = 1.0
    stepped: bool = False

    def draw(self, generator: np.random.Generator, size: tuple[int, ...]) -> NDArray[np.float64]:
        """Pairs (2, *size)."""
        first, second = generator.standard_normal((2, *size))
        second = self.rho * first + np.sqrt(1 - self.rho**2) * second
        first = np.round(first) if self.stepped else first
        return np.stack([first, np.minimum(second, norm.ppf(self.ends))])

    def truth(self) -> float:
        """Spearman's r of all: 6 / pi arcsin(rho / 2) without ties, else of two million pairs."""
        if self.ends == 1.0 and not self.stepped:
            return float(6 / np.pi * np.arcsin(self.rho / 2))
        return float(spearmanr(*self.draw(np.random.default_rng(1), (2_000_000,))).statistic)


JOINT_LAWS = (
    JointLaw("rho = 0", 0.0),
    JointLaw("rho = .5", 0.5),
    JointLaw("rho = .8", 0.8),
    JointLaw("rho = .8, 40% at the end", 0.8, ends=0.6),
    JointLaw("rho = .8, in steps", 0.8, stepped=True),
)


def correlation_tallies(
    repeats: int, sizes: Sequence[int] = (8, 12, 16, 24, 48)
) -> Iterator[Tally]:
    """The interval of a rank correlation."""
    statistic = statistic_named("rank_correlation")
    for law in JOINT_LAWS:
        truth = law.truth()
        for n in sizes:
            drawn = law.draw(np.random.default_rng([n, len(law.name)]), (repeats, n))
            found = [statistic.interval(Sample(x, y)) for x, y in zip(*drawn, strict=True)]
            given = [one for one in found if one.bounded]
            below, above = (
                sum(one.high < truth for one in given),
                sum(one.low > truth for one in given),
            )
            yield Tally("rank correlation", law.name, n, repeats, len(given), below, above)


def refused_tallies(repeats: int, sizes: Sequence[int] = SIZES) -> Iterator[Tally]:
    """The usual intervals that are not printed, and why: they miss too often."""
    for n in sizes:
        for law in LAWS:
            samples = law.draw(np.random.default_rng([n, len(law.name)]), (repeats, n))
            yield interval_tally(_student, law.name, law.mean, samples, "Student's t of a mean")
            if n >= 8:
                yield interval_tally(_bca, law.name, law.mean, samples[:500], "BCa of a mean")
        for share in SHARES:
            truths = (np.random.default_rng([n, 1]).random((repeats, n)) < share).astype(float)
            yield interval_tally(_wilson, f"{share:.0%} true", share, truths, "Wilson of a share")


def _student(sample: Sample) -> Estimate:
    x, n = sample.values, len(sample)
    mean = float(x.mean())
    half = float(student.ppf(0.975, n - 1)) * float(x.std(ddof=1)) / n**0.5
    return Estimate(mean, mean - half, mean + half, n)


def _bca(sample: Sample) -> Estimate:
    x, mean = sample.values, float(sample.values.mean())
    if np.ptp(x) == 0:
        return Estimate(mean, mean, mean, len(x))
    drawn = np.random.default_rng(5)
    ends = bootstrap((x,), np.mean, n_resamples=999, rng=drawn).confidence_interval
    return Estimate(mean, float(ends.low), float(ends.high), len(x))


def _wilson(sample: Sample) -> Estimate:
    n, count = len(sample), int(sample.values.sum())
    ends = binomtest(count, n).proportion_ci(method="wilson")
    return Estimate(count / n, ends.low, ends.high, n)


def comparison_tallies(
    repeats: int, sizes: Sequence[int], names: Sequence[str] = COMPARED
) -> Iterator[Tally]:
    """Comparisons of two equal laws, seeds in common (half of the variance is the seed's)."""
    for n in sizes:
        runs = {"expected_best": max(2, n // 3)}
        compared = [(statistic_named(name, runs.get(name)), name) for name in names]
        for law in LAWS:
            generator = np.random.default_rng([n, len(law.name), 2])
            pairs = law.draw(generator, (repeats, 2, n)) + law.draw(generator, (repeats, 1, n))
            for statistic, what in compared:
                found = difference_tally(statistic, law.name, pairs, what.replace("_", " "))
                yield from (tally for tally in found if tally.given)


def remarks(tallies: Sequence[Tally]) -> list[str]:
    """Every cell that misses what is asked for, beyond the chance of 1 in 1000; none may."""
    short = [one for one in tallies if one.given and " below " not in one.what]
    return [
        f"{one.what}, {one.law}, n = {one.n}: covered {one.covered:.3f}"
        for one in short
        if binom.cdf(one.given - one.below - one.above, one.given, COVERED) < 1e-3
    ] + [
        f"{one.what}, {one.law}, n = {one.n}: {one.below} below, {one.above} above of {one.tried}"
        for one in tallies
        if too_often(one)
    ]


def too_often(tally: Tally) -> bool:
    """Whether more errors were made than a rate of 3 % on one side explains (at 1 in 1000)."""
    most = max(tally.below, tally.above)
    return bool(binom.sf(most - 1, tally.tried, SUPPORTED) < 1e-3)


def table(tallies: Sequence[Tally]) -> str:
    """Covered percent, and errors below and above in percent, per law and n; – without interval."""
    lines = []
    for what in dict.fromkeys(one.what for one in tallies):
        own = [one for one in tallies if one.what == what]
        sizes = sorted({one.n for one in own})
        heads = " | ".join(f"n = {n}" for n in sizes)
        lines += ["", f"| {what} | {heads} |", "|---|" + "---|" * len(sizes)]
        for law in dict.fromkeys(one.law for one in own):
            cells = [_cell(next(x for x in own if (x.law, x.n) == (law, n))) for n in sizes]
            lines.append(f"| {law} | {' | '.join(cells)} |")
    return "\n".join(lines).strip() + "\n"


def _cell(one: Tally) -> str:
    if not one.given:
        return "–"
    below, above = (100 * count / one.tried for count in (one.below, one.above))
    if " below " in one.what:
        return f"{below:.1f} / {above:.1f}"
    return f"{100 * one.covered:.1f} ({below:.1f} / {above:.1f})"
