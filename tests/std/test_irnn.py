"""`irnn`: one spectrum of W_hh at first for every activation, and Jacobians that differ."""

from __future__ import annotations

import pytest
import torch

from emtkit.plugin.registry import Registry
from emtkit.study.plan import plan_study
from emtkit.train.grouping import tier_named
from emtkit.train.trainer import Trainer
from emtkit_std.architectures.irnn import IdentityRnn
from emtkit_std.tasks.k_delay import KDelay

TASK = KDelay(delay=3)


def network(activation: str) -> IdentityRnn:
    torch.manual_seed(0)
    return IdentityRnn(TASK, hidden=16, activation=activation).double()


def radius(matrix: torch.Tensor) -> torch.Tensor:
    return torch.linalg.eigvals(matrix).abs().amax(-1)


@pytest.mark.parametrize("activation", ["relu", "tanh", "linear"])
def test_every_activation_begins_with_a_radius_of_one(activation: str) -> None:
    with torch.no_grad():
        model = network(activation)
        inputs = torch.rand(5, 8, 1, dtype=torch.float64)
        states = model.trace(inputs, 8).states
        silence = inputs[:, 0] * 0
        found = radius(model.jacobian(states[:, -1], silence))
        assert radius(model.W_hh) == 1.0
        if activation == "tanh":  # W_hh = 1: the largest slope of tanh at the next state
            after = model.step(states[:, -1], silence)
            torch.testing.assert_close(found, (1 - after.square()).amax(-1))
            assert found.max() < 1
        else:
            assert torch.equal(found, torch.ones_like(found))


def test_training_tells_activations_apart() -> None:
    """Equal seeds begin with equal weights, and end with others: the activation is not ignored."""
    ends = []
    registry = Registry.installed()
    for activation in ("relu", "tanh"):
        study = {
            "training": {"steps": 20, "batch": 8, "lr": 1e-2},
            "tasks": [{"use": "k_delay", "delay": 3}],
            "architectures": [{"use": "irnn", "hidden": 4, "activation": activation}],
        }
        cells = [row.cell for row in plan_study(study, registry).rows]
        trainer = Trainer(registry, cells, tier_named("vmap"))
        begun = trainer.rows[0].parameters.clone()
        trainer.run()
        ends.append((begun, trainer.rows[0].parameters))
    assert torch.equal(ends[0][0], ends[1][0])
    assert not torch.allclose(ends[0][1], ends[1][1], atol=1e-3)
