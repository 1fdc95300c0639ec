"""Streams: the only source of randomness of tasks, models and analyses.

A stream is keyed by (seed, purpose, iteration) and nothing else, so what it gives depends neither
on the worker, nor on the place in a stack, nor on what was drawn before. Equal keys give common
random numbers, which the `*_rows` functions use: rows of equal key share one draw.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emtkit.plugin._philox import Generator, Words, default_generator

Shape = int | Sequence[int]
_Counter = tuple[int, int, int, int]  # two key words, iteration, first block

CPU = torch.device("cpu")
NO_SEED = 0xFFFFFFFF
_WORD = 2.0**32
_DTYPES: dict[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}


@dataclass(frozen=True)
class StreamKey:
    """What identifies a stream; two streams of equal key give equal numbers."""

    seed: int | None
    purpose: str
    iteration: int


class Stream:
    """A running position in the Philox4x32-10 sequence of one key.

    Key words: the seed (all ones for `None`: evaluation and analyses carry no seed) and the first
    32 bits of sha256(purpose). Counter words: (block low, block high, iteration low, iteration
    high). A draw that needs w words takes the next ceil(w / 4) blocks, words in order, the last
    ones unused; so draws of equal shape in equal order give equal numbers in every process, and
    each draw starts on a block. `uniform`, `normal` and `sparse_uniform` need one word for a
    number, `integers` two, `signs` one for 32.

    Floats are of `dtype` (float32 or float64), integers int64. All is drawn on the CPU and then put
    on `device`. Wrong arguments raise ValueError.
    """

    def __init__(
        self,
        seed: int | None,
        purpose: str,
        iteration: int = 0,
        *,
        dtype: torch.dtype = torch.float32,
        generator: Generator | None = None,
        device: torch.device = CPU,
    ) -> None:
        if seed is not None and not 0 <= seed < NO_SEED:
            raise ValueError(
                f"a stream was asked for seed {seed}; a seed is an integer from 0 to {NO_SEED - 1},"
                " or None for numbers that belong to no seed"
            )
        if not 0 <= iteration < 2**64:
            raise ValueError(
                f"a stream was asked for iteration {iteration}; it counts from 0 to 2**64 - 1"
            )
        if dtype not in _DTYPES:
            raise ValueError(
                f"a stream was asked for {dtype}; it draws torch.float32 or torch.float64"
            )
        self.seed, self.purpose, self.iteration = seed, purpose, iteration
        self.dtype, self.device = dtype, device
        self.position = 0  # the next block
        self._generator = generator
        self._words = (NO_SEED if seed is None else seed, _hashed(purpose))

    def __repr__(self) -> str:
        where = f"{self.purpose!r}, {self.iteration}, position={self.position}"
        return f"Stream({self.seed}, {where}, dtype={self.dtype})"

    @property
    def key(self) -> StreamKey:
        """What identifies the stream. Made when asked for: stacks make many streams a step."""
        return StreamKey(self.seed, self.purpose, self.iteration)

    @property
    def generator(self) -> Generator:
        """What computes the bits: the one given, else the machine's default."""
        return self._generator if self._generator is not None else default_generator()

    @property
    def counter(self) -> tuple[int, int, int, int]:
        """Where the next draw begins: the two key words, the iteration, the block."""
        return (*self._words, self.iteration, self.position)

    def fork(self, name: str) -> "Stream":
        """An independent stream, at its start: purpose + '/' + name, the rest alike.

        It depends on the key alone, not on what this stream has drawn.
        """
        return Stream(
            self.seed,
            f"{self.purpose}/{name}",
            self.iteration,
            dtype=self.dtype,
            generator=self._generator,
            device=self.device,
        )

    def bits(self, count: int) -> Words:
        """The next `count` words, uniform on 0 .. 2**32 - 1."""
        drawn = _words_of([self._take(_size((count,)))], self.generator, count)
        return drawn.reshape(count)

    def uniform(self, shape: Shape) -> Tensor:
        """Uniform on [0, 1): word / 2**32, in float64.

        For float32 it is then rounded, and the largest float32 below 1 stands where that would
        give 1 (one word in 2**25).
        """
        return self.sparse_uniform(shape, 1.0)

    def sparse_uniform(self, shape: Shape, density: float) -> Tensor:
        """B U, B Bernoulli(density), U uniform on [0, 1), from one word w each.

        w / (density 2**32) where that is below 1, else 0; rounded as in `uniform`, which is the
        case of density 1. At equal keys, a denser draw is active wherever a sparser one is.
        """
        return sparse_uniform_rows([self], shape, [density])[0]

    def signs(self, shape: Shape) -> Tensor:
        """+1 or -1 with equal chance: bit j of word i gives number 32 i + j, a set bit +1."""
        return signs_rows([self], shape)[0]

    def integers(self, shape: Shape, high: int) -> Tensor:
        """Uniform on 0 .. high - 1 as int64, 1 <= high <= 2**32: `stream.integers((B, T), 5)`.

        floor(high w / 2**64) of a 64-bit w (two words, low first), so that no value is favoured by
        more than high / 2**64 of its share.
        """
        if not isinstance(high, Integral):
            raise TypeError(
                f"stream.integers(shape, high) was given high = {high!r}; it is one integer, and "
                "the shape comes first: stream.integers((batch, 4), 5) draws from 0 .. 4"
            )
        if not 1 <= high <= 2**32:
            raise ValueError(
                f"integers below {high} were asked for; `high` is an integer from 1 to 2**32"
            )
        sizes = _sizes(shape)
        words = self.bits(2 * _size(sizes)).astype(np.uint64).reshape(-1, 2)
        low, top, half = words[:, 0], words[:, 1], np.uint64(32)
        # high <= 2**32, so neither product nor sum overflows 64 bits
        drawn = (top * np.uint64(high) + (low * np.uint64(high) >> half)) >> half
        return _placed(drawn.astype(np.int64), self).reshape(sizes)

    def normal(self, shape: Shape) -> Tensor:
        """Standard normal: the inverse distribution at (word + 1/2) / 2**32, in float64."""
        from scipy.special import ndtri

        sizes = _sizes(shape)
        drawn = ndtri((self.bits(_size(sizes)) + 0.5) / _WORD)
        return _placed(drawn.astype(_DTYPES[self.dtype]), self).reshape(sizes)

    def _take(self, count: int) -> _Counter:
        """The counter of the next draw, of `count` words; the position moves past it."""
        counter = self.counter
        self.position += -(-count // 4)
        return counter


def sparse_uniform_rows(
    streams: Sequence[Stream], shape: Shape, densities: Sequence[float]
) -> Tensor:
    """`stream.sparse_uniform(shape, density)` of every pair (M, *shape), bit for bit.

    Rows of equal key and position share one draw, each at its own density. Every stream advances.
    """
    limits = np.asarray(densities, dtype=np.float64)
    if limits.shape != (len(streams),):
        raise ValueError(
            f"{len(streams)} streams came with densities of shape {limits.shape};"
            " give one density for each stream"
        )
    wrong = limits[~((limits > 0.0) & (limits <= 1.0))]
    if wrong.size:
        raise ValueError(
            f"a sparse draw was asked for density {wrong[0]}; a density lies above 0 and is"
            " at most 1"
        )
    sizes = _sizes(shape)
    size = _size(sizes)
    draws, rows = _shared(streams, size)
    drawn = streams[0].generator.scaled(
        np.array(draws, dtype=np.uint64), rows, limits * _WORD, size, _DTYPES[streams[0].dtype]
    )
    return _placed(drawn, streams[0]).reshape(len(streams), *sizes)


def signs_rows(streams: Sequence[Stream], shape: Shape) -> Tensor:
    """`stream.signs(shape)` of every stream (M, *shape), bit for bit; see `Stream.signs`."""
    sizes = _sizes(shape)
    size = _size(sizes)
    count = -(-size // 32)
    draws, rows = _shared(streams, count)
    words = np.ascontiguousarray(_words_of(draws, streams[0].generator, count), dtype="<u4")
    ones = np.unpackbits(words.view(np.uint8), axis=1, count=size, bitorder="little")
    signs = ones[rows].astype(_DTYPES[streams[0].dtype])
    signs *= 2.0
    signs -= 1.0
    return _placed(signs, streams[0]).reshape(len(streams), *sizes)


def _placed(drawn: NDArray[Any], stream: Stream) -> Tensor:
    """What was drawn, on the stream's device; a CUDA device is not waited for."""
    found = torch.from_numpy(drawn)
    if stream.device.type == "cuda":
        return found.pin_memory().to(stream.device, non_blocking=True)
    return found.to(stream.device)


def _shared(streams: Sequence[Stream], count: int) -> tuple[list[_Counter], NDArray[np.intp]]:
    """The different draws of `count` words among the streams (U), and the draw of each row (M)."""
    if not streams:
        raise ValueError("rows were drawn from no stream; give one stream for each row")
    if len(dtypes := {str(stream.dtype) for stream in streams}) > 1:
        raise ValueError(
            f"rows of one draw have one dtype, these streams have {', '.join(sorted(dtypes))}"
        )
    places: dict[_Counter, int] = {}
    rows = [places.setdefault(stream._take(count), len(places)) for stream in streams]
    return list(places), np.array(rows, dtype=np.intp)


def _words_of(draws: list[_Counter], generator: Generator, count: int) -> Words:
    """The words (U, count) of the draws."""
    return generator.words(np.array(draws, dtype=np.uint64), -(-count // 4))[:, :count]


@lru_cache(maxsize=256)
def _hashed(purpose: str) -> int:
    """The first 32 bits of sha256(purpose)."""
    return int.from_bytes(sha256(purpose.encode()).digest()[:4], "big")


def _sizes(shape: Shape) -> tuple[int, ...]:
    """The shape as a tuple."""
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _size(sizes: tuple[int, ...]) -> int:
    """How many numbers a shape holds; refuses negative sizes."""
    if any(size < 0 for size in sizes):
        raise ValueError(f"numbers of shape {sizes} were asked for; every size is 0 or more")
    return math.prod(sizes)
