"""What a plan says of the time that training would take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emtkit.execute.overview import duration_text, seconds
from emtkit.study.cells import Cell, PluginConfig
from emtkit.study.settings import Training
from emtkit.train.grouping import TIERS, Stack
from tests.rounding import rounding


def stack(rows: int = 2, steps: int = 100, tier: str = "vmap", parameters: int = 10_000) -> Stack:
    choice = PluginConfig("any", 1, {})
    cells = tuple(
        Cell(str(seed), choice, choice, Training(steps=steps), seed, True) for seed in range(rows)
    )
    return Stack("key", cells, tier, length=100, parameters=parameters)


@pytest.mark.parametrize("tier", sorted(TIERS))
def test_time_grows_with_iterations_length_and_rows(tier):
    one = seconds(stack(tier=tier))
    assert seconds(stack(tier=tier, steps=200)) == pytest.approx(2 * one)
    assert seconds(replace(stack(tier=tier), length=200)) == pytest.approx(2 * one)
    assert one < seconds(stack(tier=tier, rows=4)) <= 2 * one * (1 + rounding(2))


def test_a_program_that_serves_all_rows_is_called_once():
    tiny = {"rows": 50, "parameters": 0}
    assert seconds(stack(tier="loop", **tiny)) > 5 * seconds(stack(tier="vmap", **tiny))


def test_the_published_table_takes_days_and_the_demo_does_not():
    # 240 networks of 128 units, 45,000 iterations of 64 sequences of 108 steps
    table = replace(stack(rows=240, steps=45_000, parameters=18_432), length=108)
    assert 24 < seconds(table) / 3600 < 240
    demo = replace(stack(rows=12, steps=700, parameters=1_280), length=64)
    assert 5 < seconds(demo) < 120


@pytest.mark.parametrize(
    ("value", "text"), [(0.2, "1 s"), (80, "80 s"), (120, "2 min"), (9000, "2 h"), (1e6, "278 h")]
)
def test_durations_have_few_digits(value, text):
    assert duration_text(value) == text
