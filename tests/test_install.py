"""What is shipped is what works: a wheel in a fresh environment lists its plugins and runs."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STUDY = """
tasks: [{use: k_delay, delay: 1}]
architectures: [{use: relu_rnn, hidden: 2}]
seeds: 2
training: {steps: 5, batch: 8}
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """The path of python in an environment that has our wheel, and its dependencies beside it."""
    folder = tmp_path_factory.mktemp("fresh")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    _call([*build, "-w", str(folder), str(ROOT)])
    (wheel,) = folder.glob("emtkit-*.whl")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "-q", "--target", str(site)]
    _call([*install, str(wheel)])
    # A path line, unlike site-packages itself, brings no editable install with it.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python


def _call(command, **how):
    # What is tested is the wheel: no path of this checkout may reach it.
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean, **how)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_code_and_templates_and_nothing_else(fresh):
    site = next((fresh.parents[1] / "lib").glob("python*/site-packages"))
    assert (site / "emtkit" / "report" / "templates" / "report.html.j2").exists()
    assert (site / "emtkit_std" / "tasks" / "k_delay.py").exists()
    assert not (site / "tests").exists()


def test_the_wheel_lists_its_plugins(fresh, tmp_path):
    listed = _call([str(fresh), "-m", "emtkit", "list"], cwd=tmp_path)
    assert "k_delay" in listed
    assert "BROKEN" not in listed


@pytest.mark.slow
def test_the_wheel_runs_a_study(fresh, tmp_path):
    (tmp_path / "tiny.yaml").write_text(STUDY)
    said = _call([str(fresh), "-m", "emtkit", "run", "tiny.yaml", "-j", "1"], cwd=tmp_path)
    assert "2 cells = 2 done + 0 failed + 0 lost + 0 not applicable" in said
    assert (tmp_path / "results" / "tiny" / "report.html").exists()
    where = _call([str(fresh), "-c", "import emtkit; print(emtkit.__file__)"], cwd=tmp_path)
    assert str(ROOT) not in where
