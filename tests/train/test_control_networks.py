"""Controls that a study can write: no recurrence, shuffled targets, networks of another study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emtkit import Registry, StudyError
from emtkit.execute.messages import TrainJob, decode_job
from emtkit.execute.monitor import Quiet
from emtkit.execute.run import Options
from emtkit.places import CommandOptions
from emtkit.session import Session
from emtkit.study.plan import plan_study
from emtkit_std._theory.facts import PulseCircuit
from emtkit_std.architectures.memoryless import Memoryless
from emtkit_std.tasks.k_delay import KDelay
from tests.inline_engine import InlineEngine
from tests.rounding import rounding
from tests.std.subjects import build


class Watched(InlineEngine):
    """Notes whom it trains."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self.trained: set[str] = set()

    def submit(self, job: int, data: bytes, loose: frozenset[str] = frozenset()) -> None:
        asked = decode_job(data)[0]
        if isinstance(asked, TrainJob):
            self.trained.update(one.key for one in asked.cells)
        super().submit(job, data, loose)


DELAY = {"use": "k_delay", "delay": 1, "steps": 6}
TRAINING = {"steps": 300, "batch": 64, "lr": 0.02}
CONSTANT = 0.25
"""Relative loss of the best constant: Var U / E U² of U ~ U(0, 1)."""


def run(study: dict[str, Any], store: Path) -> Session:
    session = Session(plan := plan_study(study), CommandOptions("s", store))
    session.run(InlineEngine(plan.registry), Quiet(), Options())
    return session


def test_targets_of_other_sequences_teach_the_mean_alone(tmp_path):
    """Of the right targets the same networks learn the delay. (They have biases: with weights alone
    the mean is made of the inputs, the right one among them.)
    """
    networks = [{"use": use, "hidden": 4, "bias": True} for use in ("elman", "linear_rnn")]
    study = {
        "tasks": [DELAY],
        "architectures": networks,
        "seeds": 2,
        "grids": [
            {"name": "trained", "training": TRAINING},
            {"name": "shuffled", "role": "negative", "training": {**TRAINING, "shuffled": True}},
        ],
    }
    losses = run(study, tmp_path / "s.sqlite").frame().groupby("grid")["test.loss"]
    assert losses.max()["trained"] < 0.05
    assert losses.min()["shuffled"] == pytest.approx(CONSTANT, abs=0.03)
    assert losses.max()["shuffled"] == pytest.approx(CONSTANT, abs=0.03)


@pytest.mark.parametrize("tier", ["native", "vmap", "loop"])
def test_shuffled_networks_train_alike_in_every_tier(tmp_path, tier):
    study = {
        "tasks": [DELAY],
        "architectures": [{"use": "elman", "hidden": 3}],
        "seeds": 2,
        "training": {"steps": 10, "batch": 8, "shuffled": True},
    }
    plan, weights = plan_study(study), []
    for name in (tier, "loop"):
        one = Session(plan, CommandOptions("s", tmp_path / f"{tier}{name}.sqlite"))
        one.run(InlineEngine(plan.registry), Quiet(), Options(tier=name))
        weights.append([one.model(row.cell.key).state_dict() for row in plan.rows])
    for ours, alone in zip(*weights, strict=True):
        for name, value in alone.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-5)


def test_a_batch_of_one_has_no_other_targets():
    study = {"tasks": [DELAY], "architectures": ["elman"], "seeds": 1,
             "training": {"batch": 1, "shuffled": True}}  # fmt: skip
    with pytest.raises(StudyError, match="no other whose targets"):
        plan_study(study)


def test_no_input_outlives_its_step_in_a_memoryless_network():
    model = build(Memoryless, task := KDelay(features=2), hidden=5, bias=True)
    inputs = torch.rand(3, 6, 2)
    whole = model.trace(inputs, 9).outputs
    alone = torch.cat([model.trace(inputs[:, t : t + 1], 1).outputs for t in range(6)], 1)
    # Sums of 2 inputs, 5 units and a bias each; products of other shapes may add in another order.
    torch.testing.assert_close(
        whole[:, :6], alone, rtol=0, atol=rounding(2 + 5 + 2, dtype=torch.float32)
    )
    other = torch.cat([torch.rand(3, 3, 2), inputs[:, 3:]], 1)
    assert torch.equal(model.trace(other, 9).outputs[:, 3:], whole[:, 3:])
    assert not model.facts(PulseCircuit).W_hh.any()
    assert "W_hh" not in dict(model.named_parameters())
    assert task.channels.outputs == whole.shape[-1]


def test_a_memoryless_network_learns_what_is_present_and_no_more(tmp_path):
    study = {
        "tasks": [
            {**DELAY, "delay": 0, "label": "present"},
            {**DELAY, "label": "past"},
        ],
        "architectures": [{"use": "memoryless", "hidden": 8, "bias": True}],
        "seeds": 2,
        "training": TRAINING,
    }
    frame = run(study, tmp_path / "s.sqlite").frame().set_index("task")
    assert (frame["test.loss"]["present"] < 0.01).all()
    apart = frame["test.loss"]["past"] - CONSTANT
    assert (np.abs(apart) < 4 * frame["test.loss_error"]["past"] + 0.02).all()


def test_networks_of_another_study_are_controls_without_training(tmp_path):
    """A grid says what they are; what the store has already is not trained again."""
    network = {"use": "elman", "hidden": 4, "bias": True}
    short = {"steps": 5, "batch": 64, "lr": 0.02}
    other = {"tasks": [DELAY], "architectures": [network], "training": short, "seeds": 6}
    first = run(other, tmp_path / "s.sqlite")
    study = {
        **other,
        "grids": [
            {"name": "trained", "training": TRAINING},
            {"name": "elsewhere", "role": "negative", "training": short},
        ],
        "claims": [
            {
                "id": "c",
                "text": "Training teaches the delay.",
                "expect": {"value": "test.loss", "stat": "median", "below": 0.1},
            }
        ],
    }
    second = Session(plan := plan_study(study), CommandOptions("s", tmp_path / "s.sqlite"))
    assert {row.cell.key for row in first.plan.rows} == {
        row.cell.key for row in plan.rows if row.grid == "elsewhere"
    }
    engine = Watched(plan.registry)
    second.run(engine, Quiet(), Options())
    assert engine.trained == {row.cell.key for row in plan.rows if row.grid == "trained"}
    (verdict,) = second.verdicts()
    assert verdict.word == "supported"
    assert [(one.name, one.satisfied) for one in verdict.controls] == [("elsewhere", False)]
