"""Networks that were trained elsewhere, measured by emtkit's analyses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emtkit.errors import EmtkitError, NotApplicable, PluginError, did_you_mean
from emtkit.execute.likely import likely_names
from emtkit.plugin import params
from emtkit.plugin.analysis import Findings, History, Subject
from emtkit.plugin.applies import refusal
from emtkit.plugin.architecture import Recognised, SequenceModel
from emtkit.plugin.catalogue import Kind
from emtkit.plugin.guard import ForbiddenError, Guard
from emtkit.plugin.registry import Registry
from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Task
from emtkit.study.recognised import check_leftovers, fill, recognised, shapes_text
from emtkit.study.weights import load_weights

Entry = str | Mapping[str, Any]
"""A plugin as a study names it: `hds`, or `{"use": "hds", "rule": "T1"}`."""


@dataclass(frozen=True)
class Analyzed:
    """The network as emtkit sees it, what was found by label, and why the rest does not apply."""

    model: SequenceModel
    findings: Mapping[str, Findings]
    refused: Mapping[str, str]


def analyze(
    network: nn.Module | Mapping[str, Tensor] | Path | str,
    *,
    task: Entry,
    analyses: Sequence[Entry],
    as_: Entry | None = None,
    map: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
    registry: Registry | None = None,
) -> Analyzed:
    """Measure a network that was trained elsewhere.

    `network` is a module, a state dict, or a file (.safetensors, .npz, or .pt with nothing but
    tensors).
    `as_` names the architecture that it is; without it, the one that recognises the weights is
    taken. `map` gives for each weight of the architecture the weights elsewhere:
    `{"W_hh": "rnn.weight_hh_l0", "b": "rnn.bias_ih_l0 + rnn.bias_hh_l0", "W_r": "out.T"}`. Weights
    that are left over and not zero are an error, unless `drop` names them.

    Raises:
        EmtkitError: the file cannot be read, no architecture or no plugin fits, or weights are
            missing, left over or of another shape.
    """
    known = registry or Registry.installed()
    findings: dict[str, Findings] = {}
    refused: dict[str, str] = {}
    try:
        with Guard().calling("analyze"):
            posed = _task(known, task)
            if isinstance(network, SequenceModel):
                model = network.eval()
                # As it cannot tell its parameters, `as_` may say them.
                given = {} if as_ is None or isinstance(as_, str) else dict(as_)
                given.pop("use", None)
                parameters = _resolved(type(network), given)
            else:
                weights = _weights(network)
                weights = _without(weights, drop)
                cls, given = _architecture(known, as_, posed, weights)
                found = recognised(cls, weights, map)
                check_leftovers(cls, weights, found)
                implied = {**found.parameters, **_nonlinearity(cls, network)}
                parameters = _resolved(cls, {**implied, **given})
                model = _built(cls, posed, parameters, found)
            for entry in analyses:
                label, answer = _measure(known, entry, posed, model, parameters)
                if isinstance(answer, str):
                    refused[label] = answer
                else:
                    findings[label] = answer
    except ForbiddenError as error:
        raise PluginError(
            f"a plugin of {task}, {as_ or 'no model'}, {analyses}: {error}"
        ) from error
    return Analyzed(model, findings, refused)


def _weights(network: nn.Module | Mapping[str, Tensor] | Path | str) -> dict[str, Tensor]:
    if isinstance(network, Path | str):
        return load_weights(Path(network))
    state = network.state_dict() if isinstance(network, nn.Module) else network
    return {name: value.detach().cpu() for name, value in state.items()}


def _without(weights: Mapping[str, Tensor], drop: Sequence[str]) -> dict[str, Tensor]:
    if unknown := sorted(set(drop) - weights.keys()):
        raise EmtkitError(f"'{unknown[0]}' was to be dropped; {did_you_mean(unknown[0], weights)}")
    return {name: value for name, value in weights.items() if name not in drop}


def _named(known: Registry, kind: Kind, entry: Entry) -> tuple[Any, dict[str, Any], str]:
    """Class, parameters and label of an entry."""
    given = {"use": entry} if isinstance(entry, str) else dict(entry)
    name = str(given.pop("use", ""))
    label = str(given.pop("label", name))
    plugin = known.get(kind, name)
    if plugin is None:
        raise EmtkitError(f"unknown {kind} '{name}'; {did_you_mean(name, known.names(kind))}")
    return plugin.cls, given, label


def _resolved(cls: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    answer = params.resolve(cls, given)
    if answer.mistakes:
        raise EmtkitError("\n".join(f"{m.text}; {m.hint}" for m in answer.mistakes))
    return dict(answer.values)


def _task(known: Registry, entry: Entry) -> Task:
    cls, given, _ = _named(known, "task", entry)
    try:
        built: Task = cls(**params.build_arguments(cls, _resolved(cls, given)))
    except ValueError as error:
        raise EmtkitError(f"{cls.name} refuses its parameters: {error}") from error
    return built


def _architecture(
    known: Registry, entry: Entry | None, task: Task, weights: Mapping[str, Tensor]
) -> tuple[type[SequenceModel], dict[str, Any]]:
    if entry is not None:
        cls, given, _ = _named(known, "architecture", entry)
        return cls, given
    fitting = [cls for cls in known.architectures.values() if cls.recognise(weights) is not None]
    if len(fitting) != 1:
        names = ", ".join(cls.name for cls in fitting) or "none"
        options = [f"`--as {cls.name}`" for cls in fitting]
        options = options or [f"`{one}`" for one in likely_names(known, task, weights)]
        raise EmtkitError(
            f"which network is this? its weights are {shapes_text(weights)}; recognised by: "
            f"{names}. Say it with `as` (--as), and the names of its weights with `map` (--map)"
            + (f"; by their shapes it may be {' or '.join(options)}" if options else "")
        )
    return fitting[0], {}


def _nonlinearity(cls: type[SequenceModel], network: object) -> dict[str, str]:
    """What the weights of `nn.RNN` do not say, read from the module where there is one."""
    if not isinstance(network, nn.Module):
        return {}
    if all(parameter.name != "activation" for parameter in params.parameters(cls)):
        return {}
    layers = [layer for layer in network.modules() if isinstance(layer, nn.RNN)]
    return {"activation": str(layers[0].nonlinearity)} if len(layers) == 1 else {}


def _built(
    cls: type[SequenceModel], task: Task, parameters: Mapping[str, Any], found: Recognised
) -> SequenceModel:
    if reason := cls.accepts(task, parameters):
        raise EmtkitError(f"{cls.name} does not apply to {task.name}: {reason}")
    with torch.random.fork_rng(devices=[]):
        model = cls(task, **params.build_arguments(cls, parameters))
    return fill(model, task, found.weights).eval()


def _measure(
    known: Registry, entry: Entry, task: Task, model: SequenceModel, parameters: Mapping[str, Any]
) -> tuple[str, Findings | str]:
    """Label, and the findings or the reason why there are none."""
    cls, given, label = _named(known, "analysis", entry)
    analysis = cls(**params.build_arguments(cls, _resolved(cls, given)))
    if reason := refusal(cls, type(task), type(model)):
        return label, reason
    dtype = next(iter(model.state_dict().values())).dtype
    stream = Stream(None, f"analysis/{cls.name}", dtype=dtype)
    still = model.requires_grad_(False)
    subject = Subject(task, still, parameters, History(np.zeros(0), 0, "foreign"), stream)
    try:
        return label, analysis.measure(subject)
    except NotApplicable as reason_:
        return label, str(reason_)
