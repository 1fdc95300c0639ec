"""The networks that are timed, and the studies that train them."""

from __future__ import annotations

from dataclasses import dataclass

from emtkit import Registry
from emtkit.study.cells import Cell
from emtkit.study.plan import plan_study

DELAY, DENSITY = 5, 0.1


@dataclass(frozen=True)
class Case:
    """Elman networks of `hidden` units on `steps`, of which `input_steps` have input."""

    hidden: int
    steps: int
    batch: int
    input_steps: int
    channels: int

    @property
    def label(self) -> str:
        return f"H{self.hidden} T{self.steps} B{self.batch}"

    @property
    def operations(self) -> float:
        """Additions and multiplications of one iteration, biases and activations left out."""
        recur = 6 * self.batch * (self.steps - 1) * self.hidden**2
        outer = self.batch * self.hidden * self.channels
        scored = self.steps - self.input_steps or self.steps
        return recur + 4 * self.input_steps * outer + 6 * scored * outer


CASES = (
    Case(64, 48, 64, 8, 8),
    Case(128, 18, 64, 8, 8),
    Case(128, 108, 64, 8, 8),
    Case(16, 30, 128, 8, 8),
    Case(8, 20, 256, 20, 8),
    Case(4, 20, 256, 20, 4),
    Case(2, 20, 256, 20, 2),
)


def cells(case: Case, models: int, registry: Registry) -> list[Cell]:
    """`models` seeds of the case: a continued history, or delayed recall where all is driven."""
    if case.input_steps < case.steps:
        task: dict[str, object] = {
            "use": "hds",
            "rule": "repeat",
            "history": case.input_steps,
            "dimension": case.channels,
            "horizon": case.steps - case.input_steps,
        }
    else:
        task = {
            "use": "k_delay",
            "delay": DELAY,
            "steps": case.steps,
            "features": case.channels,
            "density": DENSITY,
            "scored": "all",
        }
    study = {
        "seeds": models,
        "training": {"steps": 50_000, "batch": case.batch, "lr": 1e-3, "clip": 1.0},
        "tasks": [task],
        "architectures": [{"use": "elman", "hidden": case.hidden}],
    }
    return [row.cell for row in plan_study(study, registry).rows]
