"""Trained networks against the accepted results B1 to B8 of the theory; best of R seeds."""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch

from emtkit import Registry
from emtkit.plugin.params import resolve
from emtkit.study.cells import Cell, PluginConfig, cell_key
from emtkit.study.settings import Training
from emtkit.train.build import build_model, build_task
from emtkit.train.tiers.vmap import VmapTier
from emtkit.train.trainer import Trainer
from emtkit_std._theory.superposition.linear_loss import delay_law
from emtkit_std._theory.superposition.linear_optimum import linear_optimum
from emtkit_std.analyses.spectrum import Spectrum
from emtkit_std.analyses.superposition import Superposition
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.relu_rnn import ReluRnn
from emtkit_std.tasks.k_delay import KDelay
from tests.std.known_nets import last_step, look

pytestmark = pytest.mark.slow
REGISTRY = Registry.of(KDelay, LinearRnn, ReluRnn)
HALF_COSINE = {"kind": "cosine", "from": 0.5, "end": 0.0}


@dataclass(frozen=True)
class Network:
    """What was found of one trained network, and how to look again."""

    cell: Cell
    weights: torch.Tensor
    scalars: dict[str, float]
    projections: np.ndarray

    def look(self, samples: int) -> dict[str, float]:
        return measure(self.cell, self.weights, samples).scalars


def measure(cell: Cell, weights: torch.Tensor, samples: int) -> Network:
    task = build_task(REGISTRY, cell.task)
    model = build_model(REGISTRY, cell, task)
    torch.nn.utils.vector_to_parameters(weights, model.parameters())
    found = look(Superposition(samples=samples), task, model)
    radius = look(Spectrum(), task, model).scalars
    scalars = {**found.scalars, "radius": radius["radius"]}
    return Network(cell, weights, scalars, found.arrays["projections"])


def train(
    task: dict, architecture: str, network: dict, densities: tuple[float, ...], seeds: int, **how
) -> dict[float, list[Network]]:
    """Every network by density, the best on common fresh data first."""
    torch.set_num_threads(1)
    training = Training.model_validate({"schedule": HALF_COSINE, **how})
    cells = []
    for density in densities:
        chosen = PluginConfig(
            "k_delay", 1, dict(resolve(KDelay, {**task, "density": density}).values)
        )
        cls = REGISTRY.architectures[architecture]
        net = PluginConfig(architecture, 1, dict(resolve(cls, network).values))
        for seed in range(seeds):
            key = cell_key(chosen, net, training, seed, True)
            cells.append(Cell(key, chosen, net, training, seed, True))
    trainer = Trainer(REGISTRY, cells, VmapTier())
    trainer.run()
    found: dict[float, list[Network]] = {density: [] for density in densities}
    for cell, row in zip(cells, trainer.rows, strict=True):
        if row.end == "done":
            density = cell.task.parameters["density"]
            found[density].append(measure(cell, row.parameters, 50_000))
    return {p: sorted(nets, key=lambda n: n.scalars["relative_loss"]) for p, nets in found.items()}


@cache
def windows(readout: str) -> dict[float, list[Network]]:
    return train(
        {"delay": 3, "scored": "last"},
        "linear_rnn",
        {"readout": readout},
        (1.0, 0.7, 0.5, 0.45, 0.3, 0.1),
        16,
        steps=600,
        batch=512,
        lr=3e-2,
    )


def test_b1_dense_ssm_is_effectively_linear():
    best = windows("relu")[1.0][0].look(400_000)
    assert best["relative_loss"] == pytest.approx(0.177, abs=0.003)
    assert best["travelled_angle"] == pytest.approx(82, abs=5)
    assert best["radius"] == pytest.approx(0.761, abs=0.02)
    assert best["hidden_share"] < 0.2
    assert best["regime"] == "dense"


def test_b2_sparse_ssm_is_interference_free():
    best = windows("relu")[0.1][0].look(4_000_000)
    assert best["relative_loss"] == pytest.approx(0.094, abs=0.004)
    assert best["travelled_angle"] == pytest.approx(270, abs=5)
    assert best["radius"] == pytest.approx(0.45, abs=0.06)
    assert best["hidden_share"] > 0.95
    assert best["regime"] == "sparse"


def test_b3_the_jump_lies_between_45_and_50_percent_and_the_radius_falls_across_it():
    below, above = (windows("relu")[density][0].look(400_000) for density in (0.45, 0.5))
    assert below["regime"] == "sparse"
    assert above["regime"] == "dense"
    assert below["radius"] < above["radius"] - 0.1


def test_b4_a_linear_readout_never_jumps():
    for networks in windows("linear").values():
        best = networks[0].scalars
        assert 78 <= best["travelled_angle"] <= 100
        assert 0.74 <= best["radius"] <= 0.82
        assert best["regime"] == "undefined"


def test_b5_the_dense_ssm_is_within_3_permille_of_the_linear_optimum():
    best = windows("relu")[1.0][0].look(1_000_000)
    optimum = linear_optimum(delay_law(3, 1.0), 2, last_step(14)).loss / (1 / 3)
    assert best["expected_loss"] - optimum < 0.003


def test_b6_the_sparse_relu_network_forgets_sharply():
    networks = train(
        {"delay": 3, "steps": 13, "scored": "all"},
        "relu_rnn",
        {"init": "spiral"},
        (0.1,),
        24,
        steps=1500,
        batch=64,
        lr=2e-2,
    )[0.1]
    best = networks[0].look(400_000)
    assert best["relative_loss"] < 0.15
    assert best["hidden_share"] > 0.95
    assert best["tail"] < 0.01


def test_b7_fewer_features_are_kept_when_each_is_kept_longer():
    counts = []
    for delay in (0, 1, 2, 4):
        networks = train(
            {
                "delay": delay,
                "features": 5,
                "importance": 0.8,
                "steps": 2 * delay + 6,
                "scored": "all",
            },
            "relu_rnn",
            {"init": "spiral"},
            (0.05,),
            24,
            steps=1500,
            batch=128,
            lr=2e-2,
        )[0.05]
        counts.append(networks[0].scalars["represented"])
        kept = networks[0].projections[range(5), range(5), delay] > 0.5
    assert counts[0] == 5
    assert counts[3] == 1
    assert kept.tolist() == [True, False, False, False, False]
    assert all(later < earlier for earlier, later in pairwise(counts))


def test_b8_closed_form_and_fresh_data_agree_for_every_trained_linear_readout():
    for networks in windows("linear").values():
        for network in networks:
            gap = network.scalars["relative_loss"] - network.scalars["expected_loss"]
            # 96 networks on common data: 5 standard errors keep the family at 1 in 20,000.
            assert abs(gap) < 5 * network.scalars["relative_loss_error"]
