"""Tables of findings, of one network and of several."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtkit_std._findings import long_table, long_tables

sizes = st.integers(0, 3)


@given(st.integers(1, 3), sizes, sizes)
def test_tables_of_several_networks_are_those_of_each(networks, rows, columns):
    """Also where there is nothing to tabulate."""
    values = np.random.default_rng(0).normal(size=(networks, rows, columns))
    tables = long_tables(("row", "column"), {"value": values})
    assert len(tables) == networks
    for table, own in zip(tables, values, strict=True):
        assert table.equals(long_table(("row", "column"), {"value": own}))
        assert list(table.columns) == ["row", "column", "value"]
        found = {(r, c): v for r, c, v in table.itertuples(index=False)}
        assert found == {place: pytest.approx(v) for place, v in np.ndenumerate(own)}
