"""Scalars as JSON: what is written comes back equal, and nothing else is read."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtkit.errors import PluginError, StoreError
from emtkit.store.codec import scalars_from_json, scalars_to_json

texts = st.text(st.characters(exclude_categories=()), max_size=10)
numbers = st.one_of(st.floats(allow_nan=False), st.integers(), st.booleans(), texts)
scalars = st.dictionaries(texts, numbers, max_size=4)


@given(scalars)
def test_scalars_keep_type_and_every_bit(given_scalars: dict[str, Any]) -> None:
    found = scalars_from_json(scalars_to_json(given_scalars))
    assert repr(found) == repr(given_scalars)  # order, sign of zero and type included


def test_nan_is_null_and_an_infinity_is_named() -> None:
    text = scalars_to_json({"a": math.nan, "b": math.inf, "c": -math.inf})
    assert text == '{"a": null, "b": {"float": "inf"}, "c": {"float": "-inf"}}'
    found = scalars_from_json(text)
    assert math.isnan(found["a"])  # type: ignore[arg-type]
    assert (found["b"], found["c"]) == (math.inf, -math.inf)


def test_what_is_no_scalar_is_refused_by_name() -> None:
    bad: Any = {"gains": [1.0]}
    with pytest.raises(PluginError, match="'gains' is a list"):
        scalars_to_json(bad)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": [1]}', '{"a": {"b": 1}}', "[" * 100_000])
def test_scalars_of_a_stranger_are_refused_in_words(text: str) -> None:
    with pytest.raises(StoreError, match="the store has something else where"):
        scalars_from_json(text)
