"""Every error that a user may see: what was requested, what was found, where, what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


class EmtkitError(Exception):
    """An error that the command line prints without a traceback.

    `exit_code`: 2 usage or study, 3 plugin, 4 store (the whole list is in `docs/design.md`).
    """

    exit_code = 2


class PluginError(EmtkitError):
    """A plugin broke its contract: clashing names, wrong shapes, a hook that does not exist."""

    exit_code = 3


class StoreError(EmtkitError):
    """The store is locked by another run, damaged, or written by a newer emtkit."""

    exit_code = 4


class NotApplicable(Exception):
    """Raised by an analysis when only measuring can tell that it does not apply.

    The reason is stored as a finding and reaches the table.
    """


@dataclass(frozen=True, order=True)
class Place:
    """A place in a study file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One mistake: its place, the path in the file, what is wrong, and what to do."""

    place: Place
    path: str
    text: str
    hint: str = ""

    def __str__(self) -> str:
        head = f"{self.place} {self.path}".rstrip()
        return "\n  ".join(part for part in (f"{head}: {self.text}", self.hint) if part)


class StudyError(EmtkitError):
    """All the mistakes of one study file, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.place))
        super().__init__("\n".join(str(problem) for problem in self.problems))


OTHER_WORDS = {
    "batch": ("batch_size", "minibatch"),
    "clip": ("grad_clip", "gradient_clip", "max_grad_norm"),
    "density": ("sparsity", "probability"),
    "dimension": ("dim", "n_dims"),
    "features": ("inputs", "n_features", "input_size"),
    "heads": ("n_heads", "num_heads"),
    "hidden": ("hidden_size", "units", "neurons", "width", "d_model", "n_units"),
    "horizon": ("length", "output_length"),
    "lr": ("learning_rate", "rate", "step_size"),
    "optimizer": ("optimiser", "optim"),
    "schedule": ("scheduler", "lr_schedule"),
    "seeds": ("n_seeds", "runs", "repeats"),
    "steps": ("epochs", "iterations", "n_steps", "num_steps"),
    "weight_decay": ("l2", "wd", "regularization", "regularisation"),
}
"""Names that other tools have for what is written here."""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """The sentence that lists the allowed names and suggests one that is close or means it."""
    names = sorted(allowed)
    near = [one for one in names if name.lower() in OTHER_WORDS.get(one, ())]
    near = near or get_close_matches(name, names, n=1, cutoff=0.6)
    listed = ", ".join(names) if names else "nothing"
    return f"did you mean '{near[0]}'? allowed: {listed}" if near else f"allowed: {listed}"
