"""Streams against published answers, exact laws, and one implementation against the other."""

import math
import os
import subprocess
import sys
from hashlib import sha256
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emtkit.plugin._philox import Generator, default_generator, largest_below_one
from emtkit.plugin.stream import (
    NO_SEED,
    Stream,
    signs_rows,
    sparse_uniform_rows,
)
from tests.rounding import assert_rounded, rounding

NUMPY = Generator()
WORD = 2.0**32

shapes = st.one_of(
    st.integers(0, 40), st.lists(st.integers(0, 9), min_size=0, max_size=3).map(tuple)
)
dtypes = st.sampled_from([torch.float32, torch.float64])
seeds = st.one_of(st.none(), st.integers(0, NO_SEED - 1))
iterations = word64 = st.integers(0, 2**64 - 1)
word32 = st.integers(0, 2**32 - 1)
densities = st.floats(1e-9, 1.0)


class Ruled(Generator):
    """Gives the words it was told, for the edges that chance does not reach."""

    def __init__(self, *words: int) -> None:
        self.told = np.array(words, dtype=np.uint32)

    def words(self, counters, blocks):
        return np.resize(self.told, (len(counters), 4 * blocks))


@pytest.fixture(scope="module")
def compiled() -> Generator:
    numba_generator = pytest.importorskip("emtkit.plugin._philox_numba")
    return numba_generator.NumbaGenerator()


@pytest.fixture(scope="module", params=["numpy", "compiled"])
def generator(request: pytest.FixtureRequest) -> Generator:
    return NUMPY if request.param == "numpy" else request.getfixturevalue("compiled")


# Random123, tests/kat_vectors, philox4x32 with 10 rounds: counter, key, answer
PUBLISHED = [
    (
        (0, 0, 0, 0),
        (0, 0),
        (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    ),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), PUBLISHED)
def test_published_known_answers(generator, counter, key, answer):
    block = counter[0] | counter[1] << 32
    iteration = counter[2] | counter[3] << 32
    counters = np.array([(*key, iteration, block)], dtype=np.uint64)
    assert generator.words(counters, 1).tolist() == [list(answer)]


def scalar_block(counter: list[int], key: list[int]) -> list[int]:
    """One block in plain integers, written from the paper."""
    for _ in range(10):
        p0, p1 = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [
            (p1 >> 32) ^ counter[1] ^ key[0],
            p1 & 0xFFFFFFFF,
            (p0 >> 32) ^ counter[3] ^ key[1],
            p0 & 0xFFFFFFFF,
        ]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter


def test_key_and_counter_words_are_those_documented(generator):
    stream = Stream(5, "train", 2**40 + 3, generator=generator)
    purpose = int(sha256(b"train").hexdigest()[:8], 16)
    expected = [
        word for block in range(3) for word in scalar_block([block, 0, 3, 2**8], [5, purpose])
    ]
    assert stream.bits(12).tolist() == expected
    unseeded = scalar_block([0, 0, 0, 0], [0xFFFFFFFF, purpose])
    assert Stream(None, "train", generator=generator).bits(4).tolist() == unseeded


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(word32, word32, word64, word64), max_size=3), st.integers(0, 300))
def test_compiled_words_equal_numpy_words(compiled, draws, blocks):
    counters = np.array(draws, dtype=np.uint64).reshape(-1, 4)
    assert np.array_equal(compiled.words(counters, blocks), NUMPY.words(counters, blocks))


def test_numpy_chunks_do_not_show(compiled):
    counters = np.array([(1, 2, 3, 0), (1, 2, 3, 4095)], dtype=np.uint64)
    drawn = NUMPY.words(counters, 3 * 4096 + 5)
    assert np.array_equal(drawn, compiled.words(counters, 3 * 4096 + 5))
    assert np.array_equal(drawn[0, 4 * 4095 :], drawn[1, : -4 * 4095])


@settings(max_examples=60, deadline=None)
@given(seeds, st.text(max_size=8), iterations, shapes, dtypes, densities, st.integers(1, 2**32))
def test_both_generators_give_the_same_bits_by_every_method(
    compiled, seed, purpose, iteration, shape, dtype, density, high
):
    fast = Stream(seed, purpose, iteration, dtype=dtype, generator=compiled)
    slow = Stream(seed, purpose, iteration, dtype=dtype, generator=NUMPY)
    sizes = (shape,) if isinstance(shape, int) else shape
    for draw in (
        lambda stream: stream.uniform(shape),
        lambda stream: stream.sparse_uniform(shape, density),
        lambda stream: stream.signs(shape),
        lambda stream: stream.normal(shape),
    ):
        drawn = draw(fast)
        assert drawn.dtype == dtype
        assert drawn.shape == sizes
        assert torch.equal(drawn, draw(slow))
    whole = fast.integers(shape, high)
    assert whole.dtype == torch.int64
    assert torch.equal(whole, slow.integers(shape, high))
    assert fast.position == slow.position


def test_draws_are_the_documented_functions_of_the_words(generator):
    def fresh() -> Stream:
        return Stream(3, "law", 4, dtype=torch.float64, generator=generator)

    words = [int(word) for word in fresh().bits(64)]
    assert fresh().uniform(64).tolist() == [word / WORD for word in words]
    sparse = fresh().sparse_uniform(64, 0.25).tolist()
    assert sparse == [word / 2**30 if word < 2**30 else 0.0 for word in words]
    signs = fresh().signs((8, 8)).flatten().tolist()
    assert signs == [2.0 * (words[n // 32] >> (n % 32) & 1) - 1.0 for n in range(64)]
    pairs = zip(words[::2], words[1::2], strict=True)
    whole = [1_000_003 * (low | high << 32) >> 64 for low, high in pairs]
    assert fresh().integers(32, 1_000_003).tolist() == whole


def test_normal_inverts_the_normal_distribution(generator):
    stream = Stream(3, "law", dtype=torch.float64, generator=generator)
    words = Stream(3, "law").bits(500)
    for value, word in zip(stream.normal(500).tolist(), words, strict=True):
        # A tail P(X < x) changes by 1 + x^2 times the relative change of x, at most.
        found = 0.5 * math.erfc(-value / math.sqrt(2.0))
        assert_rounded(found, (int(word) + 0.5) / WORD, 2, 1 + value**2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_uniform_reaches_one(generator, dtype):
    def edge() -> Stream:
        """This stream's next block holds the word 2**32 - 2, found by search."""
        stream = Stream(35, "edge", dtype=dtype, generator=generator)
        stream.position = 3_730_791 // 4
        return stream

    word = int(edge().bits(4)[3])
    assert word == 2**32 - 2
    assert np.float32(word / WORD) == 1.0  # what plain rounding would give
    kind = np.dtype(str(dtype).removeprefix("torch."))
    assert edge().uniform(4)[3] == min(kind.type(word / WORD), largest_below_one(kind))
    assert edge().sparse_uniform(4, np.nextafter(word / WORD, 1.0))[3] < 1.0
    assert edge().sparse_uniform(4, word / WORD)[3] == 0.0  # active strictly below the limit


def test_extreme_words_give_finite_normals():
    drawn = Stream(0, "edge", generator=Ruled(0, 2**32 - 1)).normal(2)
    assert torch.isfinite(drawn).all()
    assert drawn[0] == -drawn[1]
    top = Stream(0, "edge", generator=Ruled(2**32 - 1)).integers(4, 2**32)
    assert top.tolist() == [2**32 - 1] * 4


def test_a_draw_starts_on_the_next_block(generator):
    words = Stream(9, "blocks", generator=generator).bits(20)
    stream = Stream(9, "blocks", generator=generator)
    first, second = stream.bits(7), stream.bits(5)
    assert np.array_equal(first, words[:7])
    assert np.array_equal(second, words[8:13])
    assert stream.position == 4
    assert len(stream.bits(0)) == 0
    assert stream.position == 4
    stream.signs((3, 11))  # 33 signs: 2 words
    assert stream.position == 5
    stream.integers(3, 10)  # 6 words
    assert stream.position == 7


@pytest.mark.parametrize("iteration", [2**32 - 1, 2**32, 2**32 + 1, 2**64 - 1])
def test_iterations_past_a_word_are_their_own(generator, iteration):
    seen = {
        tuple(Stream(1, "late", other, generator=generator).bits(4).tolist())
        for other in (iteration, iteration % 2**32 if iteration > 2**32 - 1 else 0, 7)
    }
    assert len(seen) == 3


@st.composite
def stacks(draw):
    """Keys from a small pool, so that rows are shared, each with its density and start."""
    pool = draw(st.lists(st.tuples(seeds, st.integers(0, 2)), min_size=1, max_size=3))
    size = draw(st.integers(1, 8))
    rows = draw(st.lists(st.sampled_from(pool), min_size=size, max_size=size))
    starts = draw(st.lists(st.sampled_from([0, 0, 3]), min_size=size, max_size=size))
    sparse = draw(st.lists(densities, min_size=size, max_size=size))
    return rows, starts, sparse


def built(rows, starts, dtype, generator) -> list[Stream]:
    streams = []
    for (seed, iteration), start in zip(rows, starts, strict=True):
        stream = Stream(seed, "rows", iteration, dtype=dtype, generator=generator)
        stream.bits(4 * start)
        streams.append(stream)
    return streams


@settings(max_examples=60, deadline=None)
@given(stacks(), shapes, dtypes)
def test_rows_equal_row_by_row(compiled, stack, shape, dtype):
    rows, starts, sparse = stack
    for generator in (compiled, NUMPY):
        together = built(rows, starts, dtype, generator)
        alone = built(rows, starts, dtype, generator)
        for _ in range(2):  # the second draw meets positions that moved
            drawn = sparse_uniform_rows(together, shape, sparse)
            expected = [s.sparse_uniform(shape, p) for s, p in zip(alone, sparse, strict=True)]
            assert torch.equal(drawn, torch.stack(expected))
            full = sparse_uniform_rows(together, shape, [1.0] * len(together))
            assert torch.equal(full, torch.stack([s.uniform(shape) for s in alone]))
            assert torch.equal(
                signs_rows(together, shape), torch.stack([s.signs(shape) for s in alone])
            )
            assert [s.position for s in together] == [s.position for s in alone]


def test_one_stream_twice_gives_two_draws():
    stream, alone = Stream(1, "twice"), Stream(1, "twice")
    expected = torch.stack([alone.uniform(5), alone.uniform(5)])
    assert torch.equal(sparse_uniform_rows([stream, stream], 5, [1.0, 1.0]), expected)


def test_equal_keys_share_one_draw():
    class Counting(Generator):
        drawn = 0

        def fill(self, counter, out):
            self.drawn += out.size
            super().fill(counter, out)

    counting = Counting()
    streams = [Stream(row % 2, "shared", generator=counting) for row in range(10)]
    sparse_uniform_rows(streams, (16, 4), [0.1 * (row + 1) for row in range(10)])
    assert counting.drawn == 2 * 64


def test_a_denser_draw_contains_the_sparser_one():
    thin = Stream(1, "nested").sparse_uniform(4000, 0.1)
    thick = Stream(1, "nested").sparse_uniform(4000, 0.5)
    assert ((thin > 0) <= (thick > 0)).all()
    assert_rounded(thick[thin > 0], thin[thin > 0] / 5, 2)


def within(values: torch.Tensor, mean: float, second: float, fourth: float) -> None:
    """Sample mean and second moment lie within 5 standard errors of the exact ones."""
    count, values = values.numel(), values.double()
    assert abs(values.mean() - mean) < 5 * math.sqrt((second - mean**2) / count)
    spread = math.sqrt(max(fourth - second**2, 0.0) / count)
    assert abs((values**2).mean() - second) <= 5 * spread + rounding(1, second)


def test_moments():
    count = 200_000
    within(Stream(0, "moments").uniform(count), 1 / 2, 1 / 3, 1 / 5)
    within(Stream(0, "moments").normal(count), 0.0, 1.0, 3.0)
    within(Stream(0, "moments").signs(count), 0.0, 1.0, 1.0)
    for density in (0.1, 0.01):
        drawn = Stream(0, "moments").sparse_uniform(count, density)
        within(drawn, density / 2, density / 3, density / 5)
        within((drawn > 0).float(), density, density, density)
    whole = Stream(0, "moments").integers(count, 7)
    expected = torch.full((7,), count / 7)
    statistic = ((torch.bincount(whole, minlength=7) - expected) ** 2 / expected).sum()
    assert statistic < 6 + 5 * math.sqrt(12)  # chi-squared, 6 degrees of freedom


def test_neighbouring_streams_are_uncorrelated():
    count = 20_000
    root = Stream(0, "train", 1, dtype=torch.float64)
    family = [
        root.fork("inputs"),
        root.fork("targets"),
        root.fork("inputs").fork("deep"),
        Stream(1, "train", 1, dtype=torch.float64),
        Stream(None, "train", 1, dtype=torch.float64),
        Stream(0, "train", 2, dtype=torch.float64),
        Stream(0, "test", 1, dtype=torch.float64),
        root,
    ]
    drawn = [stream.uniform(count) - 0.5 for stream in family]
    for left, right in combinations(drawn, 2):
        # the product of two centred uniforms has variance 1/144
        assert abs((left * right).mean()) < 5 / 12 / math.sqrt(count)


def test_a_fork_follows_from_the_key_alone():
    fresh, used = Stream(2, "train", 7), Stream(2, "train", 7)
    used.uniform(100)
    assert used.fork("mask").key == Stream(2, "train/mask", 7).key
    assert torch.equal(fresh.fork("mask").uniform(9), used.fork("mask").uniform(9))
    assert Stream(2, "train", dtype=torch.float64).fork("mask").dtype == torch.float64


def test_keys_are_hashable_records():
    assert Stream(2, "train", 7).key == Stream(2, "train", 7).key
    assert len({Stream(2, "train", 7).key, Stream(2, "train", 8).key}) == 2
    assert repr(Stream(2, "train", 7)) == "Stream(2, 'train', 7, position=0, dtype=torch.float32)"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: Stream(-1, "x"), "seed -1; a seed is an integer from 0 to 4294967294"),
        (lambda: Stream(NO_SEED, "x"), "seed 4294967295"),
        (lambda: Stream(0, "x", -1), "iteration -1"),
        (lambda: Stream(0, "x", 2**64), "it counts from 0"),
        (lambda: Stream(0, "x", dtype=torch.float16), "float16; it draws"),
        (lambda: Stream(0, "x").uniform((3, -2)), r"shape \(3, -2\)"),
        (lambda: Stream(0, "x").normal(-1), r"shape \(-1,\)"),
        (lambda: Stream(0, "x").bits(-1), r"shape \(-1,\)"),
        (lambda: Stream(0, "x").integers(3, 0), "below 0"),
        (lambda: Stream(0, "x").integers(3, 2**32 + 1), "from 1 to"),
        (lambda: Stream(0, "x").sparse_uniform(3, 0.0), r"density 0\.0"),
        (lambda: Stream(0, "x").sparse_uniform(3, 1.5), r"density 1\.5"),
        (lambda: Stream(0, "x").sparse_uniform(3, math.nan), "density nan"),
        (lambda: sparse_uniform_rows([Stream(0, "x")], 3, [0.5, 0.5]), "one density for each"),
        (lambda: sparse_uniform_rows([], 3, []), "no stream"),
        (
            lambda: signs_rows([Stream(0, "x"), Stream(0, "x", dtype=torch.float64)], 3),
            "torch.float32, torch.float64",
        ),
    ],
)
def test_mistakes_are_told(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        wrong()


def python(code: str, **environment: str) -> None:
    """Run code in a fresh interpreter with warnings as errors."""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        check=True,
        timeout=120,
    )


def test_numba_waits_for_the_first_draw():
    python(
        "import sys\n"
        "from emtkit.plugin.stream import Stream\n"
        "stream = Stream(0, 'lazy').fork('still')\n"
        "assert 'numba' not in sys.modules and 'scipy' not in sys.modules\n"
    )


def test_without_numba_numpy_draws():
    python(
        "import sys\n"
        "sys.modules['numba'] = None\n"
        "from emtkit.plugin.stream import Stream\n"
        "stream = Stream(0, 'plain')\n"
        "assert type(stream.generator).__name__ == 'Generator'\n"
        f"assert stream.bits(4).tolist() == {Stream(0, 'plain').bits(4).tolist()}\n"
    )


def test_with_numba_the_compiled_generator_draws(compiled):
    assert type(default_generator()) is type(compiled)
