"""Sequences drawn by kinds of known chance: rare kinds are seen, and common ones cost little."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from emtkit.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emtkit.plugin.stream import Shape, Stream
    from emtkit.plugin.task import Batch

_RARE = 0.01
_MOST = 16
_EACH = 8


@dataclass(frozen=True)
class Strata:
    """The kinds of the sequences of a batch: their chances (S), and how many of each it has (S).

    The batch has one kind after the other. Over sequences as `Task.sample` draws them a value has
    the mean sum_s chance_s mean_s, of standard error sqrt(sum_s chance_s² var_s / n_s).

    Raises:
        PluginError: a chance is not above 0, they do not sum to 1, or one of several kinds has
            less than two sequences, which show no spread.

    References:
        Cochran 1977, Sampling Techniques (chapter 5).
    """

    chances: tuple[float, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        least = 1 if len(self.chances) == 1 else 2
        whole = abs(math.fsum(self.chances) - 1) < 1e-9 and min(self.chances, default=0.0) > 0
        if len(self.chances) != len(self.counts) or not whole or min(self.counts) < least:
            raise PluginError(
                f"strata were made with the chances {self.chances} and {self.counts} sequences; "
                "chances are above 0 and sum to 1, and each of several kinds has two sequences"
            )

    @property
    def simple(self) -> bool:
        """Whether there is but one kind: sequences as they come."""
        return len(self.chances) == 1

    @property
    def sequences(self) -> int:
        """Number of sequences B."""
        return sum(self.counts)

    @cached_property
    def factors(self) -> Tensor:
        """What each value (B, float64) counts in their mean: chance_s B / n_s; 1 where simple."""
        return (self._chances * self.sequences / self._counts)[self._kinds]

    def mean(self, values: Tensor) -> float:
        """The mean of values (B)."""
        return float((values.double() * self.factors).mean())

    def error(self, values: Tensor) -> float:
        """The standard error of the mean of values (B); NaN of a single one."""
        apart = torch.square(values - (self._sums(values) / self._counts)[self._kinds])
        squares = self._chances.square() * self._sums(apart) / (self._counts - 1) / self._counts
        return float(squares.sum().sqrt())

    @cached_property
    def _chances(self) -> Tensor:
        return torch.tensor(self.chances, dtype=torch.float64)

    @cached_property
    def _counts(self) -> Tensor:
        return torch.tensor(self.counts, dtype=torch.float64)

    @cached_property
    def _kinds(self) -> Tensor:
        """The kind of each sequence (B)."""
        return torch.arange(len(self.counts)).repeat_interleave(torch.tensor(self.counts))

    def _sums(self, values: Tensor) -> Tensor:
        """Of each kind (S)."""
        sums = torch.zeros(len(self.counts), dtype=torch.float64)
        return sums.index_add(0, self._kinds, values.double())


@dataclass(frozen=True)
class Stratified:
    """Sequences (a batch of B), and their kinds."""

    batch: Batch
    strata: Strata

    def __post_init__(self) -> None:
        if self.strata.sequences != (sequences := self.batch.inputs.shape[-3]):
            raise PluginError(
                f"strata of {self.strata.sequences} sequences came with a batch of {sequences}"
            )
        if self.batch.per_sequence and not self.strata.simple:
            raise PluginError(
                "strata of several kinds came with a mask for each sequence, whose mean is no mean "
                "over sequences; give all sequences one mask (T), or draw them as they come"
            )


@dataclass(frozen=True)
class SparseDraw:
    """Numbers B U (B, ...) with the strata of the sequences."""

    values: Tensor
    strata: Strata


def sparse_uniform_strata(stream: Stream, shape: Shape, density: float) -> SparseDraw:
    """`stream.sparse_uniform(shape, density)` by the number K of active numbers of a sequence.

    The first axis is the sequences, N places each. K = 0, 1, ... are drawn apart, and together all
    that are greater, which come once in 100 or less; K ~ Binomial(N, density). All K = 0 are alike,
    and two are drawn; the others share the rest as the roots of their chances. Where two sequences
    or more fall on each choice of K places, the choices are kinds of their own, and so are the
    intervals [j / m, (j + 1) / m) of each number, for the greatest m at which that holds. With more
    than 16 K, or fewer than 8 sequences for each, it is the simple draw.
    """
    sequences, *axes = (shape,) if isinstance(shape, int) else shape
    places = math.prod(axes)
    law = _chances(places, density)
    if not law or sequences < _EACH * len(law):
        strata = Strata((1.0,), (sequences,))
        return SparseDraw(stream.sparse_uniform(shape, density), strata)
    chances: list[float] = []
    counts: list[int] = []
    drawn = []
    for active, (chance, share) in enumerate(zip(law, _shares(law, sequences), strict=True)):
        if active + 1 == len(law):
            of, values = [share], _greater(stream, share, active, places, density)
        else:
            of, values = _exactly(stream, share, active, places)
        chances += [chance / len(of)] * len(of)
        counts += of
        drawn.append(values)
    return SparseDraw(torch.cat(drawn).view(sequences, *axes), Strata((*chances,), (*counts,)))


def _chances(places: int, density: float) -> tuple[float, ...]:
    """Those of K = 0, 1, ... and of all that are greater; empty where there are too many kinds."""
    found: list[float] = []
    for count in range(min(places, _MOST - 1)):
        found.append(_chance(count, places, density))
        rest = 1 - math.fsum(found)
        if (count and rest <= _RARE) or count + 1 == places:
            return (*found, rest) if min(*found, rest) > 0 else ()
    return ()


def _chance(count: int, places: int, density: float) -> float:
    """Binomial: C(N, K) p^K (1 - p)^(N - K)."""
    return math.comb(places, count) * density**count * (1 - density) ** (places - count)


def _shares(chances: Sequence[float], sequences: int) -> tuple[int, ...]:
    """How many sequences each kind has: two without an active number, at least two of the others.

    Whether lone inputs or coincidences are answered wrongly is the network's; by the roots of the
    chances neither is measured much worse than it could be.
    """
    roots = [math.sqrt(chance) for chance in chances[1:]]
    spare = sequences - 2 * len(chances)
    ends = [round(spare * math.fsum(roots[:end]) / math.fsum(roots)) for end in range(len(chances))]
    return (2, *(2 + high - low for low, high in pairwise(ends)))


def _exactly(stream: Stream, sequences: int, active: int, places: int) -> tuple[list[int], Tensor]:
    """How many sequences each of their kinds has, and the numbers (B, N), `active` of each."""
    choices = math.comb(places, active)
    if active == 0 or sequences < 2 * choices:
        return [sequences], _placed(stream, torch.full((sequences,), active), places)
    parts = int((sequences // (2 * choices)) ** (1 / active) + 1e-9)
    cells = choices * parts**active
    cell = (torch.arange(sequences) * cells).div(sequences, rounding_mode="floor")
    chosen = torch.tensor(list(combinations(range(places), active)))[cell // parts**active]
    uniform = stream.uniform((sequences, active))
    part = cell[:, None].div(parts ** torch.arange(active), rounding_mode="floor") % parts
    numbers = (part.to(uniform) + uniform) / parts
    drawn = uniform.new_zeros(sequences, places).scatter(1, chosen.to(uniform.device), numbers)
    return torch.bincount(cell, minlength=cells).tolist(), drawn


def _greater(stream: Stream, sequences: int, least: int, places: int, density: float) -> Tensor:
    """The numbers (B, N) of sequences of which at least `least` are active."""
    odds, relative = density / (1 - density), [1.0]
    for count in range(least, places):
        relative.append(relative[-1] * odds * (places - count) / (count + 1))
    steps = torch.tensor(relative, dtype=torch.float64).cumsum(0)
    uniform = stream.uniform(sequences).double()
    active = least + torch.searchsorted(steps, uniform * steps[-1], right=True)
    return _placed(stream, active.clamp(max=places), places)


def _placed(stream: Stream, active: Tensor, places: int) -> Tensor:
    """Numbers (B, N), so many `active` (B) in places by chance."""
    shape = (len(active), places)
    ranks = stream.uniform(shape).argsort(dim=1, stable=True).argsort(dim=1)
    return torch.where(ranks < active[:, None].to(ranks), stream.uniform(shape), 0.0)
