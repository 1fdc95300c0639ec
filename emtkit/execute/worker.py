"""What a worker does with a job: the one place where networks are trained and measured."""

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from emtkit.errors import PluginError
from emtkit.execute.compare import Seen
from emtkit.execute.continuation import last_state
from emtkit.execute.findings import (
    analysed_finding,
    failed_finding,
    reason_of,
    unknown_finding,
)
from emtkit.execute.measure import Asked, Outcome, load_model, measure_all
from emtkit.execute.messages import (
    Answer,
    CompareJob,
    Job,
    MeasureJob,
    PlanJob,
    ShapeJob,
    Subjects,
    TrainJob,
    encode,
    plugins_of,
)
from emtkit.execute.provenance import provenance, sources
from emtkit.execute.undeclared import undeclared_scalars
from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.catalogue import Kind
from emtkit.plugin.guard import ForbiddenError, Guard
from emtkit.plugin.registry import Registry
from emtkit.store.content import pack
from emtkit.store.records import (
    CellResult,
    CellState,
    FindingResult,
    Status,
    identity_of,
)
from emtkit.study.cells import Cell, EvaluationSpec
from emtkit.study.plan import plan_study
from emtkit.train.build import build_model, build_task
from emtkit.train.device import label
from emtkit.train.evaluate import judge
from emtkit.train.grouping import Shape, inspect_shape, pair_of, tier_named
from emtkit.train.packing import Packings
from emtkit.train.row_state import RowState
from emtkit.train.stack import flatten, stack
from emtkit.train.tiers.loop import LoopTier
from emtkit.train.trainer import Trainer, final_loss

NOT_TRAINED = "constructed: there is nothing to train"
TRAINED_ELSEWHERE = "its weights were read from a file: it was trained elsewhere"

Evaluated = tuple[Subjects, EvaluationSpec]


CALLING = "emtkit calls plugin code: "
"""Begins a line of a worker's log, for whoever finds out where it died."""


class Work:
    """A worker's state between jobs: its plugins, and how it can compute stacks of networks."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._guard = Guard()
        # Recorded once for each task and network: as long as it takes to evaluate a few of them.
        self._packings: Packings = {}

    def do(self, job: Job) -> Answer:
        """Do one job. What a plugin does becomes the failure of its cell, never more."""
        if isinstance(job, PlanJob):
            return _rehearse(job)
        # A thread of a plugin may have gone on after its job.
        guard = self._guard = self._guard.renewed()
        if isinstance(job, ShapeJob):
            answer = self._shapes(job, guard)
        elif isinstance(job, MeasureJob):
            answer = self._measure(job, guard)
        elif isinstance(job, CompareJob):
            answer = self._compare(job, guard)
        else:
            answer = self._train(job, guard)
        return replace(
            answer,
            digests={f"{kind} {name}": self._digest(kind, name) for kind, name in plugins_of(job)},
        )

    def _digest(self, kind: Kind, name: str) -> str:
        """The digest of a plugin's sources, or why there is none."""
        plugin = self.registry.get(kind, name)
        reasons = "; ".join(f"{one.module}: {one.reason}" for one in self.registry.broken)
        return f"it does not load: {reasons}" if plugin is None else plugin.digest

    def _shapes(self, job: ShapeJob, guard: Guard) -> Answer:
        shapes, failures = [], {}
        for cell in job.cells:
            suspects = self._suspects(cell)
            try:
                with guard.calling(suspects):
                    shapes.append(inspect_shape(cell, self.registry))
            except Exception as error:  # of any kind; training meets it again, and stores it
                pair = pair_of(cell)
                shapes.append(Shape(pair, pair, 1, 1, LoopTier.name))
                failures[pair] = f"{suspects}: {type(error).__name__}: {error}"[:2000]
        return Answer(shapes=tuple(shapes), failures=failures)

    def _suspects(self, cell: Cell, analysis: str | None = None) -> str:
        """Whose code runs, for a message: plugins in loose files, where there are any of those."""
        named: list[tuple[Kind, str]] = [("analysis", analysis)] if analysis else []
        if analysis is None:
            named = [("task", cell.task.name), ("architecture", cell.architecture.name)]
        plugins = ((one, self.registry.get(*one)) for one in named)
        loose = [one for one, plugin in plugins if plugin and plugin.source]
        return " or ".join(self.registry.described(*one) for one in loose or named)

    def _train(self, job: TrainJob, guard: Guard) -> Answer:
        """Train a stack for the job's budget; a stack that raises is halved until one cell is left.

        Halving leaves the numbers of the others alone: a row has the same bits in any stack.
        """
        suspects = self._suspects(job.cells[0])
        try:
            with guard.calling(suspects):
                return self._train_stack(job)
        except Exception as error:  # whatever a plugin raises
            if len(job.cells) == 1:
                why = self._named(job.cells[0], error, guard) or reason_of(error, suspects)
                return Answer(cells=(self._result(job.cells[0], "failed", job.tier, why),))
        middle = len(job.cells) // 2
        parts = []
        for cells in (job.cells[:middle], job.cells[middle:]):
            states = {cell.key: job.states[cell.key] for cell in cells if cell.key in job.states}
            parts.append(self._train(TrainJob(cells, job.tier, job.budget / 2, states), guard))
        return Answer(
            cells=tuple(result for part in parts for result in part.cells),
            states=tuple(state for part in parts for state in part.states),
            last=tuple(state for part in parts for state in part.last),
        )

    def _named(self, cell: Cell, raised: Exception, guard: Guard) -> str:
        """A mistake of a plugin that is told in one sentence, where that is what it was."""
        if isinstance(raised, ForbiddenError):
            return ""
        try:
            with guard.calling(self._suspects(cell)):
                inspect_shape(cell, self.registry)
        except PluginError as error:
            return f"{self._suspects(cell)}: {error}"
        except Exception:  # of any kind: what the training raised says more
            return ""
        return ""

    def _train_stack(self, job: TrainJob) -> Answer:
        if not any(cell.trains and cell.training.steps for cell in job.cells):
            return _sound(Answer(cells=tuple(self._made(cell, job.tier) for cell in job.cells)))
        begun = time.monotonic()
        trainer = Trainer(self.registry, job.cells, tier_named(job.tier))
        for at, cell in enumerate(job.cells):
            if cell.key in job.states:
                trainer.load(at, RowState.decode(job.states[cell.key]))

        def over() -> bool:
            return time.monotonic() - begun > job.budget

        trainer.run(over)
        share = (time.monotonic() - begun) / len(job.cells)
        results, states, last = [], [], []
        for at, (cell, row) in enumerate(zip(job.cells, trainer.rows, strict=True)):
            row.seconds += share
            made_by = sources(self.registry, cell)
            meta = {"tier": job.tier, "iteration": row.iteration, "sources": made_by}
            if row.end is None:
                states.append(CellState(cell.key, meta, row.encode()))
            else:
                results.append(self._ended(cell, trainer, at, row.seconds))
                last.append(last_state(cell, row, meta))
        kept = tuple(state for state in last if state is not None)
        return _sound(Answer(cells=tuple(results), states=tuple(states), last=kept))

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
        return replace(
            self._result(cell, "failed" if diverged else "done", trainer.tier.name),
            weights=_weights(model, row.parameters),
            snapshots={step: _weights(model, flat) for step, flat in row.snapshots.items()},
            history=pack({}, {"loss": row.losses[: row.iteration]}),
            scalars=scalars,
            reasons=reasons,
            seconds=seconds,
            error=text if diverged else "",
            provenance=provenance(label(trainer.tier.device)),
        )

    def _construct(self, cell: Cell) -> CellResult:
        begun = time.monotonic()
        model = build_model(self.registry, cell, build_task(self.registry, cell.task))
        return replace(
            self._result(cell, "done", "constructed"),
            weights=_weights(model, flatten(model)),
            history=pack({}, {}),
            scalars={"loss": float("nan"), "steps": 0, "parameters": flatten(model).numel()},
            reasons={"loss": NOT_TRAINED if cell.weights is None else TRAINED_ELSEWHERE},
            seconds=time.monotonic() - begun,
        )

    def _result(self, cell: Cell, status: Status, tier: str, error: str = "") -> CellResult:
        """How a cell ended, without what it gave."""
        return CellResult(
            cell.key,
            identity_of(cell),
            status,
            tier=tier,
            digest=sources(self.registry, cell),
            error=error,
            provenance=provenance(),
        )

    def _measure(self, job: MeasureJob, guard: Guard) -> Answer:
        alike: dict[tuple[object, ...], list[Evaluated]] = {}
        for subject in job.subjects:
            spec = subject.evaluation_spec
            if spec is not None:
                kind = (spec.sequences, spec.horizon, spec.at, spec.name)
                alike.setdefault(kind, []).append((subject, spec))
        findings = [found for some in alike.values() for found in self._evaluate(some, guard)]
        analyses: dict[str, list[Asked]] = {}
        for subject in job.subjects:
            for one in subject.measures:
                setting = str([one.analysis.identity(), one.at])
                analyses.setdefault(setting, []).append(Asked(subject, one))
        findings += [found for asked in analyses.values() for found in self._analyse(asked, guard)]
        return Answer(findings=tuple(findings))

    def _compare(self, job: CompareJob, guard: Guard) -> Answer:
        """Every pair of the job; one that raises, or is not storable, fails alone."""
        findings: list[FindingResult] = []
        seen = Seen(self.registry, {subject.cell.key: subject for subject in job.subjects})
        for subject in job.subjects:
            for measure in subject.measures:
                asked, suspects = Asked(subject, measure), self.registry.described(*measure.plugin)
                made_by = self._digest(*measure.plugin)
                try:
                    with guard.calling(suspects):
                        found = analysed_finding(asked, seen.compared(asked), suspects, made_by)
                        _sound(Answer(findings=(found,)))
                except Exception as error:  # whatever a plugin raises
                    found = analysed_finding(asked, Outcome(error, 0.0), suspects, made_by)
                findings.append(found)
        return Answer(findings=tuple(findings))

    def _evaluate(self, evaluated: Sequence[Evaluated], guard: Guard) -> list[FindingResult]:
        """The evaluation of networks of one shape; one that raises fails alone."""
        suspects = self._suspects(evaluated[0][0].cell)
        try:
            with guard.calling(suspects):
                return self._evaluate_stack(evaluated)
        except Exception as error:  # whatever a plugin raises
            if len(evaluated) == 1:
                return [failed_finding(*evaluated[0], reason_of(error, suspects))]
        middle = len(evaluated) // 2
        halves = (evaluated[:middle], evaluated[middle:])
        return [found for half in halves for found in self._evaluate(half, guard)]

    def _evaluate_stack(self, evaluated: Sequence[Evaluated]) -> list[FindingResult]:
        begun = time.monotonic()
        subjects = [subject for subject, _ in evaluated]
        models = [
            load_model(self.registry, s.cell, build_task(self.registry, s.cell.task), s.weights)
            for s in subjects
        ]
        judged_on = [spec.task or subject.cell.task for subject, spec in evaluated]
        first = subjects[0].cell
        stacked = stack(
            models,
            [build_task(self.registry, task) for task in judged_on],
            [str(task.identity()) for task in judged_on],
            network=_network(first, models[0]),
            packings=self._packings,
        )
        flat = torch.stack([flatten(model) for model in models])
        tier = tier_named("loop" if subjects[0].tier == "loop" else "vmap")
        found = judge(stacked, flat, tier, [spec for _, spec in evaluated])
        seconds = (time.monotonic() - begun) / len(subjects)
        findings = []
        for one, scalars in zip(evaluated, found, strict=True):
            what = "task's metric was" if scalars.get("finite") else "outputs were"
            reasons = {name: f"the {what} not finite" for name, v in scalars.items() if v != v}
            empty = unknown_finding(*one)
            findings.append(replace(empty, scalars=scalars, reasons=reasons, seconds=seconds))
        _sound(Answer(findings=tuple(findings)))
        return findings

    def _analyse(self, asked: Sequence[Asked], guard: Guard) -> list[FindingResult]:
        """One analysis of networks; what is forbidden, or not storable, is made again alone."""
        first = asked[0]
        name = first.measure.analysis.name
        suspects, made_by = self._suspects(first.subject.cell, name), self._digest("analysis", name)
        try:
            with guard.calling(suspects):
                outcomes = measure_all(self.registry, asked)
                if len(asked) == 1 and isinstance(raised := outcomes[0].said, Exception):
                    raise raised
                pairs = zip(asked, outcomes, strict=True)
                found = [analysed_finding(*pair, suspects, made_by) for pair in pairs]
                _sound(Answer(findings=tuple(found)))
                return found
        except Exception as error:  # whatever a plugin raises
            if len(asked) == 1:
                return [analysed_finding(first, Outcome(error, 0.0), suspects, made_by)]
        return [found for one in asked for found in self._analyse([one], guard)]


def _network(cell: Cell, model: SequenceModel) -> str:
    """What networks share that do the same operations: those of a stack in training do."""
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    return str([cell.architecture.identity(), cell.task.name, shapes])


def _sound(bundle: Answer) -> Answer:
    """The bundle, if it can be sent and stored; what a plugin made may be neither.

    Raises:
        PluginError: it holds what no message can say.
    """
    encode(bundle)
    return bundle


def _rehearse(job: PlanJob) -> Answer:
    """Plan a study and forget the plan; what it raises, the coordinator meets again and reports."""
    os.chdir(job.folder)
    with contextlib.suppress(Exception):
        study = Path(job.study) if isinstance(job.study, str) else job.study
        plan = plan_study(study, announce=_announce)
        digests = {path: d for file in plan.registry.loose for path, d in file.digests.items()}
        if job.measured:
            return Answer(scalars=undeclared_scalars(plan), digests=digests)
        return Answer(scalars=dict.fromkeys(sorted(plan.scalars.open), ()), digests=digests)
    return Answer()


def _announce(what: str) -> None:
    print(f"{CALLING}{what}", flush=True)


def _weights(model: SequenceModel, flat: Tensor) -> bytes:
    """The model's whole state as safetensors, with the parameters of the flat row `flat`."""
    named = dict(model.named_parameters())
    parts = torch.split(flat, [value.numel() for value in named.values()])
    tensors = {
        name: part.view(value.shape)
        for (name, value), part in zip(named.items(), parts, strict=True)
    }
    tensors = {**model.state_dict(), **tensors}
    return save({name: value.clone() for name, value in tensors.items()})
