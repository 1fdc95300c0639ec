"""From a plan's choices to live objects: the task, and a model with its seeded initial weights."""

import hashlib

import torch
from safetensors.torch import load

from emtkit.errors import PluginError
from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.params import build_arguments
from emtkit.plugin.registry import Registry
from emtkit.plugin.task import Task
from emtkit.study.cells import Cell, PluginConfig

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def build_task(registry: Registry, choice: PluginConfig) -> Task:
    """The task that `choice` names, with its parameters."""
    cls = registry.tasks[choice.name]
    return cls(**build_arguments(cls, choice.parameters))


def build_model(
    registry: Registry, cell: Cell, task: Task, *, empty: bool = False
) -> SequenceModel:
    """The untrained model of `cell`, drawn from (seed, "init") alone, or as its weights are given.

    It is drawn in torch's default dtype and converted, so that float32 and float64 training start
    from one network. With `empty` it is one to load weights into, and its own are any.
    """
    cls = registry.architectures[cell.architecture.name]
    arguments = build_arguments(cls, cell.architecture.parameters)
    seed = hashlib.sha256(f"{cell.seed}/init".encode()).digest()[:8]
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would seed every device too, and trace its caller for each.
        torch.default_generator.manual_seed(int.from_bytes(seed, "little"))
        model = cls.empty(task, arguments) if empty else cls(task, **arguments)
    if not list(model.parameters()) and cell.trains:
        raise PluginError(
            f"architecture '{cls.name}' says that it trains but has no parameter; answer False in "
            "`trains` for a constructed network"
        )
    model = model.to(DTYPES[cell.training.dtype])
    if cell.weights is not None:
        model.load_state_dict(load(cell.weights.data))
    return model
