"""A training that grows goes on from where it ended, with the bits of one that never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emtkit.execute.continuation import continuations
from emtkit.execute.monitor import Quiet
from emtkit.execute.overview import overview
from emtkit.execute.run import Options, run
from emtkit.plugin.registry import Registry
from emtkit.store.store import Store
from emtkit.study.plan import Plan, plan_study
from tests.inline_engine import InlineEngine

LOSS_GATED = {"kind": "loss_gated", "start": 2, "max": 6, "factor": 1.1, "threshold": 0.5}
HDS = {"use": "hds", "rule": "repeat", "history": 2, "dimension": 2, "horizon": 6}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.installed()


def planned(registry: Registry, steps: int, task: Any = "k_delay", **training: Any) -> Plan:
    networks = [{"use": "linear_rnn", "hidden": 2}, {"use": "gru", "hidden": 3}]
    return plan_study(
        {
            "seeds": 2,
            "training": {"steps": steps, "batch": 4, "lr": 1e-2, **training},
            "evaluation": {"sequences": 16},
            "tasks": [task],
            "architectures": networks,
        },
        registry,
    )


def trained(plan: Plan, path: Path, **options: Any) -> dict[str, tuple[bytes, bytes]]:
    """Weights and losses of every cell, by its key."""
    with Store.open(path, writer=True) as store:
        run(
            plan.rows,
            plan.registry,
            store,
            InlineEngine(plan.registry),
            Quiet(),
            Options(**options),
        )
        return {
            key: (store.weights(key), store.history(key)["loss"].tobytes()) for key in plan.cells
        }


def told(plan: Plan, path: Path) -> tuple[int, dict[str, int]]:
    """How many cells go on, and how many begin anew by the reason."""
    with Store.open(path) as store:
        return continuations([*plan.cells.values()], store, plan.registry)


@pytest.mark.parametrize(
    ("task", "training"),
    [
        ("k_delay", {}),
        pytest.param(
            "k_delay",
            {"optimizer": {"kind": "sgd", "momentum": 0.9}, "clip": 0.5, "dtype": "float64"},
            marks=pytest.mark.slow,
        ),
        (HDS, {"curriculum": LOSS_GATED}),
    ],
)
def test_it_has_the_bits_of_a_training_in_one_go(
    task: Any, training: dict[str, Any], registry: Registry, tmp_path: Path
) -> None:
    short, long = (planned(registry, steps, task, **training) for steps in (30, 60))
    trained(short, tmp_path / "grown.sqlite")
    assert told(long, tmp_path / "grown.sqlite") == (4, {})
    grown = trained(long, tmp_path / "grown.sqlite")
    assert grown == trained(long, tmp_path / "whole.sqlite")
    # a third time, from the longest, and the interrupted half of it
    longer = planned(registry, 75, task, **training)
    cut = trained(longer, tmp_path / "grown.sqlite", segment=0.001)
    assert cut == trained(longer, tmp_path / "other.sqlite")


def test_it_goes_on_and_does_not_begin_again(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: with other numbers in the place of the stored ones, other weights come."""
    path = tmp_path / "s.sqlite"
    short, long = (planned(registry, steps) for steps in (30, 60))
    trained(short, path)
    history = Store.history
    monkeypatch.setattr(
        Store, "history", lambda self, key: {"loss": 0 * history(self, key)["loss"]}
    )
    trained(long, path)
    monkeypatch.undo()
    with Store.open(path) as store:
        for key in long.cells:
            losses = store.history(key)["loss"]
            assert not losses[:30].any()
            assert np.all(losses[30:] > 0)


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"schedule": "cosine"}, "schedule `cosine` depends on the whole number"),
        ({"schedule": {"kind": "step", "at": 0.5, "factor": 0.1}}, "schedule `step` depends"),
        ({"schedule": {"kind": "constant", "warmup": 0.1}}, "schedule `constant` depends"),
        ({"snapshots": [10]}, "snapshots at or before iteration 30"),
    ],
)
def test_elsewhere_it_begins_anew_and_the_plan_says_why(
    training: dict[str, Any], said: str, registry: Registry, tmp_path: Path
) -> None:
    path = tmp_path / "s.sqlite"
    trained(planned(registry, 30, **training), path)
    long = planned(registry, 60, **training)
    further, anew = told(long, path)
    ((reason, count),) = anew.items()
    assert (further, count) == (0, 4)
    assert said in reason
    assert trained(long, path) == trained(long, tmp_path / "whole.sqlite")


def test_a_schedule_that_has_not_changed_yet_goes_on(registry: Registry, tmp_path: Path) -> None:
    """Falling from the end on only: the rates of both are `lr` until then."""
    training = {"schedule": {"kind": "cosine", "from": 1.0}}
    path = tmp_path / "s.sqlite"
    trained(planned(registry, 30, **training), path)
    long = planned(registry, 60, **training)
    assert told(long, path) == (4, {})
    assert trained(long, path) == trained(long, tmp_path / "whole.sqlite")


def test_large_states_are_not_kept(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emtkit.execute.continuation.KEPT_BYTES", 100)
    trained(planned(registry, 30), tmp_path / "s.sqlite")
    assert told(planned(registry, 60), tmp_path / "s.sqlite") == (0, {})


def test_the_plan_prints_it(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    trained(planned(registry, 10), path)
    with Store.open(path) as store:
        lines = [*overview(planned(registry, 20), store, 1, {})]
    assert "of these, 4 cells go on from networks of fewer iterations" in lines
