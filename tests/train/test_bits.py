"""A row's bits, searched for what could change them: random studies, packings, interruptions.

Every study is trained in six ways; all bytes of every row (weights, moments, losses, curriculum,
snapshots) and every number of its evaluation must agree. hypothesis shrinks what does not to the
least study. The draws are those of `SEED`; another number searches elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

import pytest
import torch
from hypothesis import HealthCheck, assume, given, note, seed, settings
from hypothesis import strategies as st

from emtkit import Registry
from emtkit.methods.optimisers.base import Optimiser
from emtkit.plugin import params
from emtkit.study.cells import Cell, PluginConfig, cell_key, evaluation_spec
from emtkit.study.settings import Evaluation, Training
from emtkit.train.evaluate import judge
from emtkit.train.grouping import group, tier_named
from emtkit.train.row_state import RowState
from emtkit.train.stack import stack
from emtkit.train.trainer import Trainer
from tests.train import awkward

SEED = int(os.environ.get("EMTKIT_SEARCH_SEED", "0"))
STUDIES = int(os.environ.get("EMTKIT_SEARCH_STUDIES", "500"))

# small settings of each task by parameters that leave the shapes alone
TASKS: dict[str, list[dict[str, object]]] = {
    "k_delay": [{"delay": 2, "density": d, "steps": 6} for d in (0.5, 0.3, 1.0)],
    "hds": [
        {"rule": r, "history": 3, "dimension": 2, "horizon": 12}
        for r in ("repeat", "diagonal", "signed")
    ],
    "copy": [{"shortest": n, "longest": 3, "dimension": 2} for n in (1, 2, 3)],
    "awkward_task": [{"gain": g} for g in (1.0, 0.5, 2.0)],
}
GATED = {"kind": "loss_gated", "start": 2, "factor": 1.5}
CURRICULA = [
    "none",
    *({**GATED, "threshold": t, "average": a} for t in (0.5, 1.0, 2.0) for a in (0.0, 0.5)),
    *({"kind": "staged", "stages": (2, 5, 11), "above": a} for a in (0.4, 0.6)),
]
SCHEDULES = [
    "constant",
    {"kind": "cosine", "from": 0.3},
    {"kind": "step", "at": 0.5, "factor": 0.1},
]
CONDITIONS = [None, *({"metric": "loss", "below": b, "sequences": 5} for b in (0.3, 1.0))]
OPTIMISERS = sorted(Optimiser.known())
DTYPES = ["float32", "float64"]


@cache
def registry() -> Registry:
    added = Registry.of(*awkward.TASKS, *awkward.NETWORKS)
    return Registry([*Registry.installed().all(), *added.all()])


@dataclass(frozen=True)
class Study:
    """Cells of one architecture and one task, and the seed of how they are packed and cut."""

    cells: tuple[Cell, ...]
    packing: int


def cell(task: PluginConfig, network: PluginConfig, training: Training, number: int) -> Cell:
    key = cell_key(task, network, training, number, True)
    return Cell(key, task, network, training, number, True)


def fitting(name: str) -> list[str]:
    """Architectures that train on the task of that name."""
    found = []
    task = registry().tasks[name](**TASKS[name][0])
    for network, cls in registry().architectures.items():
        given = params.resolve(cls, {}).values
        if cls.trains(given) and cls.accepts(task, given) is None:
            found.append(network)
    return sorted(found)


@st.composite
def studies(draw: st.DrawFn) -> Study:
    name = draw(st.sampled_from(sorted(TASKS)))
    network = draw(st.sampled_from(fitting(name)))
    cls = registry().architectures[network]
    size = {"hidden": draw(st.integers(2, 9))} if "hidden" in params.resolve(cls, {}).values else {}
    if "noise" in params.resolve(cls, {}).values:
        size["noise"] = draw(st.sampled_from([0.0, 0.3]))
    parameters = params.resolve(cls, size)
    assume(cls.accepts(registry().tasks[name](**TASKS[name][0]), parameters.values) is None)
    has_horizons = registry().tasks[name].horizons
    shared = {
        "steps": draw(st.integers(1, 7)),
        "batch": draw(st.integers(1, 65)),
        "optimizer": draw(st.sampled_from(OPTIMISERS)),
        "dtype": draw(st.sampled_from(DTYPES)),
        "curriculum": draw(st.sampled_from(CURRICULA if has_horizons else ["none"])),
        "stop": draw(st.sampled_from(CONDITIONS)),
        "solved": draw(st.sampled_from(CONDITIONS)),
        "check": 2,
    }
    cells = []
    for number in range(draw(st.integers(2, 7))):
        own = {
            "lr": draw(st.sampled_from([1e-2, 3e-2, 0.1])),
            "schedule": draw(st.sampled_from(SCHEDULES)),
            "clip": draw(st.sampled_from([1.0, 0.05, None])),
            "weight_decay": draw(st.sampled_from([0.0, 0.1])),
            "snapshots": draw(st.sampled_from([(), (0, 1)])),
        }
        given = params.resolve(registry().tasks[name], draw(st.sampled_from(TASKS[name]))).values
        training = Training.model_validate({**shared, **own})
        config = PluginConfig(network, cls.version, parameters.values)
        cells.append(cell(PluginConfig(name, 1, given), config, training, number))
    return Study(tuple({c.key: c for c in cells}.values()), draw(st.integers(0, 99)))


def trained(
    cells: Sequence[Cell],
    tier: str,
    states: dict[str, bytes] | None = None,
    until: Callable[[], bool] = lambda: False,
) -> dict[str, bytes]:
    """The rows' bytes by key after training from `states`, `until` the segment is over."""
    trainer = Trainer(registry(), cells, tier_named(tier))
    for at, one in enumerate(cells):
        if states and one.key in states:
            trainer.load(at, RowState.decode(states[one.key]))
    trainer.run(until)
    return {one.key: row.encode() for one, row in zip(cells, trainer.rows, strict=True)}


def in_segments(cells: Sequence[Cell], tier: str, chance: Random | None) -> dict[str, bytes]:
    """Training cut after each iteration; with `chance`, every segment has some of the cells."""
    states: dict[str, bytes] = {}
    left = list(cells)
    while left:
        some = left
        if chance is not None:
            some = chance.sample(left, chance.randint(1, len(left)))
        ends = iter([False] * (chance.randint(0, 2) if chance else 0))
        states.update(trained(some, tier, states, lambda ends=ends: next(ends, True)))
        ended = {key for key, state in states.items() if RowState.decode(state).end is not None}
        left = [one for one in left if one.key not in ended]
    return states


def evaluated(cells: Sequence[Cell], rows: dict[str, bytes]) -> dict[str, str]:
    """What `test` says of each trained network, of those that did not diverge."""
    trainer = Trainer(registry(), cells, tier_named("vmap"))
    states = [RowState.decode(rows[one.key]) for one in cells]
    horizon = 7 if trainer.tasks[0].horizons else None
    asked = Evaluation(sequences=13, at=(3, 5) if horizon else ())
    specs = [evaluation_spec(one.key, asked, horizon, horizon) for one in cells]
    keys = [repr(one.task.identity()) for one in cells]
    flat = torch.stack([state.parameters for state in states])
    found = judge(stack(trainer.models, trainer.tasks, keys), flat, tier_named("vmap"), specs)
    return {one.key: repr(scalars) for one, scalars in zip(cells, found, strict=True)}


def search(study: Study, tell: Callable[[str], None] = note) -> None:
    """Train and evaluate a study in every way."""
    torch.set_num_threads(1)
    chance = Random(study.packing)
    for part in group(study.cells, registry()):
        cells, tier = list(part.cells), part.tier
        tell(f"{tier}: {[(c.seed, c.task, c.architecture, c.training) for c in cells]}")
        whole = trained(cells, tier)
        ways = {
            "reversed": trained(cells[::-1], tier),
            "a segment an iteration": in_segments(cells, tier, None),
            "random subsets": in_segments(cells, tier, chance),
            "alone": {k: v for one in cells for k, v in trained([one], tier).items()},
            "in two": trained(cells[1::2], tier) | trained(cells[::2], tier),
        }
        for way, rows in ways.items():
            differ = [one.seed for one in cells if rows[one.key] != whole[one.key]]
            assert not differ, f"{way}: seeds {differ} have other bits than in one {tier} stack"
        judged = evaluated(cells, whole)
        for one in cells:
            assert evaluated([one], whole)[one.key] == judged[one.key], f"test of {one.seed} alone"
        assert evaluated(cells[::-1], whole) == judged, "test in reversed order"


SEARCH = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=False,
    database=None,
    print_blob=True,
)


@seed(SEED)
@settings(SEARCH, max_examples=5)
@given(studies())
def test_a_few_random_studies_have_one_answer(study: Study) -> None:
    search(study)


@pytest.mark.slow
@seed(SEED + 1)
@settings(SEARCH, max_examples=STUDIES)
@given(studies())
def test_many_random_studies_have_one_answer(study: Study) -> None:
    search(study)
