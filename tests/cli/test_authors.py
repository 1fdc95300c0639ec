"""The commands for authors, through click's own runner and once through a real process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from emtkit import EmtkitError
from emtkit.cli.main import cli
from emtkit.study.plan import plan_study

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


RECURRENT = (
    BROKEN.split("class Wrong")[0].replace("Batch, Channels, Task", "RecurrentModel")
    + '''
import torch
from torch import nn

class Wrong(RecurrentModel):
    """h_t = tanh(W_hh h_{t-1} + W_uh u_t), y_t = W_r h_t. References: none."""
    name = "wrong"

    def __init__(self, task, *, hidden: int = 6):
        super().__init__()
        self.hidden = hidden
        self.W_hh = nn.Parameter(torch.randn(hidden, hidden) / hidden)
        self.W_uh = nn.Parameter(torch.randn(hidden, task.channels.inputs))
        self.W_r = nn.Parameter(torch.randn(task.channels.outputs, hidden) / hidden)

    def step(self, state, inputs):
        return torch.tanh(state @ self.W_hh.T + inputs @ self.W_uh.T)

    def read(self, state):
        return state @ self.W_r.T

@hookimpl
def emtkit_architectures():
    return [Wrong]
'''
)
SIZED = BROKEN.replace("Channels(3, 2)", "Channels(2, 2)")
MISTAKES = {
    "state": (RECURRENT, "self.hidden = hidden", "self.hidden = hidden // 2",
              r"`step` of a state \(B, H\) = \(3, 3\), H being `self.hidden`, raised"),
    "tuple": (RECURRENT, "return torch.tanh(state", "return state, torch.tanh(state",
              "`step` returned a tuple of 2; it returns the next state alone"),
    "star": (RECURRENT, "task, *, hidden", "task, hidden",
             r"'hidden' stands before the `\*`.*`def __init__\(self, task, \*, hidden=...\)`"),
    "list": (RECURRENT, "[Wrong]", "Wrong", r"returned the class Wrong; write `return \[Wrong\]`"),
    "hook": (RECURRENT, "emtkit_architectures", "emtkit_architecture",
             "no hook `emtkit_architecture`; did you mean 'emtkit_architectures'"),
    "integers": (SIZED, "stream.uniform((batch, 4, 2))", "stream.integers(0, 5, (batch,)).float()",
                 r"called as `stream.integers\(shape, high\)`"),
    "order": (SIZED, "stream.uniform((batch, 4, 2))", "stream.integers(5, (batch, 4, 2)).float()",
              r"stream.integers\(shape, high\) was given high = \(\d, 4, 2\)"),
    "horizon": (SIZED, 'name = "wrong"', 'name = "wrong"; horizons = True; horizon = 3',
                "`evaluation_horizon` is missing"),
}  # fmt: skip


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
    assert "architecture leaky: 27 rules hold, 0 broken" in result.output


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


@pytest.mark.parametrize("name", MISTAKES)
def test_common_mistakes_of_authors_are_named(name: str) -> None:
    source, right, wrong, said = MISTAKES[name]
    assert right in source
    Path("own.py").write_text(source.replace(right, wrong))
    try:
        told = call("check", "own.py").output
    except EmtkitError as error:
        told = str(error)
    assert re.search(said, told), told


@pytest.mark.slow  # `check` of every template
def test_without_its_mistake_the_file_breaks_no_such_rule() -> None:
    for source in (RECURRENT, SIZED):
        Path("own.py").write_text(source)
        told = call("check", "own.py").output
        assert not [said for *_, said in MISTAKES.values() if re.search(said, told)]


def test_a_plan_names_a_missing_evaluation_horizon() -> None:
    source, right, wrong, _ = MISTAKES["horizon"]
    Path("own.py").write_text(source.replace(right, wrong))
    study = {"plugins": ["own.py"], "tasks": ["wrong"], "architectures": ["elman"]}
    with pytest.raises(EmtkitError, match="'wrong' has horizons and no `evaluation_horizon`"):
        plan_study(study)
