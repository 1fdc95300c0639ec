"""Entries and training as a study file says them, into settings with every parameter resolved."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from emtkit.errors import EmtkitError, PluginError, did_you_mean
from emtkit.methods.settings import Scope
from emtkit.plugin import params
from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.catalogue import Kind
from emtkit.plugin.guard import Guard
from emtkit.plugin.registry import Plugin, Registry
from emtkit.study.cells import GivenWeights, PluginConfig, digest
from emtkit.study.checked import Problems, checked, shown
from emtkit.study.columns import training_columns
from emtkit.study.entries import Axes, Entry
from emtkit.study.settings import Training
from emtkit.study.tuning import Tuning
from emtkit.study.weight_files import read_given
from emtkit.study.yaml_nodes import Trail


@dataclass(frozen=True)
class Point:
    """One combination of an entry's values; `positions` are those on its axes."""

    values: Mapping[str, Any]
    positions: Mapping[str, int]


@dataclass(frozen=True)
class Setting:
    """A plugin under its label with all parameters resolved; `weights` are given, one for a seed.

    `key` is equal for equal plugins and parameters; `spoken` are the values of its axes.
    """

    label: str
    config: PluginConfig
    plugin: Plugin
    key: str
    spoken: str
    entry: Entry
    weights: tuple[GivenWeights, ...] = ()


@dataclass(frozen=True)
class Regime:
    """One setting of training: as written (`values`), its columns, and what a tuning has tried."""

    training: Training
    values: Mapping[str, Any]
    columns: Mapping[str, Any]
    source: Mapping[str, Trail]
    tried: Mapping[str, Any]


def expand(axes: Axes) -> Iterator[Point]:
    """Every combination: `grid` crosses, and the `zip` is one more axis of the product."""
    length = len(next(iter(axes.zip.values()), ()))
    spans = [range(len(values)) for values in axes.grid.values()]
    for *crossed, paired in product(*spans, range(length) if axes.zip else (0,)):
        positions = dict(zip(axes.grid, crossed, strict=True))
        positions |= dict.fromkeys(axes.zip, paired)
        lists = {**axes.grid, **axes.zip}
        values = {key: lists[key][position] for key, position in positions.items()}
        yield Point({**axes.fixed, **values}, positions)


def _file_of(entry: Entry) -> str:
    """The file of an entry that is written as a file alone: `{use: file, path: net.pt}`."""
    named = next((entry.axes.fixed[key] for key in ("path", "file") if key in entry.axes.fixed), "")
    return str(named or ("net.pt" if entry.use in ("file", "checkpoint") else ""))


def settings(
    kind: Kind, entry: Entry, registry: Registry, problems: Problems
) -> tuple[Setting, ...]:
    """Every setting of `entry`; unknown plugins and wrong parameters are noted and left out."""
    plugin = registry.get(kind, entry.use)
    if plugin is None:
        hint = did_you_mean(entry.use, registry.names(kind))
        if kind == "architecture" and (file := _file_of(entry)):
            hint += f"\n  a network from a file names both: {{use: gru, checkpoint: {file}}}"
        if registry.broken:
            listed = "; ".join(f"{broken.module} ({broken.reason})" for broken in registry.broken)
            hint += f"\n  could not be loaded: {listed}"
        problems.say((*entry.path, "use"), f"unknown {kind} '{entry.use}'", hint)
        return ()
    given = _given_weights(plugin, entry, problems)
    if given is None:
        return ()
    weights, told = given
    found: list[Setting] = []
    for point in expand(entry.axes):
        resolved = params.resolve(plugin.cls, {**told, **point.values})
        for mistake in resolved.mistakes:
            name, own = str(mistake.path[0]) if mistake.path else "", False
            source = entry.path
            if name in params.schema(plugin.cls).model_fields and name in point.values:
                source = (*_source(entry.axes, point, name), *mistake.path[1:])
            elif name in point.values:
                source, own = entry.axes.paths[name], True
            problems.say(source, mistake.text, mistake.hint, key=own)
        if not resolved.mistakes:
            config = PluginConfig(plugin.name, plugin.version, resolved.values, resolved.silent)
            spoken = ", ".join(f"{key}={shown(point.values[key])}" for key in point.positions)
            key = digest([config.identity(), [one.digest for one in weights]])
            found.append(Setting(entry.label, config, plugin, key, spoken, entry, weights))
    return tuple(found)


def with_parameters(
    setting: Setting, values: Mapping[str, Any], spoken: str, path: Trail, problems: Problems
) -> Setting | None:
    """The setting with some parameters changed; wrong ones are noted, and give None."""
    resolved = params.resolve(setting.plugin.cls, {**setting.config.parameters, **values})
    for mistake in resolved.mistakes:
        name = str(mistake.path[0]) if mistake.path else ""
        inner = mistake.path if name in values else ()
        problems.say((*path, *inner), mistake.text, mistake.hint)
    if resolved.mistakes:
        return None
    plugin = setting.plugin
    config = PluginConfig(plugin.name, plugin.version, resolved.values, resolved.silent)
    key = digest([config.identity(), []])
    return Setting(setting.label, config, plugin, key, spoken, setting.entry)


def _given_weights(
    plugin: Plugin, entry: Entry, problems: Problems
) -> tuple[tuple[GivenWeights, ...], Mapping[str, Any]] | None:
    """The networks that an entry gives and what they tell; None where that is a problem."""
    if entry.weights is None:
        return (), {}
    assert issubclass(plugin.cls, SequenceModel)
    path = problems.document.path
    try:
        with Guard().calling(f"{plugin.kind} '{plugin.name}' of {plugin.owner}"):
            return read_given(plugin.cls, entry.weights, Path() if path is None else path.parent)
    except PluginError:
        raise
    except EmtkitError as error:
        problems.say((*entry.path, "checkpoint"), str(error))
        return None


def regimes(
    axes: Axes, tuning: Tuning, path: Trail, problems: Problems
) -> tuple[tuple[Regime, ...], ...]:
    """Every setting of training that the axes of one grid span, with those that a tuning tries.

    Each has as many as are tried; one, where nothing is tuned.
    """
    axes = _with_tried(axes, tuning, problems)
    tried = () if tuning.settings is None else tuple(tuning.settings.over)
    found: dict[tuple[tuple[str, int], ...], list[Regime]] = {}
    for name in Training.fields_of(Scope.OUTSIDE):
        if name in axes.grid or name in axes.zip:
            text = f"`{name}` is not an axis: networks that differ in it alone have one key"
            hint = f"give one `{name}`"
            hint += ", or compare with `--tier`" if name == "device" else ""
            problems.say(axes.paths[name], text, hint)
            return ()
    for point in expand(axes):
        source = {key: _source(axes, point, key) for key in point.values}

        def trail(inner: Trail, source: Mapping[str, Trail] = source) -> Trail:
            return (*source[str(inner[0])], *inner[1:]) if inner else path

        training = checked(Training, point.values, problems, trail)
        if training is not None:
            _check_sense(training, trail, problems)
            at = tuple(one for one in point.positions.items() if one[0] not in tried)
            choice = {name: point.values[name] for name in tried}
            columns = training_columns(training)
            one = Regime(training, point.values, columns, source, choice)
            found.setdefault(at, []).append(one)
    return tuple(map(tuple, found.values()))


def _with_tried(axes: Axes, tuning: Tuning, problems: Problems) -> Axes:
    """The axes and what is tried, which takes the place of a value that is fixed."""
    if tuning.settings is None:
        return axes
    over = tuning.settings.over
    paths = {name: (*tuning.path, "over", name) for name in over}
    for name in (*axes.grid, *axes.zip):
        if name in over:
            text = f"'{name}' is an axis of the grid already"
            problems.say(paths[name], text, "tune it or compare its values, not both", key=True)
            return axes
    return Axes(axes.fixed, {**axes.grid, **over}, axes.zip, {**axes.paths, **paths})


def _source(axes: Axes, point: Point, key: str) -> Trail:
    """The place in the file of the value of `key` at this point."""
    position = point.positions.get(key)
    return axes.paths[key] if position is None else (*axes.paths[key], position)


def _check_sense(training: Training, trail: Callable[[Trail], Trail], problems: Problems) -> None:
    """Checks that involve more than one field."""
    for key, check in (("stop", training.stop), ("solved", training.solved)):
        if check is not None and (check.below is None) == (check.above is None):
            hint = f"{key}: {{metric: accuracy, above: 0.99}}"
            problems.say(trail((key,)), f"`{key}` needs `below` or `above`, one of them", hint)
    if training.tf32 and (training.device, training.dtype) != ("cuda", "float32"):
        text = f"`tf32` with `device: {training.device}` and `dtype: {training.dtype}`"
        hint = "TF32 is there for `device: cuda` and `dtype: float32` alone"
        problems.say(trail(("tf32",)), text, hint)
    if training.shuffled and training.batch < 2:
        hint = "take a batch of two or more"
        problems.say(trail(("shuffled",)), "one sequence has no other whose targets it takes", hint)
    for position, step in enumerate(training.snapshots):
        if step > training.steps:
            text = f"the snapshot at {step} lies beyond the {training.steps} steps of training"
            problems.say(trail(("snapshots", position)), text, "ask for earlier ones")
