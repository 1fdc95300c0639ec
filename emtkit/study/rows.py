"""The rows of one grid: its tasks, architectures, trainings and seeds, and those of tunings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from emtkit.plugin.catalogue import Kind
from emtkit.plugin.registry import Registry
from emtkit.study.cells import (
    Cell,
    CellKeys,
    GivenWeights,
    Measure,
    Row,
    finding_key,
)
from emtkit.study.checked import Problems, shown
from emtkit.study.entries import Entry
from emtkit.study.evaluations import Elsewhere, Evaluated, Evaluations, tasks_elsewhere
from emtkit.study.exclude import Candidate, Exclusion
from emtkit.study.file import ONLY_GRID, Grid
from emtkit.study.memory import bytes_text, memory_limit
from emtkit.study.pairs import Pair, Pairs
from emtkit.study.resolve import Regime, Setting, regimes, settings
from emtkit.study.roles import Role
from emtkit.study.tuning import FIRST_SEED, NOT_TUNED, Choice, TunedCombination, Tuning
from emtkit.study.yaml_nodes import Trail

MAX_CELLS = 200_000


@dataclass(frozen=True)
class GridParts:
    """The resolved settings of one grid."""

    tasks: tuple[Setting, ...]
    architectures: tuple[Setting, ...]
    analyses: tuple[Setting, ...]
    regimes: Mapping[Trail, tuple[tuple[Regime, ...], ...]]
    """By the path of an architecture's entry."""
    elsewhere: Mapping[str, tuple[Elsewhere, ...]] = field(default_factory=dict)
    """By the key of a task's setting, the tasks that its networks are tested on too."""


@dataclass(frozen=True)
class GridRows:
    """The rows of one grid, and in `tuned` its combinations that are tuned."""

    grid: Grid
    parts: GridParts
    pairs: Pairs
    exclusion: Exclusion
    problems: Problems
    tuned: list[TunedCombination] = field(default_factory=list)

    def all(self) -> list[Row]:
        """Every row, once each."""
        found: dict[tuple[str, str, str], Row] = {}
        for task in self.parts.tasks:
            for architecture in self.parts.architectures:
                for tried in self.parts.regimes[architecture.entry.path]:
                    for row in self._combination(task, architecture, tried):
                        # A constructed network is one and the same in every regime of training.
                        found.setdefault((row.task, row.architecture, row.cell.key), row)
        return list(found.values())

    def _combination(
        self, task: Setting, architecture: Setting, tried: Sequence[Regime]
    ) -> Sequence[Row]:
        """The rows at one setting of training, or those that wait for one of several."""
        choices: list[Choice] = []
        for regime in tried:
            at = Candidate(self.grid.name, task, architecture, regime)
            kept = self.exclusion.kept(self.grid.exclude, at, tuple(self.grid.seeds))
            pair = self.pairs.pair(task, architecture) if kept else None
            if pair is None:
                continue
            self._check(pair, at)
            choices.append(self._choice(at, pair, kept))
            if not choices[-1].tried:
                break  # there is nothing to choose between
        if choices and choices[0].tried:
            tuning = architecture.entry.tuning or NOT_TUNED
            training = self.grid.training
            spoken = [task.spoken, architecture.spoken]
            for name in (*training.grid, *training.zip):
                spoken.append(f"{name}={shown(tried[0].values[name])}")
            text = ", ".join([f"{architecture.label} on {task.label}", *filter(None, spoken)])
            text += f" ({self.grid.name})" if self.grid.name != ONLY_GRID else ""
            self.tuned.append(TunedCombination.of(text, tuning, choices))
            return self.tuned[-1].waiting
        return tuple(choices[0].judged.values()) if choices else ()

    def _choice(self, at: Candidate, pair: Pair, seeds: Sequence[int]) -> Choice:
        """The rows of one combination at one setting of training, and those that try it."""
        tuning, role = at.architecture.entry.tuning or NOT_TUNED, self.grid.role
        measures = [_measure(one, at, pair, self.pairs) for one in self.parts.analyses]
        trains = pair.trains and pair.reason is None
        tried = tuning.size if trains else 1
        evaluations = Evaluations(self.grid, self.parts.elsewhere, self.pairs, self.problems)
        evaluated = evaluations.of(at, pair, "test")
        given = dict(zip(self.grid.seeds, at.architecture.weights, strict=False))
        if given:  # each file stands at one seed
            seeds = [seed for seed in seeds if seed in given]
        one = at.task.config, at.architecture.config, at.regime.training
        keys = CellKeys.of(*one, pair.trains)
        judged = {
            seed: _row(at, pair, keys, seed, evaluated, measures, role, tried, given.get(seed))
            for seed in seeds
        }
        if tuning.settings is None or not trains:
            return Choice(at.regime.tried, (), judged)
        label = tuning.settings.by.metric.partition(".")[0]
        deciding = [one for one in measures if one.label == label]
        evaluated = evaluations.of(at, pair, "tuning")
        trying = (_row(at, pair, keys, seed, evaluated, deciding, role, 1) for seed in tuning.seeds)
        return Choice(at.regime.tried, tuple(trying), judged)

    def _check(self, pair: Pair, at: Candidate) -> None:
        if pair.large:
            _check_memory(pair, at, self.problems)
        task = pair.task
        if task.horizons and (self.grid.evaluation.horizon or task.evaluation_horizon) is None:
            text = f"the task '{at.task.config.name}' has horizons and no `evaluation_horizon`"
            hint = (
                "set `self.evaluation_horizon` in its constructor, or `evaluation: {horizon: 50}`"
            )
            self.problems.say(at.task.entry.path, text, hint)
        if pair.trains:
            _check_horizons(pair, at.regime, at.task, self.problems)
            _check_snapshots(at.regime, self.parts, self.problems)


def grid_parts(grid: Grid, registry: Registry, problems: Problems) -> GridParts:
    """The settings of one grid; whatever is wrong goes to `problems`, and is left out."""
    counts = [sum(entry.axes.size for entry in part) for part in (grid.tasks, grid.architectures)]
    counts += [grid.training.size, len(grid.seeds)]
    tunings = {entry.path: entry.tuning or NOT_TUNED for entry in grid.architectures}
    counts.append(max((one.size for one in tunings.values()), default=1))
    total = prod(counts)
    if max(total, *counts) > MAX_CELLS:
        # Checked before anything is expanded: a short file can ask for billions.
        text = f"the grid '{grid.name}' asks for {max(total, *counts):,} networks"
        problems.say(grid.path, text, f"a grid has at most {MAX_CELLS:,}; ask for fewer")
        return GridParts((), (), (), {})

    for tuning in tunings.values():
        _check_tuning(grid, tuning, problems)

    def resolved(kind: Kind, entries: tuple[Entry, ...]) -> tuple[Setting, ...]:
        return tuple(s for entry in entries for s in settings(kind, entry, registry, problems))

    architectures = resolved("architecture", grid.architectures)
    for one in architectures:
        if len(one.weights) > len(grid.seeds):
            text = f"{len(one.weights)} checkpoints for {len(grid.seeds)} seeds"
            hint = f"each stands at one seed: write `seeds: {len(one.weights)}`, or give fewer"
            problems.say((*one.entry.path, "checkpoint"), text, hint)
    tasks = resolved("task", grid.tasks)
    return GridParts(
        tasks,
        architectures,
        resolved("analysis", grid.analyses),
        {
            entry: regimes(grid.training, tuning, (*grid.path, "training"), problems)
            for entry, tuning in tunings.items()
        },
        {task.key: tasks_elsewhere(task, grid, problems) for task in tasks},
    )


def known_parameters(parts: GridParts, before: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The parameters that a rule may name, by family, with those of the grids `before`."""
    families = {"tasks": parts.tasks, "architectures": parts.architectures}
    found = {
        family: {name for setting in settings for name in setting.config.parameters}
        for family, settings in families.items()
    }
    every = (one for found in parts.regimes.values() for tried in found for one in tried)
    names = {name for regime in every for name in regime.columns}
    found["training"] = {name.removeprefix("training.") for name in names}
    return {family: before.get(family, set()) | names for family, names in found.items()}


def _measure(analysis: Setting, at: Candidate, pair: Pair, pairs: Pairs) -> Measure:
    """One analysis of the networks of one combination, still without a key."""
    when = analysis.entry.at
    over_training = when == "snapshots"
    steps = at.regime.training.snapshots if over_training and pair.trains else ()
    reason = pair.reason or pairs.refusal(analysis, at.task, at.architecture)
    if reason is None and over_training and not pair.trains:
        origin = "read from a file" if at.architecture.weights else "constructed"
        reason = f"{at.architecture.config.name} is {origin}; it has no training to measure"
    return Measure("", analysis.label, analysis.config, when, steps, reason)


def _row(
    at: Candidate,
    pair: Pair,
    keys: CellKeys,
    seed: int,
    evaluated: Evaluated,
    measures: Sequence[Measure],
    role: Role,
    tried: int,
    weights: GivenWeights | None = None,
) -> Row:
    task, architecture, training = at.task.config, at.architecture.config, at.regime.training
    key = keys.key(seed, weights)
    cell = Cell(key, task, architecture, training, seed, pair.trains, pair.reason, weights)
    found = tuple(
        replace(one, key=finding_key(key, one.analysis, one.at, one.steps)) for one in measures
    )
    labels = at.grid, at.task.label, at.architecture.label
    own, *elsewhere = evaluated(key)
    return Row(*labels, cell, own, found, role, tried, tuple(elsewhere))


def _check_tuning(grid: Grid, tuning: Tuning, problems: Problems) -> None:
    if tuning.settings is None:
        return
    if grid.seeds[-1] >= FIRST_SEED:
        hint = f"judge on seeds below {FIRST_SEED}"
        problems.say(tuning.path, f"a tuning has the seeds from {FIRST_SEED} on", hint)
    metric = tuning.settings.by.metric
    label, dot, rest = metric.partition(".")
    known = ["test", "train", *(entry.label for entry in grid.analyses)]
    if not (dot and rest and label in known):
        hint = f"it begins with one of {', '.join(f'{name}.' for name in known)}"
        problems.say((*tuning.path, "by", "metric"), f"there is no column '{metric}'", hint)


def _check_horizons(pair: Pair, regime: Regime, task: Setting, problems: Problems) -> None:
    curriculum = regime.training.curriculum
    if not curriculum.moves:
        return
    here = regime.source["curriculum"]
    if not pair.task.horizons:
        text = f"a curriculum lengthens horizons, and the task '{task.config.name}' has none"
        hint = "give this task a grid of its own with `curriculum: none`"
        problems.say(here, text, hint)
    elif pair.task.horizon is not None:
        reason = curriculum.refusal(pair.task.horizon)
        if reason is not None:
            problems.say(here, f"{reason} of the task '{task.config.name}'", "shorten it")


def _check_memory(pair: Pair, at: Candidate, problems: Problems) -> None:
    training, network = at.regime.training, at.architecture
    copies = 1
    if pair.trains and training.steps:
        copies = 2 + len(training.optimizer.buffers)  # weights, gradient, the optimiser's own
    size = 8 if training.dtype == "float64" else 4
    needed, there = copies * size * pair.large, memory_limit()
    if needed > there:
        text = (
            f"{network.config.name} on {at.task.label} has {pair.large:,} weights, and needs "
            f"{bytes_text(needed)} ({needed:,} bytes: {copies} x {size} for each weight); this "
            f"machine has {bytes_text(there)}"
        )
        hint = "ask for a smaller network, or leave this pair out with `exclude`"
        problems.say(network.entry.path, text, hint)


def _check_snapshots(regime: Regime, parts: GridParts, problems: Problems) -> None:
    if regime.training.snapshots:
        return
    for analysis in parts.analyses:
        if analysis.entry.at == "snapshots":
            text = f"'{analysis.label}' measures snapshots, and training takes none"
            hint = "write for instance `training: {snapshots: [100, 200]}`"
            problems.say((*analysis.entry.path, "at"), text, hint)
