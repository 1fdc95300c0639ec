"""What a worker sends, the store keeps and a reader gets back: plain records, bytes inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from emtkit.study.cells import Cell, EvaluationSpec, Measure

Scalar = float | int | bool | str
Status = Literal["done", "failed", "lost", "not_applicable"]
STATUSES: tuple[Status, ...] = ("done", "failed", "lost", "not_applicable")


@dataclass(frozen=True)
class CellResult:
    """How one cell ended; as the store gives it back, its bytes are left there (None).

    `weights` and each of `snapshots` (by iteration) are safetensors of the model's state;
    `history` is `pack({}, {"loss": ...})`. `scalars` become `train.<name>` in the frame.
    `digest` is of the sources that produced it, `error` the traceback or the reason where it is not
    done, `provenance` the versions, commit, machine and device.
    """

    key: str
    identity: Mapping[str, Any]
    status: Status
    weights: bytes | None = None
    snapshots: Mapping[int, bytes | None] = field(default_factory=dict)
    history: bytes | None = None
    scalars: Mapping[str, Scalar] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    tier: str = ""
    seconds: float = 0.0
    digest: str = ""
    error: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FindingResult:
    """The result of an analysis (or the evaluation) of a cell, or of its comparison with another.

    `content` is `pack(tables, arrays)`, left in the store (None) when a finding is read. `reasons`
    gives, by the scalar's name, why it is NaN.
    """

    key: str
    cell: str
    identity: Mapping[str, Any]
    status: Status
    scalars: Mapping[str, Scalar] = field(default_factory=dict)
    content: bytes | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    digest: str = ""
    error: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CellState:
    """The state of a cell's training between two segments: tensors as bytes, the rest plain.

    `data` is safetensors (weights, optimiser), `meta` is JSON (step, curriculum, tier).
    """

    cell: str
    meta: Mapping[str, Any]
    data: bytes


@dataclass(frozen=True)
class Attempt:
    """One attempt at a cell: its number from 1, how it ended, and its last message."""

    cell: str
    number: int
    outcome: str
    text: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Bundle:
    """Results that belong together: one transaction of the store."""

    cells: tuple[CellResult, ...] = ()
    findings: tuple[FindingResult, ...] = ()
    states: tuple[CellState, ...] = ()
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True)
class Statement:
    """A claim of a study as it was first seen, at `seen` (seconds since 1970).

    `digest` is of its text, expectation, margins and controls.
    """

    study: str
    claim: str
    digest: str
    seen: float


@dataclass(frozen=True)
class Progress:
    """The progress of a run; times are seconds since 1970, `state` is running, done or stopped."""

    run: str
    study: str
    state: str
    started: float
    updated: float
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Content:
    """The tables and arrays of one finding."""

    tables: Mapping[str, pd.DataFrame]
    arrays: Mapping[str, np.ndarray[Any, Any]]


def identity_of(cell: Cell) -> dict[str, Any]:
    """What the cell is, as plain values: the text behind its key."""
    given = {} if cell.weights is None else {"weights": cell.weights.digest}
    return {
        **given,
        "task": cell.task.identity(),
        "architecture": cell.architecture.identity(),
        "training": cell.training.model_dump(mode="json", by_alias=True) if cell.trains else None,
        "seed": cell.seed,
    }


_ELSEWHERE = ("name", "task", "reason")


def finding_identity(of: EvaluationSpec | Measure) -> dict[str, Any]:
    """What a finding is, as plain values; the evaluation is the analysis "test"."""
    from emtkit.study.cells import EvaluationSpec  # reading a store needs no pydantic

    if isinstance(of, EvaluationSpec):
        kept = {key: value for key, value in vars(of).items() if key not in _ELSEWHERE}
        task = {} if of.task is None else {"task": of.task.identity()}
        return {"analysis": "test", **kept, **task}
    if of.second:
        return {"comparison": of.analysis.identity(), "second": of.second}
    return {"analysis": of.analysis.identity(), "at": of.at}
