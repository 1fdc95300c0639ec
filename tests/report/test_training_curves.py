"""Learning curves: means of stored losses, scalars at snapshots, a line for every network."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emtkit
from emtkit import StudyError
from emtkit.report.data.training_curves import WINDOWS
from emtkit.study.plan import plan_study

CURVE = {"name": "learning", "use": "learning_curve", "x": "iteration", "hue": "training.lr"}


def study(**more: Any) -> dict[str, Any]:
    return {
        "seeds": 2,
        "training": {
            "steps": 130,
            "batch": 4,
            "snapshots": [0, 50, 130],
            "grid": {"lr": [0.1, 0.01]},
        },
        "tasks": [{"use": "k_delay", "delay": 2}],
        "architectures": [{"use": "linear_rnn", "hidden": 2}],
        "analyses": [{"use": "spectrum", "at": "snapshots", "label": "modes"}, "spectrum"],
        "figures": [{**CURVE, "y": ["train.loss", "modes.radius"]}],
        **more,
    }


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> emtkit.session.Session:
    place = tmp_path_factory.mktemp("curves")
    return emtkit.run(study(), store=place / "store.sqlite", out=place, jobs=1, quiet=True)


def test_curves_are_the_means_of_what_is_stored(session: Any) -> None:
    loss, radius = session.figure("learning").canvas.axes
    cells = {cell.training.lr: [] for cell in session.plan.cells.values()}
    for key, cell in session.plan.cells.items():
        cells[cell.training.lr].append(key)
    edges = np.unique(np.linspace(0, 130, WINDOWS + 1).round().astype(int))
    for rate, keys in cells.items():
        (line,) = [one for one in loss.lines if one.get_label() == f"{rate:g}"]
        histories = [session.history(key) for key in keys]
        assert all(len(one) == 130 for one in histories)
        means = [[h[a:b].mean() for a, b in pairwise(edges)] for h in histories]
        np.testing.assert_array_equal(line.get_xdata(), edges[1:])
        np.testing.assert_allclose(line.get_ydata(), np.mean(means, 0))
        tables = [session.tables_of(key, "modes")["over_training"] for key in keys]
        radii = [t[t["scalar"] == "radius"].sort_values("step") for t in tables]
        (line,) = [one for one in radius.lines if one.get_label() == f"{rate:g}"]
        np.testing.assert_array_equal(line.get_xdata(), [0, 50, 130])
        np.testing.assert_allclose(line.get_ydata(), np.mean([r["value"] for r in radii], 0))
    # beside the means, one thin line for each network
    assert len([one for one in loss.lines if one.get_lw() < 1]) == 4
    assert len([one for one in radius.lines if one.get_lw() < 1]) == 4


def test_networks_that_are_not_there_are_counted(tmp_path: Path) -> None:
    untrained = emtkit.load(study(), store=tmp_path / "none.sqlite", out=tmp_path)
    drawn = untrained.figure("learning")
    # the loss at one place, the radius at three snapshots, for two rates
    assert drawn.notes == ("8 of 8 not shown: not run",)


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ({"y": "test.loss"}, "'test.loss' has no value during training"),
        ({"y": "spectrum.radius"}, r"allowed: train.loss, modes.\*"),
        ({"y": "modes.radios"}, "did you mean 'radius'"),
        ({"y": "train.loss", "x": "step"}, "or iteration"),
        ({"y": "train.loss", "x": "step", "use": "line"}, "iteration"),
        ({"y": "train.loss", "hue": None}, "'training.lr' varies"),
    ],
)
def test_what_has_no_curve_is_told(figure: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        plan_study(study(figures=[{**CURVE, **figure}]))
