"""The main job, run as a user runs it: the accepted results stand in its frame and its report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

STUDY = Path(__file__).parents[2] / "studies" / "superposition.yaml"
BY, EXACT = "superposition.relative_loss", "superposition.expected_loss"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder in which the whole study was run once."""
    place = tmp_path_factory.mktemp("superposition")
    _emtkit(place, "run", str(STUDY), "--quiet")
    _emtkit(place, "export", str(STUDY), "--out", "export")
    return place


@pytest.fixture(scope="module")
def frame(folder):
    return pd.read_csv(folder / "export" / "frame.csv")


def _emtkit(place, *arguments):
    command = [sys.executable, "-m", "emtkit"]
    done = subprocess.run(
        [*command, *arguments], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def best(frame, grid, **where):
    rows = frame[frame["grid"] == grid]
    for name, value in where.items():
        rows = rows[rows[f"task.{name}"] == value]
    by = EXACT if rows[EXACT].notna().all() else BY
    return rows.loc[rows[by].idxmin()]


@pytest.mark.slow
def test_every_cell_is_done(frame):
    assert set(frame["status"]) == {"done"}
    assert frame["test.finite"].all()


@pytest.mark.slow
def test_b9_the_report_states_each_regime_from_its_hidden_share(folder, frame):
    report = (folder / "results" / "superposition" / "report.md").read_text()
    for density in sorted(frame.loc[frame["grid"] == "ssm", "task.density"].unique()):
        row = best(frame, "ssm", density=density)
        share = row["superposition.hidden_share"]
        expected = "dense" if share < 0.35 else "sparse" if share >= 0.75 else "alternating"
        assert row["superposition.regime"] == expected
        # The first table that has such a line is the one of regimes.
        line = next(
            text for text in report.splitlines() if text.startswith(f"| 3 | {density:g} | ")
        )
        assert line.rstrip(" |").endswith(expected)
        assert " near)" in line
    figures = folder / "results" / "superposition" / "figures"
    assert (figures / "transition.svg").stat().st_size > 10_000


@pytest.mark.slow
def test_b3_the_jump_lies_between_two_densities_and_the_radius_falls_across_it(frame):
    above, below = best(frame, "ssm", density=0.5), best(frame, "ssm", density=0.45)
    assert above["superposition.regime"] == "dense"
    assert below["superposition.regime"] == "sparse"
    assert above["spectrum.radius"] - below["spectrum.radius"] > 0.1


@pytest.mark.slow
def test_b7_features_are_kept_all_or_none(frame):
    kept = [
        int(best(frame, "features", delay=delay)["superposition.represented"])
        for delay in (0, 1, 2, 4)
    ]
    assert kept[0] == 5
    assert kept[-1] == 1
    assert kept == sorted(kept, reverse=True)
    assert len(set(kept)) == 4


@pytest.mark.slow
def test_b8_theory_and_fresh_data_agree_for_every_linear_readout(frame):
    rows = frame[frame["grid"] == "linear"]
    off = rows[BY] - rows[EXACT]
    errors = np.abs(off / rows["superposition.relative_loss_error"])
    assert errors.max() < 4


@pytest.mark.slow
def test_b8_the_same_seeds_give_identical_numbers_again(folder, frame, tmp_path):
    part = ["--only", "grid=ssm,task.density=0.1"]
    _emtkit(tmp_path, "run", str(STUDY), "--quiet", "-j", "1", *part)
    _emtkit(tmp_path, "export", str(STUDY), "--out", "export", *part)
    again = pd.read_csv(tmp_path / "export" / "frame.csv").set_index("cell")
    before = frame.set_index("cell").loc[again.index, again.columns]
    pd.testing.assert_frame_equal(again, before, check_dtype=False, check_exact=True)
