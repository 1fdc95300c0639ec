"""The page of answered pairs is what the code says, and every refusal says what to do."""

from __future__ import annotations

import numpy as np
import pytest

from emtkit import Analysis, Findings, NotApplicable
from emtkit_std.analyses.emt_spectrum import EmtSpectrum
from emtkit_std.analyses.spectrum import Spectrum
from emtkit_std.architectures.attention import Attention
from emtkit_std.architectures.elman import Elman
from emtkit_std.tasks.flip_flop import FlipFlop
from tests.std.answered_table import ANALYSES, PAGE, TASKS, measured, page, pairs, says_what_to_do
from tests.std.subjects import build

FLIP = FlipFlop()


def test_the_page_names_every_analysis_and_task() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text for name in ANALYSES)
    assert all(f"`{task.name}`" in text for task in TASKS)


def test_a_refusal_is_no_answer_and_gives_its_reason() -> None:
    found = measured(Spectrum, FLIP, build(Attention, FLIP))
    assert not found.answered
    (reason,) = found.reasons
    assert "use an architecture" in reason
    assert says_what_to_do(reason)


def test_what_is_undefined_is_no_answer() -> None:
    class Nothing(Analysis):
        name = "emt_spectrum"

        def measure(self, subject):
            undefined = {name: np.nan for name in ("angle_error", "top_angle_error")}
            return Findings(undefined, reasons=dict.fromkeys(undefined, "raise `x`"))

    assert not measured(Nothing, FLIP, build(Elman, FLIP)).answered
    assert measured(EmtSpectrum, FLIP, build(Elman, FLIP)).answered


def test_a_raised_refusal_is_no_answer() -> None:
    class Never(Analysis):
        name = "spectrum"

        def measure(self, subject):
            raise NotApplicable("it never is")

    found = measured(Never, FLIP, build(Elman, FLIP))
    assert (found.answered, found.reasons) == (False, ("it never is",))


@pytest.mark.parametrize(
    "reason",
    [
        "it never is",
        "the matrix is not finite",
        "flip_flop offers neither HistoryLaw nor DelayLaw",
        "the network has no state map",
        "what is of use is unknown",
        "the use is unknown",
        "a set of no items",
    ],
)
def test_a_reason_that_names_nothing_to_do_is_found(reason: str) -> None:
    assert not says_what_to_do(reason)


@pytest.mark.slow  # 294 pairs: two minutes
def test_three_quarters_are_answered_and_every_refusal_says_what_to_do() -> None:
    found = pairs()
    assert len(found) == 294
    assert sum(pair.answered for pair in found) >= 0.75 * len(found)
    silent = [pair for pair in found for why in pair.reasons if not says_what_to_do(why)]
    assert not silent, silent
    assert all(pair.reasons for pair in found if not pair.answered)


@pytest.mark.slow  # the same pairs, which are measured once
def test_the_page_says_what_the_analyses_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
