"""Running a plan: everything once, the same numbers on any engine, after any interruption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from emtkit.execute.engines.local import LocalEngine
from emtkit.execute.engines.open import Limits
from emtkit.execute.messages import decode_job
from emtkit.execute.monitor import Quiet
from emtkit.execute.run import Options, run
from emtkit.plugin.registry import Registry
from emtkit.store.store import Store
from emtkit.study.cells import Measure, PluginConfig, Row, evaluation_spec, finding_key
from emtkit.study.settings import Evaluation
from tests.inline_engine import InlineEngine
from tests.train.fakes import cell

REGISTRY = Registry.installed([Path(__file__).parents[1] / "train" / "fakes.py"])


def row(one, at="end", **evaluation):
    radius = PluginConfig("radius_fake", 1, {})
    steps = one.training.snapshots if at == "snapshots" else ()
    measure = Measure(finding_key(one.key, radius, at, steps), "radius", radius, at, steps)
    asked = evaluation_spec(one.key, Evaluation(sequences=32, **evaluation), 8, 4)
    return Row("", "repeat_fake", one.architecture.name, one, asked, (measure,))


def study():
    rows = [row(cell(seed, task={"gain": gain})) for seed in range(3) for gain in (1.0, 0.5)]
    rows += [row(cell(0, snapshots=(0, 6), steps=14), at="snapshots")]
    return [*rows, row(cell(1, "branching_fake"), at="end")]


def contents(store, rows):
    cells = {r.cell.key: store.weights(r.cell.key) for r in rows}
    keys = [k for r in rows for k in (r.evaluation_spec.key, *(m.key for m in r.measures))]
    found = store.findings_of(keys)
    tables = {
        k: {name: table.to_csv() for name, table in store.content(k).tables.items()} for k in keys
    }
    return cells, {k: (f.status, dict(f.scalars)) for k, f in found.items()}, tables


def go(rows, path, engine, **options):
    with Store.open(path, writer=True) as store:
        try:
            found = run(rows, REGISTRY, store, engine, Quiet(), Options(**options))
        finally:
            engine.close()
        return found, contents(store, rows)


def test_everything_is_done_and_measured(tmp_path):
    found, (cells, findings, tables) = go(study(), tmp_path / "s.sqlite", InlineEngine(REGISTRY))
    assert (found.expected, found.done, found.failed, found.lost) == (8, 8, 0, 0)
    assert found.clean
    assert all(cells.values())
    assert {status for status, _ in findings.values()} == {"done"}
    drawn = {scalars["drawn"] for _, scalars in findings.values() if "drawn" in scalars}
    assert len(drawn) == 1
    assert any("over_training" in kept for kept in tables.values())


def test_engines_packings_and_segments_give_equal_bytes(tmp_path):
    rows = study()
    _, inline = go(rows, tmp_path / "a.sqlite", InlineEngine(REGISTRY))
    _, cut = go(rows[::-1], tmp_path / "b.sqlite", InlineEngine(REGISTRY), segment=0.001)
    _, local = go(rows, tmp_path / "c.sqlite", LocalEngine(2, REGISTRY.loose))
    assert inline == cut == local


def test_a_finished_study_trains_nothing(tmp_path):
    rows = study()
    path = tmp_path / "s.sqlite"
    go(rows, path, InlineEngine(REGISTRY))

    class NoEngine(InlineEngine):
        def submit(self, job, data):
            raise AssertionError("there is nothing to do")

    found, _ = go(rows, path, NoEngine(REGISTRY))
    assert found.done == 8


def test_a_new_analysis_does_not_retrain(tmp_path):
    one = cell(0)
    bare = row(one)
    path = tmp_path / "s.sqlite"
    go([Row(*[*vars(bare).values()][:5], ())], path, InlineEngine(REGISTRY))
    with Store.open(path) as store:
        before = store.cells_of([one.key])[one.key]
    _, (_, findings, _) = go([bare], path, InlineEngine(REGISTRY))
    with Store.open(path) as store:
        assert store.cells_of([one.key])[one.key] == before
    assert len(findings) == 2


def test_what_a_plugin_raises_fails_only_its_own_cell(tmp_path):
    rows = [row(cell(seed, "raising_fake")) for seed in range(6)]
    found, (cells, _, _) = go(rows, tmp_path / "s.sqlite", InlineEngine(REGISTRY))
    assert found.done >= 1
    assert found.failed >= 1
    assert found.done + found.failed == found.expected == 6
    with Store.open(tmp_path / "s.sqlite") as store:
        errors = [known.error for known in store.cells_of(cells).values() if known.error]
    assert all("the first weight is positive" in error for error in errors)
    assert len(errors) == found.failed


def test_a_missing_snapshot_is_trained_again_with_equal_bytes(tmp_path):
    path = tmp_path / "s.sqlite"
    _, before = go([row(cell(0))], path, InlineEngine(REGISTRY))
    again = row(cell(0, snapshots=(4,)))
    assert again.cell.key == row(cell(0)).cell.key
    _, after = go([again], path, InlineEngine(REGISTRY))
    assert before[0] == after[0]
    with Store.open(path) as store:
        assert store.weights(again.cell.key, 4) is not None


def test_a_segment_ends_long_before_its_answer_is_missed():
    """`--timeout 15` lost every stack that trained for 30 seconds at a time."""
    assert Limits.of(1, 15.0, None).segment == 3.75
    assert Limits.of(1, 3600.0, None).segment == Options().segment == 30.0


class Noted(InlineEngine):
    """Notes what it is given to do."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self.jobs: list[str] = []

    def submit(self, job: int, data: bytes, loose: frozenset[str] = frozenset()) -> None:
        given = decode_job(data)[0]
        made = all(not cell.trains for cell in given.cells)
        self.jobs.append(f"{type(given).__name__} {'constructed' if made else 'trained'}")
        super().submit(job, data, loose)


def test_constructed_networks_are_measured_before_others_are_trained_or_made(tmp_path):
    """The worker that made them may still hold what took long to find."""
    made = [replace(cell(seed), trains=False, key=f"made-{seed}") for seed in range(33)]
    engine = Noted(REGISTRY)
    found, _ = go([row(one) for one in (*made, cell(0))], tmp_path / "s.sqlite", engine)
    assert found.clean
    constructed = [job for job in engine.jobs if job.endswith("constructed")]
    first = ["TrainJob constructed", *["MeasureJob constructed"] * 2]
    assert constructed == [*first, "TrainJob constructed", "MeasureJob constructed"]
