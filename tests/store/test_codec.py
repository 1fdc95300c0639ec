"""Messages and scalars: what is encoded comes back equal, and nothing else is read."""

from __future__ import annotations

import ast
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import emtkit
from emtkit.errors import PluginError, StoreError
from emtkit.store.codec import decode, encode, scalars_from_json, scalars_to_json
from emtkit.store.records import STATUSES, Attempt, Bundle, CellResult, CellState, FindingResult

texts = st.text(st.characters(exclude_categories=()), max_size=10)
numbers = st.one_of(st.floats(allow_nan=False), st.integers(), st.booleans(), texts)
scalars = st.dictionaries(texts, numbers, max_size=4)
plain = st.dictionaries(texts, st.one_of(numbers.filter(lambda v: v not in (math.inf, -math.inf))))
blobs = st.none() | st.binary(max_size=50)
statuses = st.sampled_from(STATUSES)
seconds = st.floats(0, 1e6)
cells = st.builds(
    CellResult,
    key=texts,
    identity=plain,
    status=statuses,
    weights=blobs,
    snapshots=st.dictionaries(st.integers(0, 10), st.binary(max_size=20), max_size=3),
    history=blobs,
    scalars=scalars,
    reasons=st.dictionaries(texts, texts, max_size=2),
    tier=texts,
    seconds=seconds,
    digest=texts,
    error=texts,
    provenance=plain,
)
findings = st.builds(
    FindingResult,
    key=texts,
    cell=texts,
    identity=plain,
    status=statuses,
    scalars=scalars,
    content=blobs,
    error=texts,
)
bundles = st.builds(
    Bundle,
    cells=st.lists(cells, max_size=2).map(tuple),
    findings=st.lists(findings, max_size=2).map(tuple),
    states=st.lists(st.builds(CellState, texts, plain, st.binary()), max_size=2).map(tuple),
    attempts=st.lists(st.builds(Attempt, texts, st.integers(1), texts), max_size=2).map(tuple),
)


@given(bundles)
@settings(max_examples=100, deadline=None)
def test_a_message_comes_back_equal(bundle: Bundle) -> None:
    found = decode(encode(bundle))
    assert found == bundle
    assert encode(found) == encode(bundle)


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


@given(bundles, st.integers(0, 10_000), st.binary(max_size=20))
@settings(max_examples=50, deadline=None)
def test_a_cut_message_is_refused(bundle: Bundle, at: int, more: bytes) -> None:
    whole = encode(bundle)
    with pytest.raises(StoreError, match="message"):
        decode(whole[: at % len(whole)])
    with pytest.raises(StoreError, match="message"):
        decode(more + b"x" + whole)


def test_a_pickle_is_no_message() -> None:
    with pytest.raises(StoreError, match="does not begin like"):
        decode(pickle.dumps(Bundle()))


def test_no_module_that_handles_results_knows_pickle() -> None:
    root = Path(emtkit.__file__).parent
    for path in [*(root / "execute").glob("*.py"), *(root / "report").glob("*.py")]:
        tree = ast.parse(path.read_text())
        imported = {
            name.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for name in node.names
        } | {
            (node.module or "").split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
        }
        assert not imported & {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}, path
