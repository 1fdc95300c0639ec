"""The commands for authors, through click's own runner and once through a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from emtkit import EmtkitError
from emtkit.cli.main import cli

BROKEN = '''
from emtkit import Batch, Channels, Task, hookimpl

class Wrong(Task):
    """y_t = u_t. References: none."""
    name = "wrong"

    @property
    def channels(self):
        return Channels(3, 2)

    def sample(self, batch, stream, horizon=None):
        inputs = stream.uniform((batch, 4, 2))
        return Batch(inputs, inputs, inputs.new_ones(4), 4)

    def loss(self, outputs, batch):
        return (outputs - batch.targets).square().mean(-1)

@hookimpl
def emtkit_tasks():
    return [Wrong]
'''


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def call(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, arguments, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result


def test_new_then_check() -> None:
    told = call("new", "architecture", "leaky").output
    assert "emtkit check leaky.py" in told
    result = call("check", "leaky.py")
    assert result.return_value == 0
    assert "architecture leaky: 26 rules hold, 0 broken" in result.output


def test_a_broken_rule_is_told_and_exits_with_3() -> None:
    Path("wrong.py").write_text(BROKEN)
    result = call("check", "wrong.py")
    assert result.return_value == 3
    assert "failed  task wrong: batch shapes" in result.output
    assert "change:  let `channels` and `sample` agree on inputs" in result.output
    told = json.loads(call("check", "wrong.py", "--json").output)
    assert [one["rule"] for one in told if one["state"] == "failed"] == ["batch shapes"]


def test_the_schema_is_json_and_can_be_written() -> None:
    printed = json.loads(call("schema").output)
    call("schema", "--out", "study.schema.json")
    assert json.loads(Path("study.schema.json").read_text()) == printed
    assert "task.hds" in printed["$defs"]


def test_analyze_a_network_of_torch() -> None:
    torch.manual_seed(0)
    network = nn.ModuleDict({"rnn": nn.RNN(2, 5), "out": nn.Linear(5, 2, bias=False)})
    torch.save(network.state_dict(), "net.pt")
    task = "{use: hds, rule: repeat, history: 3, dimension: 2, horizon: 6}"
    asked = ["analyze", "net.pt", "--task", task, "--analyses", "spectrum, conjugacy"]
    told = call(*asked).output
    assert told.startswith("architecture: elman\nspectrum.radius: 0.")
    names = "W_hh=rnn.weight_hh_l0,W_uh=rnn.weight_ih_l0,W_r=out.weight,"
    names += "b=rnn.bias_ih_l0+rnn.bias_hh_l0"
    as_elman = "{use: elman, hidden: 5}"
    found = json.loads(call(*asked, "--as", as_elman, "--map", names, "--json").output)
    radius = float(torch.linalg.eigvals(network["rnn"].weight_hh_l0.detach().double()).abs().max())
    assert found["findings"]["spectrum"]["scalars"]["radius"] == pytest.approx(radius)


def test_a_mistake_ends_in_one_sentence_and_a_code() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    start = [sys.executable, "-c", "from emtkit.cli.main import main; main()"]

    asked = [*start, "check", "absent.py"]
    absent = subprocess.run(
        asked, capture_output=True, text=True, env=environment, timeout=300, check=False
    )
    assert (absent.returncode, absent.stdout) == (3, "")
    assert absent.stderr.startswith("'absent.py' does not exist; give the path")
    assert "Traceback" not in absent.stderr


def test_pairs_of_a_map_are_checked() -> None:
    asked = ["analyze", "net.pt", "--task", "hds", "--analyses", "spectrum", "--map", "W_hh"]
    with pytest.raises(EmtkitError, match="'W_hh' is not a pair"):
        call(*asked)
