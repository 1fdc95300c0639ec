"""The records of a plan, and the content keys by which results are found again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from emtkit.methods.settings import Scope
from emtkit.plugin.catalogue import Kind
from emtkit.study.settings import Evaluation, Training

TRAINING_VERSION = 4
"""Raised when the core's training of an unchanged cell would give other numbers."""
EVALUATION_VERSION = 3
"""Raised when the core's evaluation of an unchanged network would give other or more numbers."""

SNAPSHOTS_VERSION = 2
"""Raised when an unchanged analysis of snapshots would be stored in another form."""

Stream = Literal["test", "tuning"]


@dataclass(frozen=True)
class PluginConfig:
    """A plugin with all its parameters resolved, of which those in `silent` enter no key."""

    name: str
    version: int
    parameters: Mapping[str, Any]
    silent: tuple[str, ...] = ()

    def identity(self) -> list[Any]:
        """What of it enters a key."""
        told = {key: value for key, value in self.parameters.items() if key not in self.silent}
        return [self.name, self.version, told]


@dataclass(frozen=True)
class GivenWeights:
    """The weights of a network that was trained elsewhere, under its architecture's own names.

    `data` are safetensors, sorted by name, and `digest` is theirs; `file` is where they were read.
    """

    file: str
    digest: str
    data: bytes


@dataclass(frozen=True)
class Cell:
    """One network. `key` says what it is; `trains` is False for constructed networks, and for
    those whose `weights` are given.

    `reason`, when given, says why this architecture does not apply to this task.
    """

    key: str
    task: PluginConfig
    architecture: PluginConfig
    training: Training
    seed: int
    trains: bool
    reason: str | None = None
    weights: GivenWeights | None = None


@dataclass(frozen=True)
class Measure:
    """One analysis to be made of one cell; `reason` says why it does not apply.

    `key` is the finding's. `steps` are the iterations at which it is measured when `at` is
    'snapshots', else empty. Of a comparison, `second` is the key of the other cell.
    """

    key: str
    label: str
    analysis: PluginConfig
    at: Literal["end", "snapshots"]
    steps: tuple[int, ...]
    reason: str | None = None
    second: str = ""

    @property
    def plugin(self) -> tuple[Kind, str]:
        """Kind and name of what measures."""
        return ("comparison" if self.second else "analysis"), self.analysis.name


@dataclass(frozen=True)
class EvaluationSpec:
    """The evaluation of one cell, itself a finding.

    `horizon` counts scored outputs and is what the metrics see, `loss_horizon` what `test.loss`
    sees; both are None for tasks without horizons. `stream` names the draws of its sequences.
    An evaluation elsewhere has a `name`, and a `task` other than the one that was trained;
    `reason` says why the network cannot be tested there.
    """

    key: str
    sequences: int
    horizon: int | None
    loss_horizon: int | None
    at: tuple[int, ...]
    stream: Stream = "test"
    name: str = ""
    task: PluginConfig | None = None
    reason: str | None = None

    @property
    def label(self) -> str:
        """What its columns begin with."""
        return f"test.{self.name}" if self.name else "test"


@dataclass(frozen=True)
class Row:
    """One row of the frame: a cell under the labels of its study; `role` is that of its grid.

    `tried` is the number of settings that its training was chosen from.
    """

    grid: str
    task: str
    architecture: str
    cell: Cell
    evaluation_spec: EvaluationSpec
    measures: tuple[Measure, ...]
    role: str = "study"
    tried: int = 1
    elsewhere: tuple[EvaluationSpec, ...] = ()

    @property
    def evaluation_specs(self) -> tuple[EvaluationSpec, ...]:
        """Every evaluation of the cell."""
        return (self.evaluation_spec, *self.elsewhere)


@dataclass(frozen=True)
class CellKeys:
    """The keys of cells that differ in nothing but their seed, and in weights that are given.

    A key is of everything that decides a cell's weights, and of nothing else. Left out are fields
    of training `OUTSIDE` of keys, and, of a constructed network, all of its training but the dtype.
    Given weights enter with their digest.
    """

    parts: tuple[Any, ...]

    @classmethod
    def of(
        cls, task: PluginConfig, architecture: PluginConfig, training: Training, trains: bool
    ) -> "CellKeys":
        """Those of a task, an architecture and a training."""
        settings = training.identity_of(Scope.ROW, Scope.STACK)
        kept = settings if trains else {"dtype": settings["dtype"]}
        return cls(("cell", TRAINING_VERSION, task.identity(), architecture.identity(), kept))

    def key(self, seed: int, weights: GivenWeights | None = None) -> str:
        """That of one cell."""
        parts = [*self.parts, seed]
        return digest(parts if weights is None else [*parts, weights.digest])


def cell_key(
    task: PluginConfig,
    architecture: PluginConfig,
    training: Training,
    seed: int,
    trains: bool,
    weights: GivenWeights | None = None,
) -> str:
    """Key of one cell alone."""
    return CellKeys.of(task, architecture, training, trains).key(seed, weights)


def finding_key(cell: str, analysis: PluginConfig, at: str, steps: tuple[int, ...]) -> str:
    """Key of a finding: the cell, the analysis with its parameters, and when it looked."""
    form = [SNAPSHOTS_VERSION] if at == "snapshots" else []
    return digest(["finding", cell, analysis.identity(), at, list(steps), *form])


def evaluation_spec(
    cell: str,
    evaluation: Evaluation,
    horizon: int | None,
    loss_horizon: int | None,
    stream: Stream = "test",
) -> EvaluationSpec:
    """The evaluation of a cell with its horizons resolved."""
    identity = [evaluation.sequences, horizon, loss_horizon, list(evaluation.at)]
    key = digest([stream, TRAINING_VERSION, EVALUATION_VERSION, cell, *identity])
    return EvaluationSpec(key, evaluation.sequences, horizon, loss_horizon, evaluation.at, stream)


def evaluation_elsewhere(cell: str, asked: EvaluationSpec) -> EvaluationSpec:
    """The evaluation of a cell on another task, with its key."""
    assert asked.task is not None
    identity = [asked.sequences, asked.horizon, asked.loss_horizon, list(asked.at)]
    versions = [asked.stream, TRAINING_VERSION, EVALUATION_VERSION, cell]
    return replace(asked, key=digest([*versions, *identity, asked.task.identity()]))


def digest(value: Any) -> str:
    """Hash of canonical JSON: sorted keys, floats in shortest round-trip form."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


# One encoder for all keys: a plan of 10,000 cells asks for some 50,000 of them.
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
"""Canonical JSON of a value."""
