"""A damaged store gives back what is whole, and says what is not; two stores become one."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from emtkit.errors import StoreError
from emtkit.store import maintenance
from emtkit.store.content import pack
from emtkit.store.maintenance import Merge, gc, merge, salvage, verify
from emtkit.store.records import Bundle, CellResult, CellState, FindingResult, Statement
from emtkit.store.store import Store

KEYS = [f"{n:032x}" for n in range(60)]


def result(key: str, seed: int | None = None, **more: Any) -> CellResult:
    generator = np.random.default_rng(int(key, 16) if seed is None else seed)
    weights = save({"w": generator.normal(size=(30, 30))})
    history = pack({}, {"loss": generator.normal(size=5)})
    return CellResult(
        key, {}, "done", weights=weights, history=history, scalars={"loss": 0.5}, **more
    )


def finding(key: str, radius: float = 0.5) -> FindingResult:
    content = pack({}, {"modes": np.full(100, radius)})
    return FindingResult(f"f{key}", key, {}, "done", {"radius": radius}, content)


def fill(path: Path, keys: list[str]) -> Path:
    with Store.open(path, writer=True) as store:
        for key in keys:
            store.commit(Bundle(cells=(result(key),), findings=(finding(key),)))
    return path


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return fill(tmp_path_factory.mktemp("store") / "s.sqlite", KEYS).read_bytes()


@pytest.fixture
def path(template: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "s.sqlite"
    path.write_bytes(template)
    return path


def test_a_whole_store_has_no_fault(path: Path) -> None:
    found = verify(path)
    assert (found.cells, found.findings, found.faults) == (60, 60, ())


def test_verify_names_each_fault(path: Path) -> None:
    whole = path.read_bytes()
    weights = result(KEYS[3]).weights or b""
    part = weights[1000:1100]
    path.write_bytes(
        whole.replace(part, part[::-1]).replace(b'{"radius": 0.5}', b'{"radius": 0.4}')
    )
    faults = [str(fault) for fault in verify(path).faults]
    assert faults[0] == f"cell {KEYS[3]}: its weights is missing or not as it was written"
    assert len(faults) == 61
    assert all("finding f" in fault and "row" in fault for fault in faults[1:])


@pytest.mark.parametrize("damage", ["truncated", "page of noise", "first page", "bytes"])
def test_salvage_saves_what_is_whole_and_leaves_the_old_alone(
    path: Path, tmp_path: Path, damage: str
) -> None:
    whole = path.read_bytes()
    moment = random.Random(0)
    middle = len(whole) // 8192 * 4096
    path.write_bytes(
        {
            "truncated": whole[: middle + 1000],
            "page of noise": whole[:middle] + moment.randbytes(4096) + whole[middle + 4096 :],
            "first page": moment.randbytes(4096) + whole[4096:],
            "bytes": whole[:middle] + b"noise" + whole[middle + 5 :],
        }[damage]
    )
    damaged = path.read_bytes()
    out = tmp_path / "out.sqlite"
    saved = salvage(path, out)
    assert path.read_bytes() == damaged
    assert verify(out).faults == ()
    assert saved.cells >= {"truncated": 15, "first page": 60}.get(damage, 55)
    with Store.open(out) as store:
        cells, findings = store.keys()
        assert (len(cells), len(findings)) == (saved.cells, saved.findings)
        for key in cells:
            assert store.weights(key) == result(key).weights
            assert store.cells_of([key])[key].scalars == {"loss": 0.5}
    with Store.open(out, writer=True) as store:  # the rest is trained again
        store.commit(Bundle(cells=tuple(result(key) for key in KEYS)))
        assert len(store.status_of(KEYS)) == 60


def test_noise_anywhere_never_gives_a_wrong_cell(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    moment = random.Random(1)
    for trial in range(12):
        at = moment.randrange(len(whole) // 4096) * 4096
        path.write_bytes(whole[:at] + moment.randbytes(4096) + whole[at + 4096 :])
        out = tmp_path / f"out{trial}.sqlite"
        salvage(path, out)
        with Store.open(out) as store:
            for key in store.keys()[0]:
                assert store.weights(key) == result(key).weights


def test_salvage_writes_over_nothing(path: Path) -> None:
    with pytest.raises(StoreError, match="exists already"):
        salvage(path, path)


def test_merge_unites_and_reports_what_conflicts(tmp_path: Path) -> None:
    first, second = fill(tmp_path / "a", KEYS[:4]), fill(tmp_path / "b", KEYS[2:7])
    with Store.open(first, writer=True) as store:
        lost = CellResult(KEYS[6], {}, "lost", error="killed")
        store.commit(Bundle(cells=(lost,), states=(CellState(KEYS[6], {"step": 5}, b"state"),)))
    with Store.open(second, writer=True) as store:
        store.commit(Bundle(cells=(result(KEYS[2], snapshots={5: b"at 5"}),)))
        store.commit(Bundle(cells=(result(KEYS[3], seed=99),)), replace=True)
        store.commit(Bundle(findings=(finding(KEYS[3], 0.9), finding(KEYS[2], 0.75))))
    found = merge(first, second)
    assert found.conflicts == (KEYS[3], f"f{KEYS[2]}")
    assert (found.cells, found.findings) == (3, 3)
    assert verify(first).faults == ()
    with Store.open(first) as store:
        assert set(store.status_of(KEYS).values()) == {"done"}
        assert store.keys()[0] == (*KEYS[:6], KEYS[6])
        assert store.weights(KEYS[2], 5) == b"at 5"
        assert store.weights(KEYS[3]) == result(KEYS[3]).weights
        assert store.findings_of([f"f{KEYS[2]}"])[f"f{KEYS[2]}"].scalars == {"radius": 0.5}
        assert store.states_of(KEYS) == {}
    assert merge(first, second).cells == 0


def test_gc_keeps_what_is_named_and_shrinks_the_file(path: Path, tmp_path: Path) -> None:
    with Store.open(path, writer=True) as store:
        store.commit(Bundle(states=(CellState("under way", {}, b"state"),)))
    before = path.stat().st_size
    freed = gc(path, KEYS[:20], [f"f{key}" for key in KEYS[:10]])
    assert freed == before - path.stat().st_size > before / 2
    found = verify(path)
    assert (found.cells, found.findings, found.faults) == (20, 10, ())
    with Store.open(path) as store:
        assert list(store.states_of(["under way"])) == ["under way"]
        assert store.weights(KEYS[19]) == result(KEYS[19]).weights
    path.write_bytes(b"x" * 4096 + path.read_bytes()[4096:])
    assert salvage(path, tmp_path / "out.sqlite").cells == 20  # the tables lie where they lay


def test_a_merge_stores_a_batch_in_one_transaction(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target.sqlite"
    with Store.open(target, writer=True) as store:
        store.commit(Bundle(cells=(result(KEYS[0]), result(KEYS[1], seed=7))))
    begun: list[int] = []
    commit = Store.commit

    def counted(store: Store, bundle: Bundle, *, replace: bool = False) -> None:
        begun.append(len(bundle.cells) + len(bundle.findings))
        commit(store, bundle, replace=replace)

    monkeypatch.setattr(Store, "commit", counted)
    monkeypatch.setattr(maintenance, "_BATCH", 25)
    found = merge(target, path)
    assert (found.cells, found.findings, found.conflicts) == (58, 59, (KEYS[1],))
    assert len([size for size in begun if size]) == 6  # 25 + 25 + 10 of each, less what was known
    assert max(begun) == 25
    assert verify(target).faults == ()
    monkeypatch.setattr(maintenance, "_BATCH_BYTES", 1)  # one record each, however large
    begun.clear()
    assert merge(tmp_path / "empty.sqlite", path) == Merge(60, 60, ())
    assert max(begun) == 1


def older(path: Path) -> Path:
    """The store as version 1 had it: without times."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for table in ("statements", "done"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("PRAGMA user_version=1")
        connection.execute("VACUUM")
    return path


def test_a_store_of_version_1_is_read_as_it_is_and_extended_when_written_to(path: Path) -> None:
    tables = ("cells", "findings", "blobs", "statements", "done", "findings_by_cell")
    query = "SELECT name, rootpage FROM sqlite_master"

    def pages() -> dict[str, int]:
        with closing(sqlite3.connect(path)) as connection:
            found = dict(connection.execute(query).fetchall())
        return {table: found[table] for table in tables}

    new = pages()
    before = older(path).read_bytes()
    with Store.open(path) as store:
        assert len(store.keys()[0]) == 60
        assert (store.statements(), store.done_at(KEYS)) == ((), {})
    assert path.read_bytes() == before
    with Store.open(path, writer=True) as store:
        store.set_times([Statement("s", "c", "d", 1.0)])
        store.commit(Bundle(cells=(result("f" * 32),)))
        assert store.done_at([KEYS[0]]) == {}, "when it was done is not known"
        assert store.done_at(["f" * 32]).keys() == {"f" * 32}
    assert verify(path).faults == ()
    # `salvage` counts on tables that lie where those of a new store lie.
    assert pages().keys() == new.keys()
    assert sorted(pages(), key=pages().__getitem__) == sorted(new, key=new.__getitem__)


def test_the_earliest_time_stays(path: Path) -> None:
    with Store.open(path, writer=True) as store:
        for at in (5.0, 3.0, 7.0):
            store.set_times([Statement("s", "c", "d", at)], {KEYS[0]: at})
        assert store.statements() == (Statement("s", "c", "d", 3.0),)
        assert store.done_at([KEYS[0]]) == {KEYS[0]: 3.0}


def test_a_merge_keeps_the_earliest_times_and_invents_none(tmp_path: Path) -> None:
    first, second, third = (tmp_path / f"{name}.sqlite" for name in "abc")
    for path, keys, at in ((first, KEYS[:2], 5.0), (second, KEYS[1:3], 3.0)):
        fill(path, keys)
        with Store.open(path, writer=True) as store:
            store.set_times([Statement("s", "c", "d", at)], dict.fromkeys(keys, at))
    merge(first, second)
    with Store.open(first) as store:
        assert store.statements() == (Statement("s", "c", "d", 3.0),)
        assert store.done_at(KEYS[:3]) == {KEYS[0]: 5.0, KEYS[1]: 3.0, KEYS[2]: 3.0}
    older(fill(third, KEYS[2:4]))
    merge(first, third)
    with Store.open(first) as store:
        assert store.done_at(KEYS[2:4]) == {KEYS[2]: 0.0, KEYS[3]: 0.0}
    older(fill(tmp_path / "d.sqlite", KEYS[:1]))
    merge(tmp_path / "d.sqlite", second)
    merge(tmp_path / "d.sqlite", first)
    with Store.open(tmp_path / "d.sqlite") as store:
        assert store.done_at(KEYS[:2]) == {KEYS[0]: 0.0, KEYS[1]: 3.0}


def test_a_salvage_keeps_the_statements(path: Path, tmp_path: Path) -> None:
    with Store.open(path, writer=True) as store:
        store.set_times([Statement("s", "c", "d", 1.0)])
        done = store.done_at(KEYS)
    salvage(path, tmp_path / "out.sqlite")
    with Store.open(tmp_path / "out.sqlite") as store:
        assert store.statements() == (Statement("s", "c", "d", 1.0),)
        assert store.done_at(KEYS) == done
