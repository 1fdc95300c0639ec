"""What a worker does with a job: the one place where networks are trained and looked at."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence

import torch
from safetensors.torch import load, save
from torch import Tensor

from emtkit.errors import NotApplicable
from emtkit.execute.measure import measure
from emtkit.execute.messages import LookJob, MeasureJob, Subjects, TrainJob, decode
from emtkit.execute.provenance import provenance, sources
from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.registry import Registry
from emtkit.plugin.task import Task
from emtkit.store.codec import encode
from emtkit.store.content import pack
from emtkit.store.records import Bundle, CellResult, CellState, FindingResult, Seen, identity_of
from emtkit.study.cells import Cell, Measure
from emtkit.train.build import build_model, build_task
from emtkit.train.device import label
from emtkit.train.evaluate import judge
from emtkit.train.grouping import inspect_shape, tier_named
from emtkit.train.row_state import RowState
from emtkit.train.stack import flatten, stack
from emtkit.train.trainer import Trainer, final_loss


class Work:
    """A worker's state between jobs: its plugins."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def do(self, data: bytes) -> Bundle:
        """Do one job. What a plugin raises becomes the failure of its cell, never more."""
        job = decode(data)
        if isinstance(job, LookJob):
            shapes = [inspect_shape(cell, self.registry) for cell in job.cells]
            return Bundle(seen=tuple(Seen(**vars(shape)) for shape in shapes))
        if isinstance(job, MeasureJob):
            return self._measure(job)
        return self._train(job)

    def _train(self, job: TrainJob) -> Bundle:
        """Train a stack for the job's budget; a stack that raises is halved until one cell is left.

        Halving leaves the numbers of the others alone: a row has the same bits in any stack.
        """
        try:
            return self._train_stack(job)
        except Exception:  # whatever a plugin raises
            if len(job.cells) == 1:
                return Bundle(cells=(self._failed(job.cells[0], job.tier, _trace()),))
        middle = len(job.cells) // 2
        parts = []
        for cells in (job.cells[:middle], job.cells[middle:]):
            states = {cell.key: job.states[cell.key] for cell in cells if cell.key in job.states}
            parts.append(self._train(TrainJob(cells, job.tier, job.budget / 2, states)))
        return Bundle(
            cells=tuple(result for part in parts for result in part.cells),
            states=tuple(state for part in parts for state in part.states),
        )

    def _train_stack(self, job: TrainJob) -> Bundle:
        if not any(cell.trains and cell.training.steps for cell in job.cells):
            return _sound(Bundle(cells=tuple(self._made(cell, job.tier) for cell in job.cells)))
        begun = time.monotonic()
        trainer = Trainer(self.registry, job.cells, tier_named(job.tier))
        for at, cell in enumerate(job.cells):
            if cell.key in job.states:
                trainer.load(at, RowState.decode(job.states[cell.key]))

        def over() -> bool:
            return time.monotonic() - begun > job.budget

        trainer.run(over)
        share = (time.monotonic() - begun) / len(job.cells)
        results, states = [], []
        for at, (cell, row) in enumerate(zip(job.cells, trainer.rows, strict=True)):
            if row.end is None:
                meta = {
                    "tier": job.tier,
                    "iteration": row.iteration,
                    "sources": sources(self.registry, cell),
                }
                states.append(CellState(cell.key, meta, row.encode()))
            else:
                results.append(self._ended(cell, trainer, at, share))
        return _sound(Bundle(cells=tuple(results), states=tuple(states)))

    def _made(self, cell: Cell, tier: str) -> CellResult:
        """A network that is not trained: as it was constructed, or (`steps: 0`) as it was drawn."""
        if not cell.trains:
            return self._construct(cell)
        begun = time.monotonic()
        trainer = Trainer(self.registry, [cell], tier_named(tier))
        return self._ended(cell, trainer, 0, time.monotonic() - begun)

    def _ended(self, cell: Cell, trainer: Trainer, at: int, seconds: float) -> CellResult:
        row, model = trainer.rows[at], trainer.models[at]
        diverged = row.end == "diverged"
        scalars: dict[str, float] = {
            "loss": final_loss(row),
            "steps": row.iteration,
            "parameters": row.parameters.numel(),
        }
        reasons = {} if row.iteration else {"loss": "not trained (steps: 0)"}
        if cell.training.solved is not None:
            scalars["solved"] = row.solved_at is not None
            scalars["solved_at"] = float("nan") if row.solved_at is None else row.solved_at
            if row.solved_at is None:
                reasons["solved_at"] = f"not solved within {row.iteration} iterations"
        if diverged:
            scalars["loss"] = float("nan")
            reasons["loss"] = "diverged"
        text = f"diverged: loss or gradient not finite at iteration {row.iteration}"
        return CellResult(
            key=cell.key,
            identity=identity_of(cell),
            status="failed" if diverged else "done",
            weights=_weights(model, row.parameters),
            snapshots={step: _weights(model, flat) for step, flat in row.snapshots.items()},
            history=pack({}, {"loss": row.losses[: row.iteration]}),
            scalars=scalars,
            reasons=reasons,
            tier=trainer.tier.name,
            seconds=seconds,
            digest=sources(self.registry, cell),
            error=text if diverged else "",
            provenance=provenance(label(trainer.tier.device)),
        )

    def _construct(self, cell: Cell) -> CellResult:
        begun = time.monotonic()
        model = build_model(self.registry, cell, build_task(self.registry, cell.task))
        return CellResult(
            key=cell.key,
            identity=identity_of(cell),
            status="done",
            weights=_weights(model, flatten(model)),
            history=pack({}, {}),
            scalars={"loss": float("nan"), "steps": 0, "parameters": flatten(model).numel()},
            reasons={"loss": "constructed: there is nothing to train"},
            tier="constructed",
            seconds=time.monotonic() - begun,
            digest=sources(self.registry, cell),
            provenance=provenance(),
        )

    def _failed(self, cell: Cell, tier: str, error: str) -> CellResult:
        return CellResult(
            key=cell.key,
            identity=identity_of(cell),
            status="failed",
            tier=tier,
            digest=sources(self.registry, cell),
            error=error,
            provenance=provenance(),
        )

    def _measure(self, job: MeasureJob) -> Bundle:
        alike: dict[tuple[object, ...], list[Subjects]] = {}
        for subject in job.subjects:
            asked = subject.evaluation_spec
            if asked is not None:
                alike.setdefault((asked.sequences, asked.horizon, asked.at), []).append(subject)
        findings = [found for subjects in alike.values() for found in self._judge(subjects)]
        for subject in job.subjects:
            findings += [self._analyse(subject, asked) for asked in subject.measures]
        return Bundle(findings=tuple(findings))

    def _judge(self, subjects: Sequence[Subjects]) -> list[FindingResult]:
        """The evaluation of networks of one shape; one that raises fails alone."""
        try:
            return self._judge_stack(subjects)
        except Exception:  # whatever a plugin raises
            if len(subjects) == 1:
                return [_finding(subjects[0], None, "failed", error=_trace())]
        middle = len(subjects) // 2
        return self._judge(subjects[:middle]) + self._judge(subjects[middle:])

    def _judge_stack(self, subjects: Sequence[Subjects]) -> list[FindingResult]:
        begun = time.monotonic()
        tasks = [build_task(self.registry, subject.cell.task) for subject in subjects]
        models = [
            self._load(s.cell, task, s.weights) for s, task in zip(subjects, tasks, strict=True)
        ]
        stacked = stack(models, tasks, [str(s.cell.task.identity()) for s in subjects])
        flat = torch.stack([flatten(model) for model in models])
        tier = tier_named("loop" if subjects[0].tier == "loop" else "vmap")
        asked = [s.evaluation_spec for s in subjects if s.evaluation_spec is not None]
        judged = judge(stacked, flat, tier, asked)
        seconds = (time.monotonic() - begun) / len(subjects)
        findings = [
            _finding(
                subject,
                None,
                "done",
                scalars=scalars,
                reasons={n: _why(scalars) for n, value in scalars.items() if value != value},
                seconds=seconds,
            )
            for subject, scalars in zip(subjects, judged, strict=True)
        ]
        _sound(Bundle(findings=tuple(findings)))
        return findings

    def _analyse(self, subject: Subjects, asked: Measure) -> FindingResult:
        begun = time.monotonic()
        try:
            result = measure(self.registry, subject, asked, self._load)
            finding = _finding(
                subject,
                asked,
                "done",
                scalars=result.scalars,
                reasons=result.reasons,
                content=pack(result.tables, result.arrays),
                seconds=time.monotonic() - begun,
                digest=self._analysis_digest(asked),
            )
            _sound(Bundle(findings=(finding,)))
        except NotApplicable as error:
            return _finding(subject, asked, "not_applicable", error=str(error))
        except Exception:  # whatever a plugin raises, or says that no store can hold
            return _finding(subject, asked, "failed", error=_trace())
        return finding

    def _analysis_digest(self, asked: Measure) -> str:
        plugin = self.registry.get("analysis", asked.analysis.name)
        return plugin.digest if plugin else ""

    def _load(self, cell: Cell, task: Task, weights: bytes) -> SequenceModel:
        model = build_model(self.registry, cell, task)
        model.load_state_dict(load(weights))
        return model.eval().requires_grad_(False)


def _sound(bundle: Bundle) -> Bundle:
    """The bundle, if it can be sent and stored; what a plugin made may be neither.

    Raises:
        PluginError: it holds what no message can say.
    """
    encode(bundle)
    return bundle


def _trace() -> str:
    """The traceback, its end where it is long: a plugin may put anything into its message."""
    return traceback.format_exc()[-20_000:]


def _why(scalars: Mapping[str, object]) -> str:
    if scalars.get("finite"):
        return "the task's metric was not finite"
    return "the outputs were not finite"


def _finding(
    subject: Subjects,
    asked: Measure | None,
    status: str,
    *,
    scalars: object = None,
    reasons: object = None,
    content: bytes | None = None,
    seconds: float = 0.0,
    digest: str = "",
    error: str = "",
) -> FindingResult:
    """A finding of an analysis, or (`asked` None) of the evaluation."""
    if asked is None and subject.evaluation_spec is not None:
        key, identity = (
            subject.evaluation_spec.key,
            {"analysis": "test", **vars(subject.evaluation_spec)},
        )
    elif asked is not None:
        key = asked.key
        identity = {"analysis": asked.analysis.identity(), "at": asked.at}
    return FindingResult(
        key=key,
        cell=subject.cell.key,
        identity=identity,
        status=status,  # type: ignore[arg-type]
        scalars=scalars or {},  # type: ignore[arg-type]
        reasons=reasons or {},  # type: ignore[arg-type]
        content=content,
        seconds=seconds,
        digest=digest,
        error=error,
        provenance=provenance(),
    )


def _weights(model: SequenceModel, flat: Tensor) -> bytes:
    """The model's whole state as safetensors, with the parameters of the flat row `flat`."""
    tensors, start = {}, 0
    for name, value in model.named_parameters():
        tensors[name] = flat[start : start + value.numel()].view(value.shape).clone()
        start += value.numel()
    kept = model.state_dict()
    buffers = {name: value.clone() for name, value in kept.items() if name not in tensors}
    return save({**tensors, **buffers})
