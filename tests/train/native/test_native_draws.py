"""What the fused kernel draws in its lanes, against the stream it draws from, bit for bit."""

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from emtkit import Stream
from emtkit.plugin._philox import Generator
from emtkit.plugin.task import Recipe
from emtkit.study.settings import Training
from emtkit.train.native import NativeStep, Network, unavailable
from emtkit.train.native.fused import FusedTraining, one_upper_word

pytest.importorskip("numba")
if unavailable() is not None:
    pytest.skip(str(unavailable()), allow_module_level=True)

NAMES = ("W_uh", "W_hh", "W_r")


def network(hidden: int, inputs: int) -> Network:
    return Network(hidden, inputs, inputs, "relu")


def training(step: NativeStep, streams: list[Stream], densities: list[float]) -> FusedTraining:
    """Rows of weight 0 that hear what their streams give."""
    models, wide = len(streams), step.network.parameters
    still = torch.zeros(models, wide)
    return FusedTraining(
        step,
        NAMES,
        [
            Recipe.delayed((1.0,) * step.steps, density, 0, step.network.inputs)
            for density in densities
        ],
        np.ones((models, step.steps, step.network.outputs), dtype=np.float32),
        [Training(batch=step.batch)] * models,
        streams,
        still,
        {"first": still.clone(), "second": still.clone()},
    )


def heard(step: NativeStep) -> np.ndarray:
    """The inputs (sequence, step, channel) of the block that was computed last."""
    states, wide = step._scratch[1], step.network.columns
    rows = states.reshape(step.steps + 1, wide, -1)[: step.steps, : step.network.inputs]
    return rows.transpose(2, 0, 1)


def drawn(stream: Stream, step: NativeStep, density: float) -> np.ndarray:
    """The same from the stream: the last block of the batch, zeros where it is padded."""
    again = Stream(stream.seed, "train", stream.iteration, generator=Generator())
    again.position = stream.position
    batch = again.sparse_uniform((step.batch, step.steps, step.network.inputs), density).numpy()
    padded = np.zeros((step.padded, *batch.shape[1:]), dtype=np.float32)
    padded[: step.batch] = batch
    return padded[step.padded - 16 * step.width :]


def stream(seed: int, iteration: int, position: int) -> Stream:
    made = Stream(seed, "train", iteration)
    made.position = position
    return made


batches = st.one_of(st.integers(1, 16), st.integers(33, 150))
near_carry = st.builds(
    lambda base, n: base - n, st.sampled_from([2**32, 2**64]), st.integers(1, 60)
)


@pytest.mark.parametrize(
    ("hidden", "inputs"),
    [(2, 1), (3, 3), *(pytest.param(*sizes, marks=pytest.mark.slow) for sizes in ((2, 4), (5, 6)))],
)
@settings(max_examples=25, deadline=None)
@given(
    batch=batches,
    steps=st.integers(1, 9),
    density=st.one_of(st.sampled_from([1.0, 0.5, 2.0**-32, 3e-9]), st.floats(1e-9, 1.0)),
    iteration=st.one_of(st.integers(0, 9), st.integers(2**32 - 2, 2**64 - 2)),
    position=st.one_of(st.integers(0, 2**64 - 1), near_carry),
)
@example(batch=64, steps=4, density=0.1, iteration=0, position=2**32)
@example(batch=70, steps=3, density=0.1, iteration=2**32 - 1, position=2**33 - 4096)
def test_inputs_are_those_of_the_stream(hidden, inputs, batch, steps, density, iteration, position):
    step = NativeStep(network(hidden, inputs), batch=batch, steps=steps)
    one = stream(7, iteration, position)
    assume(one_upper_word(one, batch * steps * inputs))
    training(step, [one], [density]).run(1)
    assert np.array_equal(heard(step), drawn(one, step, density))


@pytest.mark.parametrize(("hidden", "inputs"), [(2, 1), (3, 3), (2, 4)])
@settings(max_examples=15, deadline=None)
@given(
    batch=batches,
    steps=st.integers(1, 9),
    densities=st.lists(st.floats(1e-3, 1.0), min_size=2, max_size=4),
    iterations=st.integers(1, 3),
)
def test_rows_that_share_a_draw_keep_its_words(hidden, inputs, batch, steps, densities, iterations):
    step = NativeStep(network(hidden, inputs), batch=batch, steps=steps)
    rows = [stream(7, 11, 13) for _ in densities]
    training(step, rows, densities).run(iterations)
    last = stream(7, 11 + iterations - 1, 13)
    assert np.array_equal(heard(step), drawn(last, step, densities[-1]))


def test_words_at_the_limit_and_at_the_end():
    """Chance finds neither the largest word nor the one that equals the limit: search for some."""
    step = NativeStep(network(2, 4), batch=64, steps=8)
    words = stream(0, 0, 0).bits(64 * 32).astype(np.float64)
    for limit in (words[77], words[77] + 1.0, words.max(), words.max() + 1.0, words[5] + 0.5):
        one, density = stream(0, 0, 0), float(limit / 2.0**32)
        assert density * 2.0**32 == limit
        training(step, [one], [density]).run(1)
        found = heard(step)
        assert np.array_equal(found, drawn(one, step, density))
        assert (found.ravel() > 0.0).sum() == ((words < limit) & (words > 0.0)).sum()


def test_a_draw_reaches_to_the_next_upper_word_and_not_past_it():
    for base in (2**32, 2**64):
        assert one_upper_word(stream(0, 0, base - 2), 8)
        assert not one_upper_word(stream(0, 0, base - 2), 9)
