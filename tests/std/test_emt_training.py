"""Real training: the circuit appears, and the analyses find it in a network nobody built."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emtkit import History, Registry, Stream, Subject
from emtkit.study.cells import Cell, PluginConfig, cell_key
from emtkit.study.settings import Training
from emtkit.train.tiers.vmap import VmapTier
from emtkit.train.trainer import Trainer
from emtkit_std.analyses.emt_basis import EmtBasis
from emtkit_std.analyses.emt_spectrum import EmtSpectrum
from emtkit_std.analyses.intervene import Intervene
from emtkit_std.architectures.elman import Elman
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds

REGISTRY = Registry.of(Hds, Elman)
# Configuration C of the science notes: repeat copy at s = 4, d = 2, 32 units, horizon 8 to 40.
GATED = {"kind": "loss_gated", "start": 8, "max": 40, "factor": 1.2, "threshold": 3e-2}
CONFIG_C = Training.model_validate({"steps": 300, "lr": 5e-3, "curriculum": GATED})
TASK = {"rule": "repeat", "history": 4, "dimension": 2}


def cell(seed):
    task = PluginConfig("hds", 1, TASK)
    network = PluginConfig("elman", 1, {"hidden": 32})
    return Cell(cell_key(task, network, CONFIG_C, seed, True), task, network, CONFIG_C, seed, True)


@pytest.fixture(scope="module")
def trained():
    """Two seeds in one stack; the subject is the first."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    trainer = Trainer(REGISTRY, [cell(0), cell(1)], VmapTier())
    trainer.run()
    torch.set_num_threads(before)
    model = trainer.models[0]
    torch.nn.utils.vector_to_parameters(trainer.rows[0].parameters, model.parameters())
    model.eval().requires_grad_(False)
    history = History(trainer.rows[0].losses, CONFIG_C.steps, "vmap")
    return Subject(Hds(**TASK), model, {}, history, Stream(None, "analysis"))


def test_config_c_learns_repeat_copy(trained):
    batch = trained.task.sample(64, Stream(None, "test"), 200)
    outputs = trained.model.trace(batch.inputs[:, :4], batch.steps).outputs
    assert float(trained.task.metrics(outputs, batch)["accuracy"]) > 0.9


def test_config_c_has_the_modes_of_the_rule(trained):
    scalars = EmtSpectrum().measure(trained).scalars
    assert scalars["status"] == "comparable"
    assert scalars["modes_found"] == 8
    assert scalars["angle_error"] < 0.02
    assert scalars["null_angle_error"] > 10 * scalars["angle_error"]


def test_config_c_holds_its_history_in_the_extracted_memories(trained):
    scalars = EmtBasis().measure(trained).scalars
    assert scalars["rank"] == scalars["mask_size"] == 8
    assert scalars["sign_agreement"] > 0.99
    assert scalars["phi_error"] < 0.2


def test_config_c_is_mended_by_the_exact_rule_more_than_by_chance(trained):
    found = Intervene(horizon=200).measure(trained)
    assert np.isfinite(found.scalars["change"])
    assert found.scalars["change"] > found.scalars["null_change"]
