"""Tables and arrays survive the way into the store and back, bit for bit."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load

from emtkit.errors import PluginError, StoreError
from emtkit.store.content import pack, to_safetensors, unpack

NAMES = "? i1 u1 i2 u2 i4 u4 i8 u8 f2 f4 f8 c8 c16 >f8 >i4 >c16"  # both byte orders
DTYPES = [np.dtype(name) for name in NAMES.split()]
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
)
WRITABLE = st.characters(codec="utf-8")  # pandas itself refuses half a pair as a name
texts = st.text(st.characters(exclude_categories=()), max_size=8)
columns = st.one_of(
    st.sampled_from(["f8", "i8", "?", "c16", "f4"]).map(np.dtype),
    st.just(str),
    st.just(object),
)


@given(st.dictionaries(texts, arrays, max_size=3))
@settings(max_examples=150, deadline=None)
def test_arrays_keep_every_bit(given_arrays: dict[str, np.ndarray]) -> None:
    blob = pack({}, given_arrays)
    found = unpack(blob).arrays
    assert set(found) == set(given_arrays)
    for name, array in given_arrays.items():
        assert found[name].shape == array.shape
        assert found[name].dtype == array.dtype.newbyteorder("=")
        native = array.astype(array.dtype.newbyteorder("="))
        assert found[name].tobytes() == native.tobytes()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_tables_keep_values_and_order(data: st.DataObject) -> None:
    rows = data.draw(st.integers(0, 4))
    names = data.draw(st.lists(st.text(WRITABLE, max_size=8), unique=True, max_size=4))
    given_columns = {}
    for name in names:
        kind = data.draw(columns)
        if isinstance(kind, np.dtype):
            given_columns[name] = pd.Series(data.draw(hnp.arrays(kind, rows)))
        elif kind is str:
            values = st.text(WRITABLE, max_size=5).filter(lambda text: "\0" not in text)
            chosen = data.draw(st.lists(values, min_size=rows, max_size=rows))
            given_columns[name] = pd.Series(chosen, dtype="str")
        else:
            values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False))
            chosen = data.draw(st.lists(values, min_size=rows, max_size=rows))
            given_columns[name] = pd.Series([*chosen, "text"], dtype=object).iloc[:rows]
    table = pd.DataFrame(given_columns, index=range(rows))
    found = unpack(pack({"t": table}, {})).tables["t"]
    assert list(found.columns) == names
    assert len(found) == rows
    for name in names:
        if isinstance(table[name].dtype, np.dtype) and table[name].dtype != object:
            assert found[name].dtype == table[name].dtype
            assert found[name].to_numpy().tobytes() == table[name].to_numpy().tobytes()
        else:
            assert [repr(v) for v in found[name]] == [repr(v) for v in table[name]]


def test_equal_content_gives_equal_bytes() -> None:
    table = pd.DataFrame({"lag": [0, 1], "kind": ["a", None], "re": [0.5, math.nan]})
    first = pack({"t": table, "u": table}, {"b": np.ones(3), "a": np.arange(2)})
    assert all(
        pack({"t": table, "u": table}, {"b": np.ones(3), "a": np.arange(2)}) == first
        for _ in range(5)
    )


def test_a_named_index_becomes_a_column() -> None:
    table = pd.DataFrame({"value": [1.0, 2.0]}, index=pd.Index([3, 4], name="lag"))
    found = unpack(pack({"t": table}, {})).tables["t"]
    assert found.to_dict("list") == {"lag": [3, 4], "value": [1.0, 2.0]}


def test_no_object_is_ever_stored() -> None:
    with pytest.raises(PluginError, match="array 'a' has dtype object"):
        pack({}, {"a": np.array([{}], dtype=object)})
    with pytest.raises(PluginError, match="column 'x' of table 't' holds a dict"):
        pack({"t": pd.DataFrame({"x": [{}]})}, {})
    with pytest.raises(PluginError, match="two columns of one name"):
        pack({"t": pd.DataFrame([[1, 2]], columns=["x", "x"])}, {})


def test_arrays_for_other_programs_carry_their_own_names() -> None:
    found = load(to_safetensors({"spectrum.values": np.array([1 + 2j]), "loss": np.float32(0.5)}))
    assert found["spectrum.values"].tolist() == [[1.0, 2.0]]
    assert found["loss"].shape == ()


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_bytes_of_a_stranger_are_refused_in_words(blob: bytes) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        unpack(blob)


def test_strided_arrays_keep_their_values() -> None:
    # Found by the conformance suite: transposed arrays came back with their numbers shuffled.
    whole = np.arange(6.0).reshape(2, 3)
    arrays = {"transposed": whole.T, "strided": whole[:, ::2], "complex": (whole * 1j).T}
    tables = {"columns": pd.DataFrame(whole.T, columns=["a", "b"])}
    again = unpack(pack(tables, arrays))
    for name, array in arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)
    np.testing.assert_array_equal(again.tables["columns"].to_numpy(), whole.T)
