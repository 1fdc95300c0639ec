"""Which architectures the shapes of foreign weights may belong to, as options to be copied."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import torch
from torch import Tensor

from emtkit.plugin import params
from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.registry import Registry
from emtkit.plugin.task import Task

SWITCHES = ("bias", "readout_bias")
MOST_HIDDEN = 4096
"""Larger networks are not built only to look at the shapes of their weights."""


def likely_names(known: Registry, task: Task, weights: Mapping[str, Tensor]) -> list[str]:
    """Options of `emtkit analyze` under which every weight has a place, and one alone."""
    sizes = {size for value in weights.values() if value.ndim == 2 for size in value.shape}
    found: dict[str, None] = {}
    for cls in known.architectures.values():
        if not any(p.name == "hidden" for p in params.parameters(cls)):
            continue
        for hidden in sorted(size for size in sizes if size <= MOST_HIDDEN):
            for model in _built(cls, task, {"hidden": hidden}):
                if list(model.parameters()) and (pairs := _paired(model.state_dict(), weights)):
                    found[f"--as {cls.name} --map {','.join(pairs)}"] = None
    return list(found)


def _built(
    cls: type[SequenceModel], task: Task, given: Mapping[str, Any]
) -> Iterator[SequenceModel]:
    """`cls` at every choice of its switches; nothing where it refuses."""
    own = [p.name for p in params.parameters(cls) if p.name in SWITCHES]
    for values in product((False, True), repeat=len(own)):
        choice = dict(zip(own, values, strict=True))
        resolved = params.resolve(cls, {**given, **choice})
        if resolved.mistakes or cls.accepts(task, resolved.values):
            continue
        with torch.random.fork_rng(devices=[]):
            yield cls(task, **params.build_arguments(cls, resolved.values))


def _paired(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> list[str]:
    """`W_hh=U` for every weight of ours, or nothing where shapes leave a choice.

    Whoever multiplies from the right stores every matrix turned, so that all are, or none.
    """
    for turned in (False, True):
        shapes = {
            name: tuple(value.T.shape if turned and value.ndim == 2 else value.shape)
            for name, value in weights.items()
        }
        fitting = {
            name: [other for other, shape in shapes.items() if shape == tuple(value.shape)]
            for name, value in own.items()
        }
        taken = [other for others in fitting.values() for other in others]
        if sorted(taken) == sorted(weights) and all(len(one) == 1 for one in fitting.values()):
            mark = {name: ".T" if turned and weights[name].ndim == 2 else "" for name in weights}
            return [f"{name}={other}{mark[other]}" for name, (other,) in fitting.items()]
    return []
