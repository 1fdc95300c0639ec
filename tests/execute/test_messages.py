"""Messages: what is encoded comes back equal, and nothing else is read."""

from __future__ import annotations

import ast
import math
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import emtkit
from emtkit.errors import StoreError
from emtkit.execute.messages import (
    Answer,
    MeasureJob,
    PlanJob,
    ShapeJob,
    Subjects,
    TrainJob,
    decode,
    decode_job,
    encode,
)
from emtkit.store.records import STATUSES, CellResult, CellState, FindingResult
from emtkit.study.cells import Cell, EvaluationSpec, Measure, PluginConfig
from emtkit.study.settings import Training

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
answers = st.builds(
    Answer,
    cells=st.lists(cells, max_size=2).map(tuple),
    findings=st.lists(findings, max_size=2).map(tuple),
    states=st.lists(st.builds(CellState, texts, plain, st.binary()), max_size=2).map(tuple),
)


@given(answers)
@settings(max_examples=100, deadline=None)
def test_a_message_comes_back_equal(answer: Answer) -> None:
    found = decode(encode(answer))
    assert found == answer
    assert encode(found) == encode(answer)


@given(answers, st.integers(0, 10_000), st.binary(max_size=20))
@settings(max_examples=50, deadline=None)
def test_a_cut_message_is_refused(answer: Answer, at: int, more: bytes) -> None:
    whole = encode(answer)
    with pytest.raises(StoreError, match="message"):
        decode(whole[: at % len(whole)])
    with pytest.raises(StoreError, match="message"):
        decode(more + b"x" + whole)


def test_a_pickle_is_no_message() -> None:
    for read in (decode, decode_job):
        with pytest.raises(StoreError, match="does not begin like"):
            read(pickle.dumps(Answer()))


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


def test_jobs_come_back_equal_with_the_files_that_they_need() -> None:
    training = Training.model_validate({"schedule": {"kind": "cosine", "from": 0.5}, "steps": 3})
    task = PluginConfig("k_delay", 1, {"delay": 2, "shares": [0.5, 1.0]})
    cell = Cell("key", task, PluginConfig("elman", 2, {}), training, 7, True)
    spec = EvaluationSpec("spec", 9, 4, None, (1, 2))
    looked = Measure("found", "label", PluginConfig("spectrum", 1, {}), "snapshots", (0, 3))
    subjects = Subjects(cell, "loop", b"w", b"h", {0: b"a", 3: b"b"}, spec, (looked,))
    for job in (
        PlanJob({"tasks": ["k_delay"]}, "/folder"),
        PlanJob("study.yaml", "/folder"),
        ShapeJob((cell,)),
        TrainJob((cell, cell), "loop", 1.5, {"key": b"state"}),
        MeasureJob((subjects, replace(subjects, evaluation_spec=None, measures=()))),
    ):
        assert decode_job(encode(job, ["b.py", "a.py"])) == (job, {"a.py", "b.py"})
        with pytest.raises(StoreError, match="an answer was expected"):
            decode(encode(job))
