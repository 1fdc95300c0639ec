"""What a worker is asked: look at cells, train them for a while, or measure them; as bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from emtkit.study.cells import Cell, EvaluationSpec, Measure, PluginConfig
from emtkit.study.settings import Training

_MAGIC = b"emtkit-job-1\n"


@dataclass(frozen=True)
class TrainJob:
    """Cells of one stack, where each stands (by key; absent: at the beginning), and how long."""

    cells: tuple[Cell, ...]
    tier: str
    budget: float
    states: Mapping[str, bytes] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The job as bytes."""
        head = {
            "kind": "train",
            "cells": [_cell(cell) for cell in self.cells],
            "tier": self.tier,
            "budget": self.budget,
            "states": list(self.states),
        }
        return _join(head, list(self.states.values()))


@dataclass(frozen=True)
class LookJob:
    """Cells of different pairs of task and architecture, to be looked at: how do they stack?"""

    cells: tuple[Cell, ...]

    def encode(self) -> bytes:
        """The job as bytes."""
        return _join({"kind": "look", "cells": [_cell(cell) for cell in self.cells]}, [])


@dataclass(frozen=True)
class Subjects:
    """One trained cell and what to find out of it; `evaluation_spec` is None when it is known."""

    cell: Cell
    tier: str
    weights: bytes
    history: bytes
    snapshots: Mapping[int, bytes]
    evaluation_spec: EvaluationSpec | None
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class MeasureJob:
    """Trained cells of one shape, to be judged as one stack and analysed one by one."""

    subjects: tuple[Subjects, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells to be measured."""
        return tuple(subject.cell for subject in self.subjects)

    def encode(self) -> bytes:
        """The job as bytes."""
        blobs: list[bytes] = []
        subjects = []
        for subject in self.subjects:
            blobs += [subject.weights, subject.history, *subject.snapshots.values()]
            subjects.append(
                {
                    "cell": _cell(subject.cell),
                    "tier": subject.tier,
                    "snapshots": list(subject.snapshots),
                    "judgement": None
                    if subject.evaluation_spec is None
                    else vars(subject.evaluation_spec),
                    "measures": [
                        {**vars(measure), "analysis": measure.analysis.identity()}
                        for measure in subject.measures
                    ],
                }
            )
        return _join({"kind": "measure", "subjects": subjects}, blobs)


Job = LookJob | TrainJob | MeasureJob


def decode(data: bytes) -> Job:
    """The job that `encode` wrote."""
    if not data.startswith(_MAGIC):
        raise ValueError("these bytes are no job of this version of emtkit")
    start = len(_MAGIC) + 8
    end = start + int.from_bytes(data[len(_MAGIC) : start], "little")
    head = json.loads(data[start:end])
    blobs = []
    for size in head["sizes"]:
        blobs.append(data[end : end + size])
        end += size
    if head["kind"] == "look":
        return LookJob(tuple(_read_cell(plain) for plain in head["cells"]))
    if head["kind"] == "train":
        cells = tuple(_read_cell(plain) for plain in head["cells"])
        states = dict(zip(head["states"], blobs, strict=True))
        return TrainJob(cells, head["tier"], head["budget"], states)
    left = iter(blobs)
    return MeasureJob(tuple(_read_subject(plain, left) for plain in head["subjects"]))


def _join(head: dict[str, Any], blobs: list[bytes]) -> bytes:
    text = json.dumps({**head, "sizes": [len(blob) for blob in blobs]}).encode()
    return b"".join([_MAGIC, len(text).to_bytes(8, "little"), text, *blobs])


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "key": cell.key,
        "task": cell.task.identity(),
        "architecture": cell.architecture.identity(),
        "training": cell.training.model_dump(mode="json", by_alias=True),
        "seed": cell.seed,
        "trains": cell.trains,
    }


def _read_cell(plain: dict[str, Any]) -> Cell:
    training = _training(json.dumps(plain["training"]))
    task, architecture = PluginConfig(*plain["task"]), PluginConfig(*plain["architecture"])
    return Cell(plain["key"], task, architecture, training, plain["seed"], plain["trains"])


@lru_cache(maxsize=256)
def _training(text: str) -> Training:
    """Cells of a stack mostly share their training, and then one record says so."""
    return Training.model_validate_json(text)


def _read_subject(plain: dict[str, Any], blobs: Any) -> Subjects:
    weights, history = next(blobs), next(blobs)
    asked = plain["judgement"]
    return Subjects(
        _read_cell(plain["cell"]),
        plain["tier"],
        weights,
        history,
        {int(step): next(blobs) for step in plain["snapshots"]},
        None if asked is None else EvaluationSpec(**{**asked, "at": tuple(asked["at"])}),
        tuple(
            Measure(
                **{
                    **measure,
                    "analysis": PluginConfig(*measure["analysis"]),
                    "steps": tuple(measure["steps"]),
                }
            )
            for measure in plain["measures"]
        ),
    )
