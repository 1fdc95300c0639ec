"""What coordinator and workers send each other: jobs one way, answers the other, as bytes.

One frame for both: magic, length of the head, a JSON head, then the blobs in order; never pickle.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, TypeVar

from emtkit.errors import PluginError, StoreError
from emtkit.plugin.catalogue import Kind
from emtkit.store.codec import scalars_from_json, scalars_to_json, to_json
from emtkit.store.records import CellResult, CellState, FindingResult
from emtkit.study.cells import Cell, EvaluationSpec, Measure, PluginConfig
from emtkit.study.settings import Training
from emtkit.train.grouping import Shape

R = TypeVar("R", CellResult, FindingResult, CellState, Shape)

_MAGIC = b"emtkit-message-1\n"

MAX_BLOB = 2**29
"""A result is no larger than this; SQLite itself takes no blob above about twice of it."""


@dataclass(frozen=True)
class ShapeJob:
    """Cells of different pairs of task and architecture: how do their networks stack?"""

    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class TrainJob:
    """Cells of one stack, their states (by key; absent: at the beginning), and for how long."""

    cells: tuple[Cell, ...]
    tier: str
    budget: float
    states: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Subjects:
    """One trained cell and what to measure; `evaluation_spec` is None when it is known."""

    cell: Cell
    tier: str
    weights: bytes
    history: bytes
    snapshots: Mapping[int, bytes]
    evaluation_spec: EvaluationSpec | None
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class MeasureJob:
    """Trained cells of one shape, to be evaluated as one stack and analysed one by one."""

    subjects: tuple[Subjects, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells to be measured."""
        return tuple(subject.cell for subject in self.subjects)


RunJob = ShapeJob | TrainJob | MeasureJob


@dataclass(frozen=True)
class PlanJob:
    """A study, a file's path or its content, to be planned where its plugins can do no harm."""

    study: str | Mapping[str, Any]
    folder: str


Job = PlanJob | RunJob


@dataclass(frozen=True)
class Answer:
    """What a worker made of a job.

    `digests` are of the sources of every plugin that took part; `failures` say, by pair, what a
    plugin did when its shape was to be found.
    """

    cells: tuple[CellResult, ...] = ()
    findings: tuple[FindingResult, ...] = ()
    states: tuple[CellState, ...] = ()
    shapes: tuple[Shape, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)


_PARTS = {"cells": CellResult, "findings": FindingResult, "states": CellState, "shapes": Shape}


def plugins_of(job: RunJob) -> set[tuple[Kind, str]]:
    """Kind and name of every plugin whose code a job runs."""
    found: set[tuple[Kind, str]] = set()
    for cell in job.cells:
        found |= {("task", cell.task.name), ("architecture", cell.architecture.name)}
    if isinstance(job, MeasureJob):
        found |= {("analysis", m.analysis.name) for s in job.subjects for m in s.measures}
    return found


def encode_job(job: Job, loose: Iterable[str] = ()) -> bytes:
    """The job as bytes; `loose` are the plugin files that it needs, by their paths."""
    named = {"loose": sorted(loose)}
    if isinstance(job, PlanJob):
        return _frame({"kind": "plan", "study": job.study, "folder": job.folder, **named}, [])
    if isinstance(job, ShapeJob):
        return _frame({"kind": "shape", "cells": [_cell(c) for c in job.cells], **named}, [])
    if isinstance(job, TrainJob):
        cells, states = [_cell(cell) for cell in job.cells], list(job.states)
        head = {"kind": "train", "cells": cells, "tier": job.tier, "budget": job.budget}
        return _frame({**head, "states": states, **named}, list(job.states.values()))
    blobs: list[bytes] = []
    for subject in job.subjects:
        blobs += [subject.weights, subject.history, *subject.snapshots.values()]
    head = {"kind": "measure", "subjects": [_subject(subject) for subject in job.subjects]}
    return _frame({**head, **named}, blobs)


def decode_job(data: bytes) -> tuple[Job, frozenset[str]]:
    """The job again, and the plugin files that it needs.

    Raises:
        StoreError: these are not the bytes of a whole message of this version.
    """
    head, blobs = _unframe(data)
    return _read_job(head, blobs), frozenset(head["loose"])


def encode(answer: Answer) -> bytes:
    """The answer as bytes.

    Raises:
        PluginError: it holds what no message can say.
    """
    blobs: list[bytes] = []
    head = {name: [_flat(one, blobs) for one in getattr(answer, name)] for name in _PARTS}
    return _frame({**head, "texts": [answer.digests, answer.failures]}, blobs)


def decode(data: bytes) -> Answer:
    """The answer again.

    Raises:
        StoreError: these are not the bytes of a whole message of this version.
    """
    head, blobs = _unframe(data)
    try:
        found: dict[str, Any] = {
            name: tuple(_record(kind, plain, blobs) for plain in head[name])
            for name, kind in _PARTS.items()
        }
        texts = [{str(name): str(t) for name, t in one.items()} for one in head["texts"]]
        return Answer(**found, digests=texts[0], failures=texts[1])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise StoreError(f"a message from a worker cannot be read: {error}") from error


def _read_job(head: dict[str, Any], blobs: list[bytes]) -> Job:
    if head["kind"] == "plan":
        return PlanJob(head["study"], head["folder"])
    if head["kind"] == "measure":
        left = iter(blobs)
        return MeasureJob(tuple(_read_subject(plain, left) for plain in head["subjects"]))
    cells = tuple(_read_cell(plain) for plain in head["cells"])
    if head["kind"] == "shape":
        return ShapeJob(cells)
    states = dict(zip(head["states"], blobs, strict=True))
    return TrainJob(cells, head["tier"], head["budget"], states)


def _frame(head: Mapping[str, Any], blobs: Sequence[bytes]) -> bytes:
    text = to_json({**head, "sizes": [len(blob) for blob in blobs]}).encode()
    return b"".join([_MAGIC, len(text).to_bytes(8, "little"), text, *blobs])


def _unframe(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    start = len(_MAGIC) + 8
    if not data.startswith(_MAGIC) or len(data) < start:
        raise StoreError(
            "a message does not begin like one of emtkit; do worker and coordinator run the same "
            "emtkit?"
        )
    at = start + int.from_bytes(data[len(_MAGIC) : start], "little")
    try:
        head = json.loads(data[start:at])
        if at + sum(head["sizes"]) != len(data):
            raise ValueError(f"{len(data)} bytes, where the head announces {head['sizes']}")
        blobs = []
        for size in head["sizes"]:
            blobs.append(data[at : at + size])
            at += size
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"a message cannot be read: {error}") from error
    return head, blobs


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


def _subject(subject: Subjects) -> dict[str, Any]:
    spec = subject.evaluation_spec
    return {
        "cell": _cell(subject.cell),
        "tier": subject.tier,
        "snapshots": list(subject.snapshots),
        "evaluation_spec": None if spec is None else vars(spec),
        "measures": [{**vars(m), "analysis": m.analysis.identity()} for m in subject.measures],
    }


def _read_subject(plain: dict[str, Any], blobs: Iterator[bytes]) -> Subjects:
    weights, history, spec = next(blobs), next(blobs), plain["evaluation_spec"]
    measures = tuple(
        Measure(**{**one, "analysis": PluginConfig(*one["analysis"]), "steps": tuple(one["steps"])})
        for one in plain["measures"]
    )
    return Subjects(
        _read_cell(plain["cell"]),
        plain["tier"],
        weights,
        history,
        {int(step): next(blobs) for step in plain["snapshots"]},
        None if spec is None else EvaluationSpec(**{**spec, "at": tuple(spec["at"])}),
        measures,
    )


def _flat(record: object, blobs: list[bytes]) -> dict[str, Any]:
    """A record as plain values; bytes move to `blobs` and leave their number behind."""

    def number(blob: bytes | None) -> int | None:
        if blob is None:
            return None
        if len(blob) > MAX_BLOB:
            raise PluginError(
                f"a result of {len(blob) / 2**30:.1f} GiB; one network, history or finding has at "
                f"most {MAX_BLOB / 2**30:.1f} GiB (give fewer arrays, or smaller ones)"
            )
        blobs.append(blob)
        return len(blobs) - 1

    rules: dict[str, Callable[[Any], Any]] = {
        **dict.fromkeys(_BLOBS, number),
        "snapshots": lambda held: [[step, number(held[step])] for step in sorted(held)],
        "scalars": scalars_to_json,
    }
    values = {entry.name: getattr(record, entry.name) for entry in fields(record)}  # type: ignore[arg-type]
    return {name: rules[name](value) if name in rules else value for name, value in values.items()}


def _record(kind: type[R], plain: dict[str, Any], blobs: Sequence[bytes]) -> R:
    rules: dict[str, Callable[[Any], Any]] = {
        **dict.fromkeys(_BLOBS, lambda number: None if number is None else blobs[number]),
        "snapshots": lambda held: {step: blobs[number] for step, number in held},
        "scalars": scalars_from_json,
    }
    values = {name: rules[name](value) if name in rules else value for name, value in plain.items()}
    return kind(**values)


_BLOBS = ("weights", "history", "content", "data")
