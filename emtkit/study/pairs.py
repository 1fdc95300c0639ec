"""Which networks apply to which tasks, and which analyses to which networks, and why not."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from emtkit.errors import EmtkitError, NotApplicable, PluginError
from emtkit.plugin import params
from emtkit.plugin.analysis import Analysis
from emtkit.plugin.applies import Measuring, refusal, unanswered
from emtkit.plugin.architecture import RecurrentModel, SequenceModel
from emtkit.plugin.comparison import Comparison
from emtkit.plugin.guard import Guard
from emtkit.plugin.task import Task
from emtkit.study import memory
from emtkit.study.checked import Problems
from emtkit.study.resolve import Setting

K = TypeVar("K")


@dataclass(frozen=True)
class Pair:
    """A task and an architecture: whether they go together, and whether there is training."""

    task: Task
    reason: str | None
    trains: bool
    large: int = 0
    """Numbers in its weights, where they may be too many for this machine."""


class Pairs:
    """Asks each distinct pair of settings once; a task is built once per setting of its own."""

    def __init__(self, problems: Problems, announce: Callable[[str], None] | None = None) -> None:
        self._problems = problems
        self._guard = Guard(announce)
        self._limit = memory.memory_limit()
        self._tasks: dict[str, Task | None] = {}
        self._driven: dict[str, bool] = {}
        self._pairs: dict[tuple[str, str], Pair | None] = {}
        self._answers: dict[tuple[Measuring, str], str | None] = {}
        self._refusals: dict[tuple[Measuring, type, type], str | None] = {}

    def pair(self, task: Setting, architecture: Setting) -> Pair | None:
        """The pair, or None where the task refuses its parameters (which is then a problem)."""
        key = (task.key, architecture.key)
        if key not in self._pairs:
            self._pairs[key] = self._ask(task, architecture)
        return self._pairs[key]

    def refusal(self, analysis: Setting, task: Setting, architecture: Setting) -> str | None:
        """None, or why `analysis` cannot measure this kind of network on this kind of task."""
        kinds = _cls(task, Task), _cls(architecture, SequenceModel)
        classes = (_measuring(analysis), *kinds)
        if classes not in self._refusals:
            self._refusals[classes] = refusal(*classes)
        return self._refusals[classes] or self._unanswered(analysis, task)

    def _unanswered(self, analysis: Setting, task: Setting) -> str | None:
        """Whether this setting of the task has the facts of its kind."""
        key = (_measuring(analysis), task.key)
        if key not in self._answers:
            built = self._built(task)
            with self._calling(task, "answer `facts`"):
                self._answers[key] = None if built is None else unanswered(key[0], built)
        return self._answers[key]

    def _ask(self, task: Setting, architecture: Setting) -> Pair | None:
        built = self._built(task)
        if built is None:
            return None
        model = _cls(architecture, SequenceModel)
        parameters: Mapping[str, object] = architecture.config.parameters
        with self._calling(architecture, "answer `accepts` and `trains`"):
            trains = model.trains(parameters)
            try:
                reason = model.accepts(built, parameters)
            except NotApplicable as error:  # a fact of the task, but not with these values
                reason = str(error)
        encodes = reason is None and issubclass(model, RecurrentModel) and model.encodes()
        if encodes and self._scores_while_driven(task, built):
            reason = (
                f"{architecture.config.name} is set from the whole driven phase at once; "
                f"{task.config.name} scores steps inside it"
            )
        if architecture.weights and reason is None:
            self._check_weights(built, architecture)
        large = 0
        if reason is None:
            with self._calling(architecture, "be counted"):
                large = memory.large_network(model, built, parameters, self._limit)
        return Pair(built, reason, trains and not architecture.weights, large)

    def _check_weights(self, task: Task, architecture: Setting) -> None:
        """The given weights are those of this architecture for this task."""
        from safetensors.torch import load

        from emtkit.study.recognised import fill

        model = _cls(architecture, SequenceModel)
        arguments = params.build_arguments(model, architecture.config.parameters)
        with self._calling(architecture, "be built"):
            network = model(task, **arguments)
        for given in architecture.weights:
            try:
                fill(network, task, load(given.data))
            except EmtkitError as error:
                text = f"{given.file}: {error}"
                hint = "name its weights (`checkpoint: {files: ..., map: ...}`), change its "
                hint += "parameters, or leave this pair out with `exclude`"
                self._problems.say((*architecture.entry.path, "checkpoint"), text, hint)

    def _built(self, task: Setting) -> Task | None:
        if task.key not in self._tasks:
            self._tasks[task.key] = None
            kind = _cls(task, Task)
            arguments = params.build_arguments(kind, task.config.parameters)
            with self._calling(task, "be built"):
                try:
                    self._tasks[task.key] = kind(**arguments)
                except (ValueError, EmtkitError) as error:
                    given = f" ({task.spoken})" if task.spoken else ""
                    text = f"{task.config.name} refuses its parameters{given}: {error}"
                    self._problems.say(task.entry.path, text, "change them or leave them out")
        return self._tasks[task.key]

    def _scores_while_driven(self, setting: Setting, task: Task) -> bool:
        """Whether the mask of `task` is on while input still comes; one sequence tells."""
        from emtkit.plugin.stream import Stream

        if setting.key not in self._driven:
            with self._calling(setting, "be sampled"):
                batch = task.sample(1, Stream(None, "plan"))
            self._driven[setting.key] = bool(batch.mask[: batch.input_steps].any())
        return self._driven[setting.key]

    @contextmanager
    def _calling(self, setting: Setting, what: str) -> Iterator[None]:
        """Code of a plugin, whose bug is reported as such, with its owner."""
        plugin = setting.plugin
        spelled = f"{plugin.kind} '{plugin.name}' of {plugin.owner} could not {what}"
        try:
            with self._guard.calling(spelled):
                yield
        except Exception as error:
            why = f"({type(error).__name__}: {error})"
            raise PluginError(f"{spelled} {why}; tell its author") from error


def _cls(setting: Setting, kind: type[K]) -> type[K]:
    assert issubclass(setting.plugin.cls, kind)
    return setting.plugin.cls


def _measuring(setting: Setting) -> Measuring:
    cls = setting.plugin.cls
    assert issubclass(cls, Analysis | Comparison)
    return cls
