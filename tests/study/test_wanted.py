"""What a column must hold: many values are judged as each of them is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emtkit.study.wanted import matches, matching

ATOMS = st.sampled_from([None, True, False, 0, 1, 1.0, 2, 0.5, "", "a", "1"])
VALUES = ATOMS | st.lists(ATOMS, max_size=2)


@given(st.lists(VALUES, max_size=8), ATOMS | st.lists(ATOMS, max_size=3).map(tuple))
def test_values_match_together_as_alone(values, wanted):
    """Also where 1, 1.0 and yes, which are equal, stand in one column."""
    assert matching(values, wanted) == [matches(value, wanted) for value in values]
