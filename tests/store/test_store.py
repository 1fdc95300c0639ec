"""The store keeps every committed bit, refuses what is damaged, and has one writer."""

from __future__ import annotations

import math
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from emtkit.errors import PluginError, StoreError
from emtkit.store.content import pack
from emtkit.store.records import (
    Attempt,
    Bundle,
    CellResult,
    CellState,
    FindingResult,
    Progress,
)
from emtkit.store.store import Store


def cell(key: str = "c0", status: Any = "done", **more: Any) -> CellResult:
    identity = {"task": ["k_delay", 1, {"delay": 3}], "seed": 0}
    return CellResult(key=key, identity=identity, status=status, **more)


def finding(key: str = "f0", of: str = "c0", **more: Any) -> FindingResult:
    return FindingResult(key=key, cell=of, identity={"of": "jacobian"}, status="done", **more)


def weights(seed: int, hidden: int = 4) -> bytes:
    generator = np.random.default_rng(seed)
    return save({"W_hh": generator.normal(size=(hidden, hidden)).astype(np.float32)})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results" / "emtkit.sqlite"


@pytest.fixture
def filled(path: Path) -> Path:
    """A store of 40 cells of some 10 kB."""
    cells = tuple(
        cell(f"c{n}", weights=weights(n, hidden=50), scalars={"loss": 0.125}) for n in range(40)
    )
    with Store.open(path, writer=True) as store:
        store.commit(Bundle(cells=cells, findings=(finding(scalars={"radius": 0.5}),)))
    return path


def test_a_cell_comes_back_with_every_bit(path: Path) -> None:
    loss = np.array([1.0, 0.1, np.nan, np.inf], dtype=np.float32)
    given = cell(
        weights=weights(0),
        snapshots={0: weights(1), 100: weights(2)},
        history=pack({}, {"loss": loss}),
        scalars={"loss": 0.1 + 0.2, "steps": 600, "solved_at": math.nan},
        reasons={"solved_at": "never solved"},
        tier="dense",
        seconds=1.25,
        digest="d",
        provenance={"torch": "2.13.0", "host": "böse\ud800"},
    )
    with Store.open(path, writer=True) as store:
        store.commit(Bundle(cells=(given,)))
    with Store.open(path) as store:
        found = store.cells_of(["c0", "unknown"])
        assert store.weights("c0") == given.weights
        assert store.weights("c0", 100) == given.snapshots[100]
        assert store.weights("c0", 50) is None
        assert store.history("c0")["loss"].tobytes() == loss.tobytes()
        assert store.history("unknown") == {}
        assert store.status_of(["c0", "unknown"]) == {"c0": "done"}
    assert list(found) == ["c0"]
    assert list(found["c0"].snapshots) == [0, 100]
    assert math.isnan(found["c0"].scalars["solved_at"])  # type: ignore[arg-type]
    assert found["c0"].scalars["loss"] == 0.1 + 0.2
    for name in ("identity", "status", "reasons", "tier", "seconds", "digest", "provenance"):
        assert getattr(found["c0"], name) == getattr(given, name)


def test_a_finding_comes_back_with_types_and_arrays(path: Path) -> None:
    gains = np.linspace(0, 1, 7)
    scalars = {"radius": 1.0, "operator": 2**80 + 1, "real": True, "regime": "dense"}
    given = finding(scalars=scalars, content=pack({}, {"gains": gains}), digest="d", seconds=0.5)
    with Store.open(path, writer=True) as store:
        store.commit(Bundle(findings=(given, finding("f1"))))
        found = store.findings_of(["f0", "f1", "f2"])
        assert store.content("f0").arrays["gains"].tobytes() == gains.tobytes()
        assert store.content("f1").arrays == {}
    assert set(found) == {"f0", "f1"}
    assert found["f0"].cell == "c0"
    assert found["f0"].scalars == scalars
    kinds = {name: type(value) for name, value in found["f0"].scalars.items()}
    assert kinds == {"radius": float, "operator": int, "real": bool, "regime": str}


def test_more_keys_than_sqlite_takes_at_once(path: Path) -> None:
    keys = [f"{n:032x}" for n in range(2500)]
    with Store.open(path, writer=True) as store:
        store.commit(Bundle(cells=tuple(cell(key) for key in keys)))
        assert list(store.status_of(keys)) == keys


def test_states_attempts_and_progress(path: Path) -> None:
    states = tuple(CellState(f"c{n}", {"step": 100, "lr": 0.1}, weights(n)) for n in range(4))
    tries = (Attempt("c1", 2, "done"), Attempt("c1", 1, "lost", "killed\udcff", 2.5))
    first = Progress("r1", "smoke", "running", 1.0, 5.0, {"done": 3})
    with Store.open(path, writer=True) as store:
        store.commit(Bundle(states=states, attempts=tries))
        store.set_progress(first)
        store.set_progress(Progress("r0", "smoke", "done", 0.0, 2.0))
        store.commit(Bundle(cells=(cell("c0"), cell("c1", "lost"))))
        store.drop_states(["c2"])
    with Store.open(path) as store:
        assert store.states_of(["c0", "c1", "c2", "c3"]) == {"c1": states[1], "c3": states[3]}
        assert [attempt.outcome for attempt in store.attempts_of(["c1"])["c1"]] == ["lost", "done"]
        assert store.progress()[-1] == first


def test_an_empty_store_knows_nothing() -> None:
    with Store.empty() as store:
        assert store.status_of(["c0"]) == {}
        with pytest.raises(StoreError, match="reading"):
            store.drop_states(["c0"])


def test_reading_rows_needs_neither_torch_nor_pandas(filled: Path) -> None:
    read = (
        "import sys; from pathlib import Path; from emtkit.store.store import Store\n"
        f"assert len(Store.open(Path({str(filled)!r})).cells_of(['c0'])) == 1\n"
        "assert not {'torch', 'pandas', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", read], check=True)


def test_a_bundle_is_stored_whole_or_not_at_all(path: Path) -> None:
    bad: Any = {"radius": object()}
    with Store.open(path, writer=True) as store:
        with pytest.raises(PluginError, match="radius"):
            store.commit(Bundle(cells=(cell(),), findings=(finding(scalars=bad),)))
        assert store.status_of(["c0"]) == {}


def test_a_later_failure_does_not_undo_a_done_cell(path: Path) -> None:
    with Store.open(path, writer=True) as store:
        store.commit(Bundle(cells=(cell("c0", "failed", error="NaN"),)))
        store.commit(Bundle(cells=(cell(weights=weights(0)),)))
        store.commit(Bundle(cells=(cell("c0", "failed", error="Traceback"),)))
        assert store.status_of(["c0"]) == {"c0": "done"}
        assert store.weights("c0") == weights(0)


def test_training_again_adds_snapshots_and_must_give_equal_bytes(path: Path) -> None:
    with Store.open(path, writer=True) as store:
        store.commit(Bundle(cells=(cell(weights=weights(0)),)))
        store.commit(Bundle(cells=(cell(weights=weights(0), snapshots={10: weights(1)}),)))
        assert store.cells_of(["c0"])["c0"].snapshots == {10: None}
        with pytest.raises(StoreError, match="c0 was trained again and has other weights"):
            store.commit(Bundle(cells=(cell(weights=weights(2)),)))
        assert store.weights("c0") == weights(0)


def test_replacing_a_network_drops_what_was_found_of_it(path: Path) -> None:
    found = finding(content=pack({}, {"a": np.ones(2)}))
    with Store.open(path, writer=True) as store:
        store.commit(Bundle(cells=(cell(weights=weights(0)),), findings=(found,)))
        store.commit(Bundle(cells=(cell(weights=weights(1)),)), replace=True)
        assert store.weights("c0") == weights(1)
        assert store.findings_of(["f0"]) == {}
        assert store.content("f0").arrays == {}


HOLD = """
import sys, time
from pathlib import Path
from emtkit.store.store import Store
store = Store.open(Path(sys.argv[1]), writer=True)
print("ready", flush=True)
time.sleep(60)
"""


def test_a_second_writer_is_told_who_holds_the_store(filled: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(filled)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(StoreError) as caught:
            Store.open(filled, writer=True)
        assert f"process {other.pid} on host {socket.gethostname()}" in str(caught.value)
        assert caught.value.exit_code == 4
        with Store.open(filled) as store:
            assert len(store.status_of(["c0"])) == 1
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    with Store.open(filled, writer=True) as store:
        assert len(store.status_of(["c0"])) == 1
    assert [entry.name for entry in filled.parent.iterdir()] == ["emtkit.sqlite"]


def test_a_second_writer_of_the_same_process_is_refused(path: Path) -> None:
    with Store.open(path, writer=True), pytest.raises(StoreError, match=f"process {os.getpid()}"):
        Store.open(path, writer=True)


WRITE = """
import sys
from itertools import count
from pathlib import Path
import numpy as np
from safetensors.numpy import save
from emtkit.store.records import Bundle, CellResult, FindingResult
from emtkit.store.store import Store
run = sys.argv[2]
with Store.open(Path(sys.argv[1]), writer=True) as store:
    for n in count():
        data = save({"w": np.full((100, 100), n, dtype=np.float32)})
        keys = [f"{run}-{n}-{k}" for k in range(3)]
        cells = tuple(CellResult(key, {}, "done", weights=data) for key in keys)
        found = tuple(FindingResult("f" + key, key, {}, "done", {"n": n}) for key in keys)
        store.commit(Bundle(cells, found))
        print(n, flush=True)
"""


def test_no_committed_cell_is_lost_and_none_is_half_there(path: Path) -> None:
    moment = random.Random(0)
    committed: dict[int, int] = {}
    for run in range(10):
        with subprocess.Popen(
            [sys.executable, "-c", WRITE, str(path), str(run)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            said = "".join(writer.stdout.readline() for _ in range(moment.randint(1, 5)))
            time.sleep(moment.uniform(0, 0.02))
            writer.kill()
            said += writer.stdout.read()
        # Each whole line is a commit that was promised; the last may be the start of one.
        committed[run] = int(said.split("\n")[-2])
    for writer_first in (False, True):  # a reader recovers an interrupted commit as a writer does
        with Store.open(path, writer=writer_first) as store:
            for run, last in committed.items():
                for n in range(last + 2):
                    keys = [f"{run}-{n}-{k}" for k in range(3)]
                    cells, found = store.cells_of(keys), store.findings_of("f" + k for k in keys)
                    assert len(cells) == len(found) in ((3,) if n <= last else (0, 3))
                    blob = save({"w": np.full((100, 100), n, dtype=np.float32)})
                    assert all(store.weights(key) == blob for key in cells)


def interrupted(source: Path, target: Path) -> None:
    """A copy of a store in the middle of a commit, its journal beside it."""
    connection = sqlite3.connect(source, isolation_level=None)
    connection.execute("PRAGMA cache_size=1")
    connection.execute("BEGIN")
    connection.execute("UPDATE cells SET scalars = 'half', error = hex(randomblob(20000))")
    for suffix in ("", "-journal"):
        shutil.copy(str(source) + suffix, str(target) + suffix)
    connection.execute("ROLLBACK")
    connection.close()


@pytest.mark.parametrize("writer", [False, True])
def test_an_interrupted_commit_is_rolled_back(filled: Path, tmp_path: Path, writer: bool) -> None:
    target = tmp_path / "copy.sqlite"
    interrupted(filled, target)
    assert target.read_bytes() != filled.read_bytes()
    with Store.open(target, writer=writer) as store:
        assert store.cells_of(["c7"])["c7"].scalars == {"loss": 0.125}
    assert not target.with_name("copy.sqlite-journal").exists()


def test_a_full_disk_loses_only_the_commit_that_met_it(filled: Path) -> None:
    big = Bundle(cells=(cell("big", weights=weights(0, hidden=1000)), cell("other")))
    with Store.open(filled, writer=True) as store:
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count={pages + 10}")
        with pytest.raises(StoreError, match="disk is full"):
            store.commit(big)
        assert store.status_of(["c39", "big", "other"]) == {"c39": "done"}
        store._connection.execute("PRAGMA max_page_count=1000000")
        store.commit(big)
        assert store.status_of(["big", "other"]) == {"big": "done", "other": "done"}


def refused(path: Path, words: str) -> None:
    before = path.read_bytes()
    with pytest.raises(StoreError, match=words) as caught:
        Store.open(path, writer=True).close()
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_a_truncated_store(filled: Path) -> None:
    whole = filled.read_bytes()
    for share in (0.9, 0.5, 0.1):
        filled.write_bytes(whole[: int(share * len(whole))])
        refused(filled, "damaged .*salvage")
    for size in (10, 50, 300):
        filled.write_bytes(whole[:size])
        refused(filled, "damaged .*salvage")


def test_noise_anywhere_is_noticed_or_harmless(filled: Path) -> None:
    whole = filled.read_bytes()
    keys = [f"c{n}" for n in range(40)]

    def everything() -> object:
        with Store.open(filled) as store:
            return (
                store.cells_of(keys),
                store.findings_of(["f0"]),
                [store.weights(key) for key in keys],
            )

    truth = everything()
    moment = random.Random(0)
    noticed = 0
    for trial in range(60):
        length = 4096 if trial % 2 else 8
        at = moment.randrange(len(whole) // length) * length
        filled.write_bytes(whole[:at] + moment.randbytes(length) + whole[at + length :])
        damaged = filled.read_bytes()
        try:
            assert everything() == truth
            Store.open(filled, writer=True).close()
        except StoreError:
            noticed += 1
        assert filled.read_bytes() == damaged
    assert noticed > 40


def test_files_that_are_no_store(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("question: is this a study file?\n" * 100)
    refused(path, "does not begin like a store")
    path.write_text("a")
    refused(path, "does not begin like a store")
    path.unlink()
    sqlite3.connect(path).execute("CREATE TABLE t (x)").connection.close()
    refused(path, "not a store of emtkit")


def test_a_schema_with_anything_more_than_ours(filled: Path) -> None:
    connection = sqlite3.connect(filled)
    connection.execute("CREATE TRIGGER t AFTER INSERT ON cells BEGIN DELETE FROM findings; END")
    connection.close()
    refused(filled, "tables are not those of a store")
    with pytest.raises(StoreError, match="tables are not those"):
        Store.open(filled)


def test_a_store_of_a_newer_emtkit(filled: Path) -> None:
    connection = sqlite3.connect(filled)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    refused(filled, "newer emtkit .schema 99.*update")


def flipped(path: Path, text: bytes, to: bytes) -> None:
    whole = path.read_bytes()
    assert text in whole
    path.write_bytes(whole.replace(text, to))


def test_a_number_changed_on_the_disk_does_not_reach_a_table(filled: Path) -> None:
    flipped(filled, b'{"loss": 0.125}', b'{"loss": 0.025}')
    flipped(filled, b'{"radius": 0.5}', b'{"radius": 0.6}')
    with Store.open(filled) as store:
        with pytest.raises(StoreError, match="cell c3 is not as it was written"):
            store.cells_of(["c3"])
        with pytest.raises(StoreError, match="finding f0 is not as it was written"):
            store.findings_of(["f0"])


def test_a_bit_flipped_in_the_weights_is_noticed(filled: Path) -> None:
    part = weights(5, hidden=50)[2000:2100]
    flipped(filled, part, bytes([part[0] ^ 1]) + part[1:])
    with Store.open(filled, writer=True) as store:
        with pytest.raises(StoreError, match="weights of c5 is not as it was written"):
            store.weights("c5")
        assert store.weights("c6") == weights(6, hidden=50)


def test_a_read_only_store_is_read_but_not_written(filled: Path) -> None:
    filled.chmod(0o444)
    refused(filled, "read-only")
    with Store.open(filled) as store:
        assert len(store.cells_of(["c0"])) == 1


def test_a_place_where_no_file_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--store"):
        Store.open(tmp_path / "file" / "emtkit.sqlite", writer=True)
    with pytest.raises(StoreError, match="--store"):
        Store.open(Path("/proc/emtkit.sqlite"), writer=True)


def test_reading_where_there_is_no_store(path: Path) -> None:
    with pytest.raises(StoreError, match="emtkit run"):
        Store.open(path)
    assert not path.exists()


def test_a_folder_in_the_place_of_the_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=str(tmp_path)):
        Store.open(tmp_path, writer=True)


def test_the_empty_file_of_a_run_killed_at_its_start_is_taken_over(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    with Store.open(path, writer=True) as store:
        store.commit(Bundle(cells=(cell(),)))
    with Store.open(path) as store:
        assert store.status_of(["c0"]) == {"c0": "done"}
