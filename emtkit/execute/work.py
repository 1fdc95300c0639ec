"""What a worker does with a job: the one place where networks are trained and looked at."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence

import torch
from safetensors.torch import load, save
from torch import Tensor

from emtkit.errors import NotApplicable
from emtkit.execute.content import pack
from emtkit.execute.jobs import MeasureJob, Subjects, TrainJob, decode
from emtkit.execute.measure import measure
from emtkit.execute.provenance import provenance
from emtkit.execute.records import Bundle, CellResult, CellState, FindingResult, identity_of
from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.registry import Registry
from emtkit.study.cells import Cell, Measure
from emtkit.train.build import build_model, build_task
from emtkit.train.evaluate import judge
from emtkit.train.rows import RowState
from emtkit.train.segment import Trainer, final_loss
from emtkit.train.stacked import flatten, stack
from emtkit.train.stacks import tier_named


class Work:
    """A worker's state between jobs: its plugins, and whether it should stop."""

    def __init__(self, registry: Registry, orphaned: Callable[[], bool] = lambda: False) -> None:
        self.registry = registry
        self.orphaned = orphaned

    def do(self, data: bytes) -> Bundle:
        """Do one job. What a plugin raises becomes the failure of its cell, never more."""
        job = decode(data)
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
                return Bundle(cells=(self._failed(job.cells[0], job.tier, traceback.format_exc()),))
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
        if not job.cells[0].trains:
            return Bundle(cells=tuple(self._construct(cell) for cell in job.cells))
        begun = time.monotonic()
        trainer = Trainer(self.registry, job.cells, tier_named(job.tier))
        for at, cell in enumerate(job.cells):
            if cell.key in job.states:
                trainer.load(at, RowState.decode(job.states[cell.key]))

        def over() -> bool:
            return time.monotonic() - begun > job.budget or self.orphaned()

        trainer.run(over)
        share = (time.monotonic() - begun) / len(job.cells)
        results, states = [], []
        for at, (cell, row) in enumerate(zip(job.cells, trainer.rows, strict=True)):
            if row.end is None:
                meta = {"tier": job.tier, "iteration": row.iteration}
                states.append(CellState(cell.key, meta, row.encode()))
            else:
                results.append(self._ended(cell, trainer, at, share))
        return Bundle(cells=tuple(results), states=tuple(states))

    def _ended(self, cell: Cell, trainer: Trainer, at: int, seconds: float) -> CellResult:
        row, model = trainer.rows[at], trainer.models[at]
        diverged = row.end == "diverged"
        scalars: dict[str, float] = {"loss": final_loss(row), "steps": row.iteration}
        reasons = {} if row.iteration else {"loss": "not trained (steps: 0)"}
        if cell.training.solved is not None:
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
            digest=self._digest(cell),
            error=text if diverged else "",
            provenance=provenance(),
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
            scalars={"loss": float("nan"), "steps": 0},
            reasons={"loss": "constructed: there is nothing to train"},
            tier="constructed",
            seconds=time.monotonic() - begun,
            digest=self._digest(cell),
            provenance=provenance(),
        )

    def _failed(self, cell: Cell, tier: str, error: str) -> CellResult:
        return CellResult(
            key=cell.key,
            identity=identity_of(cell),
            status="failed",
            tier=tier,
            digest=self._digest(cell),
            error=error,
            provenance=provenance(),
        )

    def _digest(self, cell: Cell) -> str:
        task = self.registry.get("task", cell.task.name)
        architecture = self.registry.get("architecture", cell.architecture.name)
        return "+".join(plugin.digest for plugin in (task, architecture) if plugin is not None)

    def _measure(self, job: MeasureJob) -> Bundle:
        judged = [subject for subject in job.subjects if subject.judgement is not None]
        findings = self._judge(judged) if judged else []
        for subject in job.subjects:
            if subject.measures:
                findings.extend(self._analyse(subject))
        return Bundle(findings=tuple(findings))

    def _judge(self, subjects: Sequence[Subjects]) -> list[FindingResult]:
        begun = time.monotonic()
        try:
            tasks = [build_task(self.registry, subject.cell.task) for subject in subjects]
            models = [self._load(s.cell, s.weights) for s in subjects]
            stacked = stack(models, tasks, [str(s.cell.task.identity()) for s in subjects])
            flat = torch.stack([flatten(model) for model in models])
            tier = tier_named("loop" if subjects[0].tier == "loop" else "vmap")
            asked = [s.judgement for s in subjects if s.judgement is not None]
            found = judge(stacked, flat, tier, asked)
        except Exception:
            if len(subjects) > 1:
                middle = len(subjects) // 2
                return self._judge(subjects[:middle]) + self._judge(subjects[middle:])
            return [_finding(subjects[0], None, "failed", error=traceback.format_exc())]
        seconds = (time.monotonic() - begun) / len(subjects)
        why = "the outputs were not finite"
        return [
            _finding(
                subject,
                None,
                "done",
                scalars=scalars,
                reasons={name: why for name, value in scalars.items() if value != value},
                seconds=seconds,
            )
            for subject, scalars in zip(subjects, found, strict=True)
        ]

    def _analyse(self, subject: Subjects) -> list[FindingResult]:
        found = []
        for asked in subject.measures:
            begun = time.monotonic()
            try:
                result = measure(self.registry, subject, asked, self._load)
            except NotApplicable as error:
                found.append(_finding(subject, asked, "not_applicable", error=str(error)))
                continue
            except Exception:
                found.append(_finding(subject, asked, "failed", error=traceback.format_exc()))
                continue
            found.append(
                _finding(
                    subject,
                    asked,
                    "done",
                    scalars=result.scalars,
                    reasons=result.reasons,
                    content=pack(result.tables, result.arrays),
                    seconds=time.monotonic() - begun,
                    digest=self._analysis_digest(asked),
                )
            )
        return found

    def _analysis_digest(self, asked: Measure) -> str:
        plugin = self.registry.get("analysis", asked.analysis.name)
        return plugin.digest if plugin else ""

    def _load(self, cell: Cell, weights: bytes) -> SequenceModel:
        model = build_model(self.registry, cell, build_task(self.registry, cell.task))
        model.load_state_dict(load(weights))
        return model.eval().requires_grad_(False)


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
    if asked is None and subject.judgement is not None:
        key, identity = subject.judgement.key, {"analysis": "test", **vars(subject.judgement)}
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
