"""Weights that have other names elsewhere, given their places in an architecture."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from emtkit.errors import EmtkitError, did_you_mean
from emtkit.plugin import params
from emtkit.plugin.architecture import Recognised, SequenceModel
from emtkit.plugin.task import Task

FLOATS = (torch.float32, torch.float64)


def recognised(
    cls: type[SequenceModel], weights: Mapping[str, Tensor], names: Mapping[str, str] | None = None
) -> Recognised:
    """`weights` as those of `cls`, and what they tell of its parameters.

    `names` gives for each weight of `cls` those elsewhere; without it, `cls` recognises them, or
    they bear its own names.

    Raises:
        EmtkitError: a name is unknown, or weights that are to be added differ in shape.
    """
    if names is None:
        found = cls.recognise(weights)
        if found is not None:
            return found
        names = {name: name for name in weights}
    parts = {own: [t.strip() for t in text.split("+")] for own, text in names.items()}
    taken = {own: _sum(weights, terms) for own, terms in parts.items()}
    used = frozenset(_source(weights, term) for terms in parts.values() for term in terms)
    own = {p.name for p in params.parameters(cls)}
    implied: dict[str, Any] = {}
    if "hidden" in own and "W_hh" in taken:
        implied["hidden"] = taken["W_hh"].shape[-1]
    if "readout_bias" in own:
        implied["readout_bias"] = "b_r" in taken
    if "bias" in own:  # of the outputs, where units have none
        implied["bias"] = "b" in taken or ("b_r" in taken and "readout_bias" not in own)
    return Recognised(taken, implied, used)


def check_leftovers(
    cls: type[SequenceModel], weights: Mapping[str, Tensor], found: Recognised
) -> None:
    """Every weight that is not zero has a place in `cls`.

    Raises:
        EmtkitError: some have none; they are named.
    """
    left = [name for name in weights if name not in found.used]
    if unused := [name for name in left if bool(weights[name].any())]:
        raise EmtkitError(
            f"{cls.name} has no place for {', '.join(unused)}; without them it would be another "
            "network. Leave them out knowingly with `drop` "
            f"(`{' '.join(f'--drop {name}' for name in unused)}`), or choose another architecture "
            "with `as` (--as)"
        )


def fill(model: SequenceModel, task: Task, weights: Mapping[str, Tensor]) -> SequenceModel:
    """`model` with these weights, in their precision.

    Raises:
        EmtkitError: weights are missing, unknown, or of another shape.
    """
    own = model.state_dict()
    wrong = [
        f"{name} is missing {tuple(value.shape)}"
        for name, value in own.items()
        if name not in weights
    ]
    for name, value in weights.items():
        if name not in own:
            wrong.append(f"it has no '{name}'")
        elif own[name].shape != value.shape:
            wrong.append(f"{name} is {tuple(value.shape)}, needed {tuple(own[name].shape)}")
    if wrong:
        channels = task.channels
        raise EmtkitError(
            f"these weights are not those of {model.name} for {task.name} ({channels.inputs} "
            f"inputs, {channels.outputs} outputs): {'; '.join(wrong)}. Its weights are "
            f"{shapes_text(own)}"
        )
    dtype = next((v.dtype for v in weights.values() if v.dtype in FLOATS), torch.float32)
    model = model.to(dtype)
    model.load_state_dict({name: value.to(dtype) for name, value in weights.items()})
    return model


def shapes_text(weights: Mapping[str, Tensor]) -> str:
    """Names and shapes, as a sentence quotes them."""
    return ", ".join(f"{name} {tuple(value.shape)}" for name, value in weights.items())


def _source(weights: Mapping[str, Tensor], term: str) -> str:
    name = term if term in weights else term.removesuffix(".T")
    if name not in weights:
        raise EmtkitError(f"there is no weight '{term}'; {did_you_mean(name, weights)}")
    return name


def _sum(weights: Mapping[str, Tensor], terms: Sequence[str]) -> Tensor:
    values = []
    for term in terms:
        name = _source(weights, term)
        values.append(weights[name] if name == term else weights[name].T)
    if len({value.shape for value in values}) > 1:
        shapes = ", ".join(f"{t} {tuple(v.shape)}" for t, v in zip(terms, values, strict=True))
        raise EmtkitError(f"weights of different shapes cannot be added: {shapes}")
    return torch.stack(values).sum(0) if len(values) > 1 else values[0]
