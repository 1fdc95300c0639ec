"""What coordinator and workers send each other: jobs one way, answers the other, as bytes.

One frame for both: magic, length of the head, a JSON head, then the blobs in order; never pickle.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from functools import cache, lru_cache
from itertools import accumulate, pairwise
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from emtkit.errors import PluginError, StoreError
from emtkit.plugin.catalogue import Kind
from emtkit.store.codec import scalars_from_json, scalars_to_json, to_json
from emtkit.store.records import CellResult, CellState, FindingResult, Scalar
from emtkit.study.cells import Cell, EvaluationSpec, Measure
from emtkit.study.settings import Training
from emtkit.train.grouping import Shape

_MAGIC = b"emtkit-message-2\n"

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


@dataclass(frozen=True)
class CompareJob:
    """Trained cells, once each; the `second` of every measure is the key of another of them."""

    subjects: tuple[Subjects, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells to be compared."""
        return tuple(subject.cell for subject in self.subjects)


RunJob = ShapeJob | TrainJob | MeasureJob | CompareJob


@dataclass(frozen=True)
class PlanJob:
    """A study, a file's path or its content, to be planned where its plugins can do no harm.

    The answer has the prefixes of undeclared scalars; where they are `measured`, with their names.
    """

    study: str | Mapping[str, Any]
    folder: str
    measured: bool = False


Job = PlanJob | RunJob


@dataclass(frozen=True)
class Answer:
    """What a worker made of a job.

    `digests` are of the sources of every plugin that took part (of a plan: of files, by path);
    `failures` say, by pair, what a plugin did when its shape was to be found; `scalars` are the
    names that undeclared plugins give, by the prefix of their columns; `last` are the states of
    trainings that are done, from which longer ones may go on.
    """

    cells: tuple[CellResult, ...] = ()
    findings: tuple[FindingResult, ...] = ()
    states: tuple[CellState, ...] = ()
    last: tuple[CellState, ...] = ()
    shapes: tuple[Shape, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    scalars: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_KINDS = (PlanJob, ShapeJob, TrainJob, MeasureJob, CompareJob, Answer)
_MESSAGES = {kind.__name__: kind for kind in _KINDS}


def plugins_of(job: RunJob) -> set[tuple[Kind, str]]:
    """Kind and name of every plugin whose code a job runs."""
    found: set[tuple[Kind, str]] = set()
    for cell in job.cells:
        found |= {("task", cell.task.name), ("architecture", cell.architecture.name)}
    if isinstance(job, MeasureJob | CompareJob):
        found |= {m.plugin for s in job.subjects for m in s.measures}
    return found


def encode(message: Job | Answer, loose: Iterable[str] = ()) -> bytes:
    """A job or an answer as bytes; `loose` are the plugin files that a job needs, by their paths.

    Raises:
        PluginError: it holds what no message can say.
    """
    blobs: list[bytes] = []

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            if len(value) > MAX_BLOB:
                raise PluginError(
                    f"a result of {len(value) / 2**30:.1f} GiB; one network, history or finding "
                    f"has at most {MAX_BLOB / 2**30:.1f} GiB (give fewer arrays, or smaller ones)"
                )
            blobs.append(value)
            return len(blobs) - 1
        if isinstance(value, Training):
            return value.model_dump(mode="json", by_alias=True)
        if isinstance(value, CellResult | FindingResult):
            return {**vars(value), "scalars": scalars_to_json(value.scalars)}
        if is_dataclass(value):
            return vars(value)
        raise TypeError(f"{value!r:.80} is no number, text, list or mapping")

    head = {"kind": type(message).__name__, "loose": sorted(loose), "message": message}
    text = json.dumps(head, default=plain, allow_nan=False, separators=(",", ":"))
    sizes = to_json([len(blob) for blob in blobs])
    parts = [f"[{sizes},{text}]".encode(), *blobs]
    return b"".join([_MAGIC, len(parts[0]).to_bytes(8, "little"), *parts])


def decode_job(data: bytes) -> tuple[Job, frozenset[str]]:
    """The job again, and the plugin files that it needs.

    Raises:
        StoreError: these are not the bytes of a whole job of this version.
    """
    job, loose = _decoded(data)
    if isinstance(job, Answer):
        raise StoreError("a message is an answer, where a job was expected")
    return job, loose


def decode(data: bytes) -> Answer:
    """The answer again.

    Raises:
        StoreError: these are not the bytes of a whole answer of this version.
    """
    answer, _ = _decoded(data)
    if not isinstance(answer, Answer):
        raise StoreError("a message is a job, where an answer was expected")
    return answer


def _decoded(data: bytes) -> tuple[Any, frozenset[str]]:
    start = len(_MAGIC) + 8
    if not data.startswith(_MAGIC) or len(data) < start:
        raise StoreError(
            "a message does not begin like one of emtkit; do worker and coordinator run the same "
            "emtkit?"
        )
    at = start + int.from_bytes(data[len(_MAGIC) : start], "little")
    try:
        sizes, head = json.loads(data[start:at])
        if at + sum(sizes) != len(data):
            raise ValueError(f"{len(data)} bytes, where the head announces {sizes}")
        ends = list(accumulate(sizes, initial=at))
        blobs = [data[begin:end] for begin, end in pairwise(ends)]
        message = _read(_MESSAGES[head["kind"]], head["message"], blobs)
        return message, frozenset(head["loose"])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise StoreError(f"a message cannot be read: {error}") from error


_hints = cache(get_type_hints)


def _read(kind: Any, plain: Any, blobs: Sequence[bytes]) -> Any:
    """A value of a type that some record declares; bytes are there by their number in `blobs`."""
    origin, parts = get_origin(kind), get_args(kind)
    if plain is None:
        return None
    if kind is bytes:
        return blobs[plain]
    if kind is Training:
        return _training(json.dumps(plain))
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{name: _read(hints[name], value, blobs) for name, value in plain.items()})
    if kind == Mapping[str, Scalar]:
        return scalars_from_json(plain)
    if origin is UnionType:
        return _read(parts[0], plain, blobs)  # the other is None
    if origin is tuple:
        return tuple(_read(parts[0], value, blobs) for value in plain)
    if origin is Mapping:
        key = int if parts[0] is int else str
        return {key(name): _read(parts[1], value, blobs) for name, value in plain.items()}
    return plain


@lru_cache(maxsize=256)
def _training(text: str) -> Training:
    """Cells of a stack mostly share their training, and then one record says so."""
    return Training.model_validate_json(text)
