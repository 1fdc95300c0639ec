"""Which networks apply to which tasks, and which analyses to which networks, and why not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from emtkit.errors import EmtkitError, NotApplicable, PluginError
from emtkit.plugin import params
from emtkit.plugin.analysis import Analysis, refusal
from emtkit.plugin.architecture import RecurrentModel, SequenceModel
from emtkit.plugin.guard import Guard
from emtkit.plugin.task import Task
from emtkit.study.checked import Problems
from emtkit.study.resolve import Setting


@dataclass(frozen=True)
class Pair:
    """A task and an architecture: whether they go together, and whether there is training."""

    task: Task
    reason: str | None
    trains: bool


class Pairs:
    """Asks each distinct pair of settings once; a task is built once per setting of its own."""

    def __init__(self, problems: Problems, announce: Callable[[str], None] | None = None) -> None:
        self._problems = problems
        self._guard = Guard(announce)
        self._tasks: dict[str, Task | None] = {}
        self._driven: dict[str, bool] = {}
        self._pairs: dict[tuple[str, str], Pair | None] = {}
        self._refusals: dict[tuple[type, type, type], str | None] = {}

    def pair(self, task: Setting, architecture: Setting) -> Pair | None:
        """The pair, or None where the task refuses its parameters (which is then a problem)."""
        key = (task.key, architecture.key)
        if key not in self._pairs:
            self._pairs[key] = self._ask(task, architecture)
        return self._pairs[key]

    def refusal(self, analysis: Setting, task: Setting, architecture: Setting) -> str | None:
        """None, or why `analysis` cannot measure this kind of network on this kind of task."""
        classes = (_analysis(analysis), _task(task), _architecture(architecture))
        if classes not in self._refusals:
            self._refusals[classes] = refusal(*classes)
        return self._refusals[classes]

    def _ask(self, task: Setting, architecture: Setting) -> Pair | None:
        built = self._built(task)
        if built is None:
            return None
        model = _architecture(architecture)
        parameters: Mapping[str, object] = architecture.config.parameters
        what = "answer `accepts` and `trains`"
        try:
            with self._guard.calling(_spelled(architecture, what)):
                trains = model.trains(parameters)
                try:
                    reason = model.accepts(built, parameters)
                except NotApplicable as error:  # a fact of the task, but not with these values
                    reason = str(error)
        except Exception as error:  # a plugin's bug is reported as such, with its owner
            raise _broke(architecture, what, error) from error
        if reason is None and issubclass(model, RecurrentModel) and model.encodes():
            reason = self._encoding_refusal(task, architecture, built)
        return Pair(built, reason, trains)

    def _encoding_refusal(self, task: Setting, model: Setting, built: Task) -> str | None:
        if task.key not in self._driven:
            self._driven[task.key] = self._scores_while_driven(task, built)
        if not self._driven[task.key]:
            return None
        return (
            f"{model.config.name} is set from the whole driven phase at once; "
            f"{task.config.name} scores steps inside it"
        )

    def _built(self, task: Setting) -> Task | None:
        if task.key not in self._tasks:
            self._tasks[task.key] = None
            arguments = params.build_arguments(_task(task), task.config.parameters)
            try:
                with self._guard.calling(_spelled(task, "be built")):
                    self._tasks[task.key] = _task(task)(**arguments)
            except (ValueError, EmtkitError) as error:
                given = f" ({task.spoken})" if task.spoken else ""
                text = f"{task.config.name} refuses its parameters{given}: {error}"
                self._problems.say(task.entry.path, text, "change them or leave them out")
            except Exception as error:
                raise _broke(task, "be built", error) from error
        return self._tasks[task.key]

    def _scores_while_driven(self, setting: Setting, task: Task) -> bool:
        """Whether the mask of `task` is on while input still comes; one sequence tells."""
        from emtkit.plugin.stream import Stream

        try:
            with self._guard.calling(_spelled(setting, "be sampled")):
                batch = task.sample(1, Stream(None, "plan"))
        except Exception as error:
            raise _broke(setting, "be sampled", error) from error
        return bool(batch.mask[: batch.input_steps].any())


def _spelled(setting: Setting, what: str) -> str:
    plugin = setting.plugin
    return f"{plugin.kind} '{plugin.name}' of {plugin.owner} could not {what}"


def _broke(setting: Setting, what: str, error: Exception) -> PluginError:
    return PluginError(
        f"{_spelled(setting, what)} ({type(error).__name__}: {error}); tell its author"
    )


def _task(setting: Setting) -> type[Task]:
    assert issubclass(setting.plugin.cls, Task)
    return setting.plugin.cls


def _architecture(setting: Setting) -> type[SequenceModel]:
    assert issubclass(setting.plugin.cls, SequenceModel)
    return setting.plugin.cls


def _analysis(setting: Setting) -> type[Analysis]:
    assert issubclass(setting.plugin.cls, Analysis)
    return setting.plugin.cls
