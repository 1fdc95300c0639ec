"""A plugin that misbehaves harms its own networks alone: the others keep every byte."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from emtkit.cli.main import cli
from emtkit.errors import PluginError
from emtkit.execute.engines.local import LocalEngine
from emtkit.execute.monitor import Monitor, Quiet
from emtkit.execute.rehearsal import rehearse
from emtkit.execute.run import Options, run
from emtkit.plugin.sources import LooseFile
from emtkit.store.store import Store
from emtkit.study.cells import Row
from emtkit.study.plan import Plan, plan_study

NETWORK = '''
import ctypes, os, signal, sys, threading, time
import numpy, torch
from torch import nn
from emtkit import RecurrentModel, hookimpl

AT_IMPORT


class Mine(RecurrentModel):
    """h_t = tanh(W_hh h_{t-1} + W_uh u_t)."""

    name = "mine"

    def __init__(self, task, *, hidden: int = 3):
        super().__init__()
        self.hidden = hidden
        self.W_hh = nn.Parameter(torch.randn(hidden, hidden) * 0.4)
        self.W_uh = nn.Parameter(torch.randn(hidden, task.channels.inputs))
        self.W_r = nn.Parameter(torch.randn(task.channels.outputs, hidden))
        IN_INIT

    @classmethod
    def accepts(cls, task, parameters):
        IN_ACCEPTS
        return None

    def step(self, state, inputs):
        IN_STEP
        return torch.tanh(state @ self.W_hh.T + inputs @ self.W_uh.T)

    def read(self, state):
        return state @ self.W_r.T


@hookimpl
def emtkit_architectures():
    IN_HOOK
    return [Mine]
'''
STUDY = """
seeds: 2
training: {steps: 12, batch: 4}
evaluation: {sequences: 16}
tasks: [{use: k_delay, delay: 2}]
architectures: [{use: gru, hidden: 3}, {use: irnn, hidden: 3}, OTHERS]
PLUGINS
"""


def write(folder: Path, **places: str) -> Path:
    """A plugin that does something somewhere, and a study of it beside built-in networks."""
    text = NETWORK
    for place in ("at_import", "in_init", "in_accepts", "in_step", "in_hook"):
        text = text.replace(place.upper(), places.get(place, "pass"))
    (folder / "mine.py").write_text(text)
    study = folder / "study.yaml"
    study.write_text(STUDY.replace("OTHERS", "mine").replace("PLUGINS", "plugins: [./mine.py]"))
    return study


def go(plan: Plan, path: Path, monitor: Monitor | None = None, engine: LocalEngine | None = None):
    workers = engine or LocalEngine(2, plan.registry.loose, timeout=120)
    try:
        with Store.open(path, writer=True) as store:
            options = Options(segment=0.05 if monitor else 30.0)
            return run(plan.rows, plan.registry, store, workers, monitor or Quiet(), options)
    finally:
        workers.close()


def contents(path: Path, rows: tuple[Row, ...]) -> dict[str, object]:
    with Store.open(path) as store:
        found: dict[str, object] = {}
        for key, cell in store.cells_of([r.cell.key for r in rows]).items():
            found[key] = (cell.status, dict(cell.scalars), store.digests(key))
        for key, one in store.findings_of([r.evaluation_spec.key for r in rows]).items():
            found[key] = (one.status, repr(one.scalars))
        return found


def errors(path: Path, rows: tuple[Row, ...]) -> set[str]:
    with Store.open(path) as store:
        return {cell.error for cell in store.cells_of([r.cell.key for r in rows]).values()}


@pytest.fixture(scope="module")
def innocent(tmp_path_factory) -> tuple[tuple[Row, ...], dict[str, object]]:
    """The built-in networks of the study, in a study without the plugin."""
    folder = tmp_path_factory.mktemp("innocent")
    (folder / "study.yaml").write_text(STUDY.replace(", OTHERS", "").replace("PLUGINS", ""))
    plan = plan_study(folder / "study.yaml")
    assert go(plan, folder / "s.sqlite").clean
    return plan.rows, contents(folder / "s.sqlite", plan.rows)


DAMAGE = {
    "dtype": ({"in_init": "torch.set_default_dtype(torch.float64)"}, "torch's default dtype from"),
    "threads": ({"in_step": "torch.set_num_threads(3)"}, "torch's number of threads from 1 to 3"),
    "tanh": ({"in_init": "torch.tanh = torch.sigmoid"}, "changed torch.tanh for"),
    "folder": ({"in_init": "os.chdir('/')"}, "the working folder from"),
    "exit": ({"in_init": "sys.exit(0)"}, "raised SystemExit(0), which ends a process"),
    "kill": ({"in_step": "os.kill(os.getpid(), signal.SIGKILL)"}, "ended by SIGKILL"),
    # Nothing sees this one; the processes are apart.
    "unseen": (
        {"in_init": "from emtkit_std.architectures import gru; gru.GatedRecurrentUnit.step = None"},
        "",
    ),
    "fork": ({"in_init": "os.fork()"}, ""),
}


SEEN_OFTEN = {"threads", "folder", "fork", "dtype", "unseen"}  # by other tests of the guard


@pytest.mark.parametrize(
    "damage",
    [pytest.param(d, marks=pytest.mark.slow if d in SEEN_OFTEN else ()) for d in DAMAGE],
)
def test_built_in_networks_keep_every_byte_beside_a_plugin_that(damage, innocent, tmp_path):
    places, said = DAMAGE[damage]
    plan = plan_study(write(tmp_path, **places))
    path = tmp_path / "s.sqlite"
    found = go(plan, path)
    rows, bytes_alone = innocent
    assert contents(path, rows) == bytes_alone
    own = tuple(row for row in plan.rows if row.architecture == "mine")
    assert len(own) == 2
    if said:
        assert found.failed + found.lost == 2
        assert all(said in error for error in errors(path, own)), errors(path, own)
        if damage != "kill":
            assert all("architecture 'mine' of" in error for error in errors(path, own))
    else:
        assert found.clean


class Editor(Monitor):
    """Edits files once training has begun, and kills the workers that train then."""

    def __init__(self, engine: LocalEngine, edits: dict[Path, str]) -> None:
        self.engine, self.edits, self.done = engine, edits, False

    def update(self, counts, last) -> None:
        loaded = [w for w in self.engine._workers if w.loose and w.job is not None]
        if last or self.done or not loaded:
            return
        for path, text in self.edits.items():
            path.write_text(text)
        for worker in loaded:
            os.kill(worker.process.pid, signal.SIGKILL)
        self.done = True


@pytest.mark.slow
def test_a_plugin_edited_during_a_run_changes_nothing_of_it(tmp_path, monkeypatch):
    """Its file and a module beside it; a worker that is replaced goes on with what was planned."""
    monkeypatch.syspath_prepend(str(tmp_path))
    helper = tmp_path / "mine_helper.py"
    helper.write_text("FACTOR = 1.0\n")
    use = "from mine_helper import FACTOR; inputs = inputs * FACTOR; time.sleep(0.001)"
    study = write(tmp_path, in_step=use)
    plan = plan_study(study)
    assert [one.name for one in plan.registry.loose[0].imports] == ["mine_helper"]
    assert go(plan, tmp_path / "whole.sqlite").clean
    engine = LocalEngine(2, plan.registry.loose, timeout=120)
    edited = (tmp_path / "mine.py").read_text().replace("torch.tanh(", "torch.relu(")
    editor = Editor(engine, {tmp_path / "mine.py": edited, helper: "FACTOR = 0.5\n"})
    found = go(plan, tmp_path / "s.sqlite", editor, engine)
    assert found.clean, errors(tmp_path / "s.sqlite", plan.rows)
    assert editor.done
    assert contents(tmp_path / "s.sqlite", plan.rows) == contents(
        tmp_path / "whole.sqlite", plan.rows
    )


def test_results_of_other_sources_are_refused_by_name(innocent, tmp_path):
    plan = plan_study(write(tmp_path))
    (file,) = plan.registry.loose
    other = replace(file.main, content=file.main.content.replace(b"torch.tanh", b"torch.relu"))
    path = tmp_path / "s.sqlite"
    found = go(plan, path, engine=LocalEngine(2, [LooseFile(other)], timeout=120))
    assert (found.lost, found.done) == (2, 4)
    own = tuple(row for row in plan.rows if row.architecture == "mine")
    assert all(
        "architecture 'mine' of" in error and "had other sources in the worker" in error
        for error in errors(path, own)
    )
    assert contents(path, innocent[0]) == innocent[1]


def test_a_digest_follows_what_a_loose_file_imports(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "mine_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "deep.py").write_text("VALUE = 1\n")
    (folder / "late.py").write_text("from mine_package.deep import VALUE\n")
    study = write(tmp_path, in_step="from mine_package import late")
    (file,) = plan_study(study).registry.loose
    names = [source.name for source in file.imports]
    assert names == ["mine_package", "mine_package.deep", "mine_package.late"]


EXITS = {
    "ends the process at import": (
        {"at_import": "os._exit(9)"},
        r"mine\.py does not load: .*os\._exit\(9\)",
    ),
    "kills the process at import": (
        {"at_import": "os.kill(os.getpid(), signal.SIGKILL)"},
        r"import .*mine\.py: .*SIGKILL",
    ),
    "raises SystemExit at import": ({"at_import": "sys.exit(0)"}, r"mine\.py .*SystemExit\(0\)"),
    "raises a BaseException at import": (
        {"at_import": "class Odd(BaseException): pass\nraise Odd()"},
        r"mine\.py does not load: .*raised Odd\(\)",
    ),
    "changes torch at import": (
        {"at_import": "torch.set_default_dtype(torch.float64)"},
        r"mine\.py does not load: .*default dtype from torch\.float32 to torch\.float64",
    ),
    "changes the folder at import": (
        {"at_import": "os.chdir('/')"},
        r"mine\.py does not load: .*the working folder",
    ),
    "interrupts in a hook": (
        {"in_hook": "raise KeyboardInterrupt"},
        r"mine\.py does not load: .*KeyboardInterrupt\(\)",
    ),
    "exits in a hook": ({"in_hook": "sys.exit(0)"}, r"mine\.py does not load: .*SystemExit\(0\)"),
    "exits when it is asked": (
        {"in_accepts": "sys.exit(0)"},
        r"architecture 'mine' of .*`accepts`.*SystemExit\(0\)",
    ),
    "interrupts when it is asked": (
        {"in_accepts": "raise KeyboardInterrupt"},
        r"architecture 'mine' of .*KeyboardInterrupt\(\)",
    ),
    "kills the process when it is asked": (
        {"in_accepts": "os.kill(os.getpid(), signal.SIGKILL)"},
        r"architecture 'mine' of .*`accepts`.*SIGKILL",
    ),
}


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize("deed", EXITS)
def test_a_command_names_a_plugin_that(deed, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places, said = EXITS[deed]
    study = write(tmp_path, **places)
    done = CliRunner().invoke(cli, [command, str(study)], standalone_mode=False)
    assert isinstance(done.exception, PluginError), done.output
    assert done.exception.exit_code == 3
    assert re.search(said, str(done.exception), re.DOTALL), str(done.exception)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ({"in_step": "ctypes.string_at(0)"}, "SIGSEGV"),
        ({"in_init": "os._exit(0)"}, "os._exit(0)"),
        ({"in_init": "sys.exit(0)"}, "SystemExit(0)"),
    ],
)
def test_plan_shows_the_rest_where_a_networks_code_ends_its_process(
    places, said, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    study = write(tmp_path, **places)
    done = CliRunner().invoke(cli, ["plan", str(study)], standalone_mode=False)
    assert done.exception is None, done.exception
    assert done.return_value == 3
    assert re.search(r"2 x irnn on k_delay, 12 iterations", done.output)
    assert "2 x mine on k_delay: cannot be estimated" in done.output
    assert "mine on k_delay: " in done.output
    assert said in done.output


def test_a_plugin_that_hangs_is_named_in_time(tmp_path):
    study = write(tmp_path, at_import="while True: time.sleep(0.1)")
    begun = time.monotonic()
    with pytest.raises(PluginError, match=r"(?s)import .*mine\.py: .*no answer within 5 s"):
        rehearse(study, [tmp_path / "mine.py"], seconds=5.0)
    assert time.monotonic() - begun < 100


@pytest.mark.slow
def test_a_thread_that_never_ends_and_chatter_do_not_reach_the_answer(tmp_path):
    """In a process of its own: what is printed by any means, at any time, stays off stdout."""
    chatter = (
        "import atexit; atexit.register(print, 'CHATTER'); print('CHATTER'); "
        "os.write(1, b'CHATTER'); "
        "threading.Thread(target=time.sleep, args=(1e6,), daemon=False).start()"
    )
    study = write(tmp_path, at_import=chatter, in_accepts="print('CHATTER')")
    main = "import sys; from emtkit.cli.main import main; sys.argv[0] = 'emtkit'; main()"
    done = subprocess.run(
        [sys.executable, "-c", main, "run", str(study), "--json", "-j", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cells"]["done"] == 6
    assert "CHATTER" in done.stderr
