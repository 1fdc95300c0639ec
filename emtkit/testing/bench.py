"""What a plugin is tried with: tasks small enough to be quick, networks, subjects."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from random import Random
from typing import Any

import numpy as np
import torch

from emtkit.errors import EmtkitError, NotApplicable
from emtkit.plugin import params
from emtkit.plugin.analysis import Analysis, Findings, History, Subject
from emtkit.plugin.applies import Measuring, refusal
from emtkit.plugin.architecture import RecurrentModel, SequenceModel
from emtkit.plugin.comparison import Comparison
from emtkit.plugin.registry import Plugin, Registry
from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Batch, Task
from emtkit.testing import values
from emtkit.testing.probes import ProbeDelay, ProbeNetwork, ProbeRecall

DRAWS = 16
TRIES = 8
"""Tasks on which a network is tried, for an analysis to have something to say of it."""
LARGE = 1200
"""Numbers in one sequence (T times channels) from which on a task is too slow to be company."""


@dataclass(frozen=True)
class Case:
    """A task with its parameters, and one sequence of it."""

    task: Task
    parameters: Mapping[str, Any]
    batch: Batch

    @property
    def size(self) -> int:
        """How many numbers one sequence holds."""
        return self.batch.inputs.numel() + self.batch.targets.numel()

    @property
    def shapes(self) -> tuple[object, ...]:
        """What must agree in a stack."""
        return self.batch.inputs.shape, self.batch.targets.shape, self.batch.input_steps

    @property
    def scored_while_driven(self) -> bool:
        """Whether outputs are scored while input still arrives."""
        return bool(self.batch.mask[..., : self.batch.input_steps].any())

    def __str__(self) -> str:
        return spoken(self.task.name, self.parameters)


@dataclass(frozen=True)
class Pairing:
    """An architecture with its parameters, and a task that it accepts."""

    case: Case
    cls: type[SequenceModel]
    parameters: Mapping[str, Any]

    def network(self, seed: int = 0, dtype: torch.dtype = torch.float64) -> SequenceModel:
        """The untrained network of that seed, in evaluation mode."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.cls(self.case.task, **params.build_arguments(self.cls, self.parameters))
        return model.to(dtype).eval()

    def empty(self) -> SequenceModel:
        """A network to load weights into."""
        arguments = params.build_arguments(self.cls, self.parameters)
        return self.cls.empty(self.case.task, arguments).to(torch.float64).eval()

    def sample(self, batch: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Batch:
        """Sequences of the task."""
        return self.case.task.sample(batch, Stream(seed, "check", dtype=dtype))

    def __str__(self) -> str:
        return f"{spoken(self.cls.name, self.parameters)} on {self.case}"


class Company:
    """The installed plugins and the probes, in settings that are quick to try."""

    def __init__(self, registry: Registry, plugin: Plugin) -> None:
        probes = Registry.of(ProbeDelay, ProbeRecall, ProbeNetwork).all()
        known = [*registry.all(), plugin, *probes]
        self.registry = Registry({(p.kind, p.name): p for p in reversed(known)}.values())

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """Up to three settings of every task, its quickest ones, small tasks first."""
        found: list[Case] = []
        for cls in self.registry.tasks.values():
            own = sorted(quick(cls), key=lambda case: case.size)
            found += list({case.batch.inputs.shape: case for case in own}.values())[:3]
        return tuple(sorted(found, key=lambda case: case.size))

    def pairings(self, cls: type[SequenceModel]) -> list[Pairing]:
        """The tasks that `cls` accepts with its default parameters."""
        given = default_parameters(cls)
        fitting = [case for case in self.cases if why_not(cls, case, given) is None]
        return [Pairing(case, cls, given) for case in fitting]

    def smallest(self, cls: type[SequenceModel], analysis: Measuring) -> Iterator[Pairing]:
        """The tasks that `analysis` and `cls` accept, each with a small network if they can."""
        for case in self.cases:
            if refusal(analysis, type(case.task), cls) is not None:
                continue
            for given in (small_parameters(cls), default_parameters(cls)):
                if why_not(cls, case, given) is None:
                    yield Pairing(case, cls, given)
                    break


@dataclass(frozen=True, eq=False)
class TaskBench:
    """A task under test."""

    cls: type[Task]
    company: Company

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """The default setting, then the settings of random parameters that it does not refuse."""
        return tuple(islice(every_case(self.cls), 5))

    @property
    def default(self) -> Case:
        """The default setting."""
        return self.cases[0]

    def settings(self) -> Iterator[tuple[str, Task]]:
        """Every task of `cases`, and what it is."""
        return ((str(case), case.task) for case in self.cases)


@dataclass(frozen=True, eq=False)
class ModelBench:
    """An architecture under test."""

    cls: type[SequenceModel]
    company: Company

    @cached_property
    def pairings(self) -> tuple[Pairing, ...]:
        """One task of each kind that it accepts: first one with three input steps or more."""
        every = self.company.pairings(self.cls)
        telling = sorted(every, key=lambda pair: pair.case.batch.input_steps < 3)
        return tuple({type(pair.case.task): pair for pair in reversed(telling)}.values())[::-1]

    @property
    def main(self) -> Pairing:
        """The pairing that most rules use."""
        return self.pairings[0]

    @cached_property
    def others(self) -> tuple[Pairing, ...]:
        """Settings drawn from the annotations, on the main task; that they must run is a rule."""
        case, drawn = self.main.case, values.draws(self.cls, Random(5), DRAWS)
        pairs = (Pairing(case, self.cls, resolved(self.cls, given)) for given in drawn)
        fitting = (pair for pair in pairs if why_not(self.cls, case, pair.parameters) is None)
        return tuple(pair for pair in fitting if _runs(pair))

    @property
    def trains(self) -> bool:
        """Whether its main network says that there is anything to train."""
        return self.cls.trains(self.main.parameters)

    def settings(self) -> Iterator[tuple[str, SequenceModel]]:
        """The network of every pairing, and what it is."""
        return ((str(pair), pair.network()) for pair in self.pairings)


@dataclass(frozen=True, eq=False)
class AnalysisBench:
    """An analysis under test."""

    cls: type[Analysis]
    company: Company

    @cached_property
    def pairings(self) -> tuple[Pairing, ...]:
        """Up to four networks that it accepts, of different kinds, constructed ones first."""
        return accepted_by(self.cls, self.company)

    def analysis(self, given: Mapping[str, Any] | None = None) -> Analysis:
        """The analysis with parameters `given`, or its defaults, samples and the like reduced."""
        return self.cls(**arguments_of(self.cls, given))

    def subject(self, pair: Pairing) -> Subject:
        """The untrained network of `pair`, with a fresh stream."""
        return subject(self.cls, pair, pair.network())


@dataclass(frozen=True)
class Beside:
    """A comparison as an analysis of one network: it is compared with that of another seed."""

    bench: "ComparisonBench"
    comparison: Comparison[Any]

    def measure(self, subject: Subject) -> Findings:
        """Compare the network with one of its own kind."""
        pair = next(p for p in self.bench.pairings if p.case.task is subject.task)
        return self.comparison.measure(subject, self.bench.subject(pair, 1))


@dataclass(frozen=True, eq=False)
class ComparisonBench:
    """A comparison under test; it can be asked as an `AnalysisBench` is."""

    cls: type[Comparison[Any]]
    company: Company

    @cached_property
    def pairings(self) -> tuple[Pairing, ...]:
        """Up to four networks that it accepts, of different kinds, constructed ones first."""
        return accepted_by(self.cls, self.company)

    def comparison(self, given: Mapping[str, Any] | None = None) -> Comparison[Any]:
        """The comparison with parameters `given`, or its defaults, samples and the like reduced."""
        return self.cls(**arguments_of(self.cls, given))

    def analysis(self, given: Mapping[str, Any] | None = None) -> Beside:
        """The same of one network."""
        return Beside(self, self.comparison(given))

    def subject(self, pair: Pairing, seed: int = 0) -> Subject:
        """The untrained network of `pair` and this seed, with a fresh stream."""
        return self.subject_of(pair, pair.network(seed))

    def subject_of(self, pair: Pairing, model: SequenceModel) -> Subject:
        """Another network in its place."""
        return subject(self.cls, pair, model)


def accepted_by(cls: Measuring, company: Company) -> tuple[Pairing, ...]:
    """Up to four networks that an analysis accepts, of different kinds, constructed ones first.

    Each on the first of a few tasks of which measuring does not show that it does not apply.
    """
    models = company.registry.architectures.values()
    every = [list(islice(company.smallest(model, cls), TRIES)) for model in models]
    kinds: dict[bool, list[list[Pairing]]] = {False: [], True: []}
    for pairs in filter(None, every):
        kinds[pairs[0].cls.trains(pairs[0].parameters)].append(pairs)
    chosen = [*kinds[False][:2], *kinds[True]][:4]
    return tuple(_measured(cls, pairs) for pairs in chosen)


def _measured(cls: Measuring, pairs: Sequence[Pairing]) -> Pairing:
    """The first that is measured, or fails otherwise, which is for the rules to find."""
    if issubclass(cls, Analysis):
        for pair in pairs:
            try:
                cls(**arguments_of(cls, None)).measure(subject(cls, pair, pair.network()))
            except NotApplicable:
                continue
            except Exception:
                return pair
            return pair
    return pairs[0]


def arguments_of(cls: type, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """What builds `cls` with parameters `given`, or with its defaults, reduced."""
    parameters = small_parameters(cls) if given is None else resolved(cls, given)
    return params.build_arguments(cls, parameters)


def subject(cls: Measuring, pair: Pairing, model: SequenceModel) -> Subject:
    """`model` as the core would hand it to an analysis or a comparison."""
    model = copy.deepcopy(model).requires_grad_(False).eval()
    history = History(np.zeros(0), 0, "loop")
    family = "comparison" if issubclass(cls, Comparison) else "analysis"
    stream = Stream(None, f"{family}/{cls.name}", dtype=torch.float64)
    return Subject(pair.case.task, model, pair.parameters, history, stream)


def default_parameters(cls: type) -> dict[str, Any]:
    """The defaults of `cls`, and some valid value where there is none.

    Raises:
        EmtkitError: the defaults break the plugin's own annotations.
    """
    return resolved(cls, values.required(cls, Random(0)))


def small_parameters(cls: type) -> dict[str, Any]:
    """The defaults of `cls` with every integer above 32 divided by 8, where that is allowed."""
    given = default_parameters(cls)
    large = {k: v // 8 for k, v in given.items() if type(v) is int and v > 32}
    answer = params.resolve(cls, {**given, **large})
    return given if answer.mistakes else dict(answer.values)


def resolved(cls: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with the defaults filled in.

    Raises:
        EmtkitError: they break the plugin's own annotations.
    """
    answer = params.resolve(cls, given)
    if answer.mistakes:
        raise EmtkitError("; ".join(f"{m.text} ({m.hint})" for m in answer.mistakes))
    return dict(answer.values)


def build_case(cls: type[Task], given: Mapping[str, Any]) -> Case | None:
    """The task with these parameters, or None where it refuses them as a plan would see it."""
    parameters = resolved(cls, given)
    try:
        task = cls(**params.build_arguments(cls, parameters))
    except (ValueError, EmtkitError):
        return None
    batch = task.sample(1, Stream(0, "shapes", dtype=torch.float64))
    return Case(task, parameters, batch)


def try_case(cls: type[Task], given: Mapping[str, Any]) -> Case | None:
    """`build_case`, or None where the task raises anything: the rule on parameters reports that."""
    try:
        return build_case(cls, given)
    except Exception:
        return None


def every_case(cls: type[Task]) -> Iterator[Case]:
    """The default setting first, then random ones, refused ones left out."""
    default = build_case(cls, values.required(cls, Random(0)))
    drawn = (try_case(cls, given) for given in values.draws(cls, Random(0), DRAWS))
    yield from (case for case in (default, *drawn) if case is not None)


def quick(cls: type[Task]) -> Iterator[Case]:
    """Settings of a task that may serve as company; a task that breaks gives none."""
    try:
        for case in every_case(cls):
            if case.size <= LARGE:
                yield case
    except Exception:  # a broken neighbour is reported by its own check
        return


def why_not(cls: type[SequenceModel], case: Case, parameters: Mapping[str, Any]) -> str | None:
    """None, or why this architecture does not apply to this task, as a plan would say it."""
    try:
        reason = cls.accepts(case.task, parameters)
    except Exception as error:  # reported by the rule about `accepts`
        return str(error) or type(error).__name__
    if reason is None and issubclass(cls, RecurrentModel) and cls.encodes():
        return "outputs are scored while input arrives" if case.scored_while_driven else None
    return reason


def _runs(pair: Pairing) -> bool:
    """Whether the setting can be built and run."""
    batch = pair.sample(1)
    try:
        pair.network().trace(batch.inputs[:, : batch.input_steps], batch.steps)
    except Exception:  # whatever a plugin raises
        return False
    return True


def spoken(name: str, parameters: Mapping[str, Any]) -> str:
    """A plugin with its parameters in one line."""
    inside = ", ".join(f"{key}={value!r}" for key, value in parameters.items())
    return f"{name}({inside})"
