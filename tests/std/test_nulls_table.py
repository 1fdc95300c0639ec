"""The page of analyses against nulls is what the code says, of every analysis."""

from __future__ import annotations

import re

import pytest

from tests.std.nulls_table import PAGE, ROWS, analyses, page

NUMBER = re.compile(r"-?\d+\.\d+")


def test_every_analysis_is_on_the_page() -> None:
    names = [analysis.name for analysis in analyses()]
    assert list(ROWS) == names
    text = PAGE.read_text(encoding="utf-8")
    assert all(text.count(f"| `{name}` |") == 2 for name in names)


@pytest.mark.slow  # every analysis on a dozen networks: twenty seconds
def test_the_page_says_what_the_analyses_say() -> None:
    """Words alike, numbers up to the rounding of other machines (random nulls, fixed points)."""
    written, found = PAGE.read_text(encoding="utf-8"), page()
    assert NUMBER.sub("#", written) == NUMBER.sub("#", found)
    for before, after in zip(NUMBER.findall(written), NUMBER.findall(found), strict=True):
        assert float(after) == pytest.approx(float(before), rel=0.02, abs=0.02)
