"""The frame: a row per cell, exact numbers, and a reason for every value that is missing."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load, save

from emtkit.errors import EmtkitError
from emtkit.report.data.frame import read_results
from emtkit.report.page.export import export
from emtkit.store.content import pack
from emtkit.store.records import Bundle, CellResult, FindingResult
from emtkit.store.store import Store
from emtkit.study.cells import Cell, EvaluationSpec, Measure, PluginConfig, Row
from emtkit.study.settings import Training


def row(key: str, *, reason: str | None = None, seed: int = 0, **more: Any) -> Row:
    delay = more.pop("delay", 3)
    task = PluginConfig("k_delay", 1, {"delay": delay})
    architecture = PluginConfig("elman", 1, {"hidden": 4, **more})
    spectrum = PluginConfig("spectrum", 1, {"of": "recurrent"})
    waves = PluginConfig("wave", 1, {})
    return Row(
        grid="main",
        task="k_delay",
        architecture="elman",
        cell=Cell(key, task, architecture, Training(), seed, True, reason),
        evaluation_spec=EvaluationSpec(f"{key}-test", 64, None, None, ()),
        measures=(
            Measure(f"{key}-spectrum", "spectrum", spectrum, "end", ()),
            Measure(f"{key}-wave", "wave", waves, "end", (), "wave needs HistoryLaw"),
        ),
    )


ROWS = (
    row("a"),
    row("b", seed=1),
    row("c", seed=2),
    row("d", seed=3),
    row("e", seed=4, reason="elman keeps no window", delay=5),
)
EIGENVALUES = pd.DataFrame({"re": [0.1, 0.2], "im": [0.0, -0.3], "kind": ["real", "pair"]})


def finished(key: str, loss: float) -> Bundle:
    radius = {"radius": loss / 3, "regime": "dense", "shift": math.nan, "operator": 2**60 + 1}
    whole = pack({"eigenvalues": EIGENVALUES}, {"modes": np.array([[1 + 2j]])})
    test = {"loss": loss, "solved": True}
    return Bundle(
        cells=(
            CellResult(
                key,
                {},
                "done",
                weights=save({"W_hh": np.eye(2)}),
                history=pack({}, {"loss": np.array([1.0, loss])}),
                scalars={"loss": loss, "steps": 600, "solved_at": math.nan},
                reasons={"solved_at": "never solved"},
            ),
        ),
        findings=(
            FindingResult(f"{key}-test", key, {}, "done", test),
            FindingResult(
                f"{key}-spectrum",
                key,
                {},
                "done",
                radius,
                whole,
                reasons={"shift": "no phase in a 2-unit network"},
            ),
        ),
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    failed = CellResult(
        "c", {}, "failed", error="Traceback:\n  File x\nValueError: NaN at step 3\n"
    )
    with Store.open(tmp_path / "s.sqlite", writer=True) as store:
        store.commit(finished("a", 0.1 + 0.2))
        store.commit(Bundle(cells=finished("b", 1e-300).cells))
        store.commit(Bundle(cells=(failed,)))
        yield store


def test_a_row_per_cell_with_status_and_cause(store: Store) -> None:
    frame = read_results(ROWS, store).frame
    assert list(frame.columns[:7]) == [
        "cell",
        "grid",
        "status",
        "reason",
        "seed",
        "task",
        "architecture",
    ]
    assert frame["cell"].tolist() == ["a", "b", "c", "d", "e"]
    assert frame["status"].tolist() == ["done", "done", "failed", "missing", "not_applicable"]
    assert frame["reason"].tolist() == [
        "",
        "",
        "ValueError: NaN at step 3",
        "",
        "elman keeps no window",
    ]
    assert frame["task.delay"].tolist() == [3, 3, 3, 3, 5]
    assert frame["task.delay"].dtype == np.int64
    assert set(frame["training.optimizer.kind"]) == {"adam"}


def test_numbers_are_exact_and_typed(store: Store) -> None:
    frame = read_results(ROWS, store).frame.set_index("cell")
    assert frame.loc["a", "train.loss"] == 0.1 + 0.2
    assert frame.loc["b", "train.loss"] == 1e-300
    assert frame["train.loss"].dtype == np.float64
    assert frame["train.steps"].tolist()[:2] == [600.0, 600.0]
    assert frame.loc["a", "test.loss"] == 0.1 + 0.2
    assert frame.loc["a", "spectrum.radius"] == (0.1 + 0.2) / 3
    assert frame.loc["a", "spectrum.operator"] == str(2**60 + 1)
    assert frame.loc["a", "spectrum.regime"] == "dense"
    assert frame.loc["a", "test.solved"] is True
    assert frame.loc[["b", "c", "d", "e"], "test.solved"].isna().all()
    assert math.isnan(frame.loc["a", "spectrum.shift"])


def test_every_missing_value_has_its_reason(store: Store) -> None:
    reasons = read_results(ROWS, store).reasons
    found = {(r.cell, r.label, r.scalar): (r.status, r.reason) for r in reasons.itertuples()}
    assert len(found) == len(reasons)
    assert found["a", "train", "solved_at"] == ("done", "never solved")
    assert found["a", "spectrum", "shift"] == ("done", "no phase in a 2-unit network")
    assert found["a", "wave", ""] == ("not_applicable", "wave needs HistoryLaw")
    assert found["b", "test", ""][0] == found["b", "spectrum", ""][0] == "missing"
    assert found["c", "train", ""][0] == "failed"
    assert found["c", "train", ""][1].startswith("Traceback:")
    assert found["d", "train", ""][0] == "missing"
    assert found["e", "train", ""] == ("not_applicable", "elman keeps no window")


def test_lists_become_text_and_an_empty_plan_an_empty_frame(store: Store) -> None:
    frame = read_results([row("a", scales=[1, 2]), row("b")], store).frame
    assert frame["architecture.scales"].tolist()[0] == "[1, 2]"
    assert frame["architecture.scales"].isna().tolist() == [False, True]
    nothing = read_results([], store)
    assert len(nothing.frame) == len(nothing.reasons) == 0


def test_a_cell_of_two_grids_is_two_rows_and_has_one_reason_each(store: Store) -> None:
    found = read_results([ROWS[0], ROWS[0]], store)
    assert len(found.frame) == 2
    assert not found.reasons.duplicated().any()


def test_export_writes_what_the_store_has(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    files = export(ROWS, store, out)
    assert {path.relative_to(out).as_posix() for path in files} >= {
        "frame.csv",
        "reasons.csv",
        "tables/spectrum.eigenvalues.csv",
        "arrays/main/a.safetensors",
        "weights/b.safetensors",
    }
    assert {path for path in out.rglob("*") if path.is_file()} == set(files)
    with (out / "frame.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    exact = read_results(ROWS, store).frame
    for name in ("train.loss", "test.loss", "spectrum.radius"):
        written = [float(line[name] or "nan") for line in lines]
        assert np.array(written).tobytes() == exact[name].to_numpy().tobytes()
    table = pd.read_csv(out / "tables/spectrum.eigenvalues.csv")
    assert table["cell"].tolist() == ["a", "a"]
    pd.testing.assert_frame_equal(table[["re", "im", "kind"]], EIGENVALUES, check_dtype=False)
    arrays = load((out / "arrays/main/a.safetensors").read_bytes())
    assert arrays["spectrum.modes"].tolist() == [[[1.0, 2.0]]]
    assert arrays["train.loss"].tolist() == [1.0, 0.1 + 0.2]
    assert (out / "weights/a.safetensors").read_bytes() == store.weights("a")


def test_export_as_parquet_where_pyarrow_is(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    export(ROWS, store, tmp_path / "out")
    frame = pd.read_parquet(tmp_path / "out" / "frame.parquet")
    assert frame.loc[0, "train.loss"] == 0.1 + 0.2
    assert frame["test.solved"].tolist()[0] == "True"


def test_an_export_that_cannot_be_written_says_where(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmtkitError, match="--out"):
        export(ROWS, store, tmp_path / "file" / "out")


def test_names_out_of_a_plugin_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    evil = pack({"../../evil": EIGENVALUES}, {})
    with Store.open(tmp_path / "s.sqlite", writer=True) as store:
        store.commit(Bundle(findings=(FindingResult("a-spectrum", "a", {}, "done", content=evil),)))
        files = export([row("a")], store, tmp_path / "deep" / "out")
    assert all(path.resolve().is_relative_to(tmp_path / "deep" / "out") for path in files)
    assert not list(tmp_path.glob("evil*"))
