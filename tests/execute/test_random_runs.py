"""Runs of random study files: whole, cut short, in parts that are merged, with a plugin edited.

Every stored byte of networks, findings and evaluations must be the one that a run in one go
stores. hypothesis shrinks what is not to the least study; the draws are those of `SEED`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, note, seed
from hypothesis import settings as examples
from hypothesis import strategies as st

from emtkit.execute.monitor import Counts, Monitor, Quiet
from emtkit.execute.run import Options, run
from emtkit.store.maintenance import merge
from emtkit.store.store import Store
from emtkit.study.plan import Plan, plan_study
from tests.faults.bench import contents
from tests.inline_engine import InlineEngine
from tests.train.test_bits import CURRICULA, DTYPES, OPTIMISERS, SCHEDULES, SEARCH, SEED, STUDIES

PLUGIN = '''"""A network of a study's author."""

import torch
from emtkit import hookimpl
from emtkit_std.architectures.elman import Elman


class Loose(Elman):
    """h_t = sigmoid({slope} h_{{t-1}} W_hh' + u_t W_uh' + b)."""

    name = "loose"
    kernel = None

    def step(self, state, inputs):
        return torch.sigmoid({slope} * super().step(state, inputs))


@hookimpl
def emtkit_architectures():
    return [Loose]
'''
NETWORKS = ["attention", "diagonal_ssm", "elman", "gru", "irnn", "linear_rnn", "wave_rnn", "loose"]
EVEN = ("attention", "diagonal_ssm")
"""Networks whose width the heads, or pairs of units, divide."""


@dataclass(frozen=True)
class Drawn:
    """A study file's content, and the seed of how its runs are cut."""

    study: dict[str, Any]
    cuts: int


@st.composite
def studies(draw: st.DrawFn) -> Drawn:
    task = draw(
        st.sampled_from(
            [
                {"use": "k_delay", "delay": 2, "steps": 6, "grid": {"density": [0.5, 0.3]}},
                {"use": "hds", "history": 2, "dimension": 2, "horizon": 9,
                 "grid": {"rule": ["repeat", "diagonal"]}},
                {"use": "hds", "rule": "repeat", "history": 3, "dimension": 1, "horizon": 8},
            ]
        )
    )  # fmt: skip
    name, units = draw(st.sampled_from(NETWORKS)), draw(st.integers(2, 7))
    network = {"use": name, "hidden": 2 * units if name in EVEN else units}
    if name == "wave_rnn":
        network = {"use": name, "sites": 2 * units}
    training: dict[str, Any] = {
        "steps": draw(st.integers(1, 6)),
        "batch": draw(st.integers(1, 40)),
        "dtype": draw(st.sampled_from(DTYPES)),
        "optimizer": draw(st.sampled_from(OPTIMISERS)),
        "curriculum": draw(st.sampled_from(CURRICULA if task["use"] == "hds" else ["none"])),
        "snapshots": draw(st.sampled_from([[], [0, 1]])),
    }
    pairs = draw(st.lists(st.sampled_from(range(len(SCHEDULES))), max_size=3, unique=True))
    if pairs:
        schedules = [SCHEDULES[one] for one in pairs]
        training["zip"] = {"lr": [1e-2 * (1 + one) for one in pairs], "schedule": schedules}
    study = {
        "plugins": ["./mine.py"],
        "tasks": [task],
        "architectures": [network],
        "training": training,
        "seeds": draw(st.integers(1, 3)),
        "evaluation": {"sequences": 7},
        "analyses": draw(st.sampled_from([[], ["spectrum"], ["history_decoding"]])),
    }
    return Drawn(study, draw(st.integers(0, 99)))


class Interrupter(Monitor):
    """Ends a run at its nth report, as Ctrl-C does."""

    def __init__(self, after: int) -> None:
        self.left = after

    def update(self, counts: Counts, last: bool) -> None:
        self.left -= 1
        if self.left < 0 and not last:
            raise KeyboardInterrupt


def go(plan: Plan, rows: list[Any], path: Path, monitor: Monitor) -> bool:
    """Run these rows in segments of an iteration; whether they came to their end."""
    with Store.open(path, writer=True) as store:
        try:
            engine = InlineEngine(plan.registry)
            run(rows, plan.registry, store, engine, monitor, Options(segment=0))
        except KeyboardInterrupt:
            return False
    return True


def in_pieces(plan: Plan, path: Path, chance: Random) -> None:
    """Run and interrupt, until all is there."""
    while not go(plan, list(plan.rows), path, Interrupter(chance.randint(1, 9))):
        pass


def whole(plan: Plan, path: Path) -> dict[str, object]:
    """What a run in one go stores."""
    with Store.open(path, writer=True) as store:
        run(plan.rows, plan.registry, store, InlineEngine(plan.registry), Quiet(), Options())
    return contents(path, list(plan.rows))


def search(drawn: Drawn, folder: Path) -> None:
    """Run a study in every way, and hold each to the run in one go."""
    chance = Random(drawn.cuts)
    file, plugin = folder / "study.yaml", folder / "mine.py"
    file.write_text(json.dumps(drawn.study))  # JSON is YAML
    note(file.read_text())
    plugin.write_text(PLUGIN.format(slope="1.0"))
    plan = plan_study(file)
    rows = list(plan.rows)
    expected = whole(plan, folder / "whole.sqlite")

    in_pieces(plan, folder / "pieces.sqlite", chance)
    assert contents(folder / "pieces.sqlite", rows) == expected, "interrupted"

    chance.shuffle(rows)
    cut = chance.randint(0, len(rows) - 1)
    parts = [rows[: cut + 1], rows[cut:]]
    stores = [folder / f"part{number}.sqlite" for number in range(2)]
    for part, path in zip(parts, stores, strict=True):
        assert go(plan, part, path, Quiet())
    assert not merge(*stores).conflicts, "merged"
    assert contents(stores[0], list(plan.rows)) == expected, "merged"

    edited = folder / "edited.sqlite"
    go(plan, list(plan.rows), edited, Interrupter(chance.randint(1, 9)))
    with Store.open(edited) as store:
        done = store.cells_of(row.cell.key for row in plan.rows)
        ended = {key for key, cell in done.items() if cell.status == "done"}
    plugin.write_text(PLUGIN.format(slope="0.5"))
    later = plan_study(file)
    in_pieces(later, edited, chance)
    anew = whole(later, folder / "anew.sqlite")
    ours = [row for row in later.rows if row.cell.key not in ended]
    keys = {key for row in ours for key in (row.cell.key, row.evaluation_spec.key)}
    found = contents(edited, list(later.rows))
    assert {k: found[k] for k in keys} == {k: anew[k] for k in keys}, "edited"
    if drawn.study["architectures"][0]["use"] == "loose":
        assert all(anew[row.cell.key] != expected[row.cell.key] for row in later.rows)


@seed(SEED)
@examples(SEARCH, max_examples=2)
@given(studies())
def test_two_random_runs_store_the_same_bytes(drawn: Drawn) -> None:
    with TemporaryDirectory() as folder:
        search(drawn, Path(folder))


@pytest.mark.slow
@seed(SEED + 1)
@examples(SEARCH, max_examples=max(1, STUDIES // 10))
@given(studies())
def test_many_random_runs_store_the_same_bytes(drawn: Drawn) -> None:
    with TemporaryDirectory() as folder:
        search(drawn, Path(folder))
