"""The scalar columns of a plan, and what they mean: what is declared, and what may be asked for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from emtkit.errors import did_you_mean
from emtkit.plugin.applies import Measuring
from emtkit.plugin.registry import Registry
from emtkit.plugin.scalars import ScalarInfo, Scalars, info_of
from emtkit.plugin.task import Task
from emtkit.study.cells import Row
from emtkit.study.wanted import label_and_scalar

TRAIN: Scalars = {
    "loss": ScalarInfo("mean training loss over the last tenth of the iterations", better="lower",
                       undefined="for networks without training"),
    "steps": ScalarInfo("iterations that were trained"),
    "parameters": ScalarInfo("number of trainable parameters"),
}  # fmt: skip
SOLVED: Scalars = {
    "solved": ScalarInfo("whether the condition `training.solved` was met"),
    "solved_at": ScalarInfo("first iteration that met `training.solved`", better="lower",
                            undefined="where none did"),
}  # fmt: skip
TEST: Scalars = {
    "loss": ScalarInfo("loss on the evaluation sequences", better="lower"),
    "finite": ScalarInfo("whether every output was a finite number"),
}

ELSEWHERE_HINT = "write `evaluation: {elsewhere: [{name: longer, task: {...}}]}`"
UNSAID = ScalarInfo("its plugin does not say what it means")


@dataclass(frozen=True)
class ScalarColumns:
    """Declared scalars by the prefix of their columns (`train`, `test`, labels of analyses).

    A prefix in `open` belongs to a plugin that does not say what it finds: any name may be one.
    """

    declared: Mapping[str, Scalars]
    open: frozenset[str]

    @classmethod
    def of(
        cls,
        rows: Sequence[Row],
        registry: Registry,
        labelled: Mapping[str, Measuring],
        found: Mapping[str, Iterable[str]],
    ) -> "ScalarColumns":
        """Of the rows of a plan, and of what measures or compares them (plugins by label).

        `found` are names by prefix where plugins declare none: metrics under `test`.
        """
        tasks = [registry.tasks[name] for name in sorted({row.cell.task.name for row in rows})]
        scalars = {"test": {name: info for task in tasks for name, info in task.scalars.items()}}
        unsaid = {"test"} if any(_is_silent(task) for task in tasks) else set()
        for label, measuring in labelled.items():
            scalars[label] = dict(measuring.scalars)
            unsaid |= set() if scalars[label] else {label}
        for prefix in unsaid & found.keys():
            scalars[prefix] |= {name: UNSAID for name in found[prefix]}
        windows = sorted({at for row in rows for at in row.evaluation_spec.at})
        fixed = {**_with_error("loss", TEST["loss"]), **TEST}
        elsewhere = {one.label for row in rows for one in row.elsewhere}
        for label in elsewhere:
            scalars[label] = {**dict(_evaluated(scalars["test"], ())), **fixed}
        scalars["test"] = {**dict(_evaluated(scalars["test"], windows)), **fixed}
        solved = any(row.cell.training.solved is not None for row in rows)
        scalars["train"] = {**TRAIN, **(SOLVED if solved else {})}
        unknown = unsaid - found.keys()
        return cls(scalars, frozenset(unknown | (elsewhere if "test" in unknown else set())))

    def info(self, column: str) -> ScalarInfo | None:
        """What a column means, where that is declared."""
        prefix, name = label_and_scalar(column.removeprefix("other.").removeprefix("apart."))
        return info_of(self.declared.get(prefix, {}), name)

    def mistake(self, column: str) -> tuple[str, str] | None:
        """What is wrong with asking for a column of these prefixes and what to do, or None."""
        prefix, name = label_and_scalar(column)
        if prefix.startswith("test.") and prefix not in self.declared:
            there = [label for label in self.declared if label.startswith("test.")]
            text = f"no evaluation elsewhere is named '{prefix.removeprefix('test.')}'"
            return text, did_you_mean(prefix, there) if there else ELSEWHERE_HINT
        if prefix in self.open or prefix not in self.declared or self.info(column) is not None:
            return None
        if prefix == "train" and name in SOLVED:
            return f"no network has '{column}'", "set the condition `training.solved`"
        return f"'{prefix}' has no scalar '{name}'", did_you_mean(name, self.declared[prefix])


def _evaluated(metrics: Scalars, windows: Sequence[int]) -> Iterable[tuple[str, ScalarInfo]]:
    for name, info in metrics.items():
        yield from _with_error(name, info).items()
        for at in windows:
            around = replace(info, meaning=f"{info.meaning}, around scored step {at}")
            yield from _with_error(f"{name}_at_{at}", around).items()


def _with_error(name: str, info: ScalarInfo) -> Scalars:
    error = ScalarInfo(f"standard error of `{name}`, by the spread of the sequences", info.unit)
    return {name: info, f"{name}_error": error}


def _is_silent(task: type[Task]) -> bool:
    """Whether a task has metrics and does not say which."""
    return not task.scalars and task.metrics is not Task.metrics
