"""The table of `docs/analyses-nulls.md`: every analysis on networks without what it looks for.

`python -m tests.std.nulls_table` writes the page; `test_nulls_table.py` compares it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from emtkit import Analysis, Batch, NotApplicable, Registry, SequenceModel, Stream, Task
from emtkit.plugin.applies import refusal
from emtkit.plugin.params import build_arguments, resolve
from emtkit_std._theory.emt.binding import phi_of
from emtkit_std.analyses.gradient_lag import GradientLag, decay
from emtkit_std.analyses.twm_waves import TwmWaves
from emtkit_std.architectures.attention import Attention
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.emt_circuit import EmtCircuit
from emtkit_std.architectures.gru import GatedRecurrentUnit
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.mechanisms.phase_clock import PhaseClock
from emtkit_std.architectures.relu_rnn import ReluRnn
from emtkit_std.architectures.shift_register import ShiftRegister
from emtkit_std.architectures.twm_attention import TwmAttention
from emtkit_std.tasks.hds import HistoryDependentSystem
from emtkit_std.tasks.k_delay import KDelay
from tests.std.known_nets import set_weights
from tests.std.null_nets import Permuted, changes, untrained
from tests.std.subjects import build, subject_of

PAGE = Path(__file__).parents[2] / "docs" / "analyses-nulls.md"
HORIZON = 12
SEEDS = 40
COPY = HistoryDependentSystem(rule="repeat", history=4, dimension=2, horizon=HORIZON)


class _AsTheyCome(KDelay):
    """Without kinds of sequences: the next one would be of the same kind, hardly a permutation."""

    sample_strata = Task.sample_strata


DELAY = _AsTheyCome(delay=3, density=0.3)
FEW = {
    "attractors": {"sequences": 8, "steps": 1000, "longest": 100},
    "basis_sensitivity": {"draws": 1, "noises": (1e-4,)},
    "fixed_points": {"starts": 32},
    "noise_horizon": {"sequences": 32, "steps": 1000},
    "superposition": {"samples": 4000},
}
"""Smaller than the defaults where they only cost time."""
BLIND = 1e-3
"""A scalar that moves by less than this of itself has not changed."""

NETWORKS = ("exact", "untrained", "gain 2", "nothing recurs", "permuted", "phase clock")
INTRODUCTION = """# Analyses against nulls

What every analysis says of networks that have what it looks for, and of networks that have not.
Made by `python -m tests.std.nulls_table`; a test compares the page with the code.

- *steps*: how many steps the default reads, of those that the task trains.
- *exact*: constructed for the task (`emt_circuit`, `shift_register`, `twm_attention`; for
  `linear_ceiling` a linear network with noise, for `superposition` a rectified register, right for
  lone inputs). *untrained*: 16 units at their usual
  initialisation. *gain 2*: 32 tanh units, W_hh ~ N(0, 4 / H). *nothing recurs*: W_hh = 0.
  *permuted*: the exact network, fed with the inputs of another sequence than it is asked about.
  *phase clock*: a register whose slots are addressed by the time; it solves both tasks, and
  nothing moves.
- Repeat copy (four items of two signs, horizon 12); for `superposition` and both capacities a
  delay of three at density 0.3. "-" is undefined, "n/a" not applicable; both come with reasons.

What is read from weights or at a fixed point cannot see that sequences are permuted:
`emt_spectrum`, `emt_basis` (but for `sign_agreement`), `fixed_points`, `gradient_lag`, `spectrum`,
`conjugacy`, `memory_capacity`, `feature_geometry`. That items can be decoded says little by itself:
`history_decoding` reads them from untrained networks, too, and on tasks with an input at every step
a fading memory is a sliding history: the state of an untrained network is the last inputs in other
coordinates, and the inputs push them on. `twm_waves` then says `driven`, whatever the network has
learned. Nor is `gradient_lag` a proof of memory: a random network may let everything through. A
claim about training needs the untrained network beside it. `memory_map` names a mechanism only
where the answers follow an exchange of items. `intervene` and `attractors` measure
beyond the trained steps: they ask whether an edit lengthens the horizon, and what is left in the
end (an exact linear circuit, of which nothing is lost, is on a neutral cycle, not on a stable
one); so does `noise_horizon` with noise (of a linear circuit nothing is corrected, and chaos
amplifies; a dead network forgets what disturbs it with all the rest); `linear_ceiling` and
`transition` speak of the task.
"""
MARGINS = f"""
How often chance passes the margins, of {SEEDS} networks of each kind: `twm_waves` calls the history
travelling from a `wave_share` of 3/4 on (`wave`, or `driven` on the delay); `gradient_lag`
gives a rate where an exponential misses no lag by more than a factor of 2, nor by a quarter of a
range of 4 or more. *flat* is the share with a rate within 0.05 of 0, which lets everything through.
*profiles*: random ones, independent and lognormal (sigma 1) at each lag.
"""
CHANGES = """
Scalars that change although the outputs do not, on a leaky circuit with noise (linear; for order
and signs tanh, too). *Oblique basis*: h -> A h, singular values of A spread over 1e3. They are
measured in the raw coordinates of the state: compare them between networks of one kind only.
`basis_sensitivity` and `noise_horizon` draw their noise unit by unit, so what they measure of it
changes as it does with the draw.
"""


@dataclass(frozen=True)
class Row:
    """What is printed of an analysis: `scalars` on `task`, of networks of one `kind`."""

    scalars: tuple[str, ...]
    task: Task = COPY
    kind: Literal["any", "linear", "rectified", "attention"] = "any"


ROWS = {
    "attention_boundary": Row(("boundary_error",), kind="attention"),
    "attractors": Row(("kind", "share_stable", "share_held")),
    "basis_sensitivity": Row(("phi_error_dual",)),
    "conjugacy": Row(("core_defect",)),
    "emt_basis": Row(("phi_error", "sign_agreement")),
    "emt_spectrum": Row(("angle_error", "modes_found")),
    "feature_geometry": Row(("features_kept", "silent_share"), DELAY, "rectified"),
    "fixed_points": Row(("count", "least_radius")),
    "gradient_lag": Row(("decay_rate", "first_over_last")),
    "history_decoding": Row(("mean_r2",)),
    "information_capacity": Row(("linear", "total"), DELAY),
    "intervene": Row(("change", "null_change")),
    "known_mechanism": Row(("moving",)),
    "linear_ceiling": Row(("least_loss", "possible"), kind="linear"),
    "memory_capacity": Row(("linear", "fisher"), DELAY, "linear"),
    "memory_map": Row(("held", "moving", "used")),
    "noise_horizon": Row(("horizon", "uncorrected", "basin")),
    "spectrum": Row(("radius",)),
    "superposition": Row(("relative_loss", "hidden_share", "regime"), DELAY, "rectified"),
    "transition": Row(("density",), DELAY, "rectified"),
    "twm_waves": Row(("wave_share", "flag")),
}
DRIVEN = {
    "history_decoding": Row(("mean_r2",), DELAY),
    "memory_map": Row(("held", "moving", "used"), DELAY),
    "twm_waves": Row(("wave_share", "flag"), DELAY),
}
"""Rows of the same analyses where every step is driven."""


class WatchedCopy(HistoryDependentSystem):
    """Repeat copy that notes how many scored steps it is asked for."""

    offers, facts = HistoryDependentSystem.offers, HistoryDependentSystem.facts

    def __init__(self) -> None:
        super().__init__(rule="repeat", history=4, dimension=2, horizon=HORIZON)
        self.trained, self.asked = HORIZON, [0]

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        self.asked.append(self.horizon if horizon is None else horizon)
        return super().sample(batch, stream, horizon)


class WatchedDelay(KDelay):
    """A delay that notes whether it is asked for sequences, which have one length."""

    offers, facts = KDelay.offers, KDelay.facts

    def __init__(self) -> None:
        super().__init__(delay=3, density=0.3)
        self.trained, self.asked = self.steps, [0]

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        self.asked.append(self.steps if batch > 1 else 0)
        return super().sample(batch, stream, horizon)


@dataclass(frozen=True)
class Measured:
    """Scalars of one network, or why there are none."""

    scalars: dict[str, object] = field(default_factory=dict)
    refused: str = ""


def measure(analysis: type[Analysis], model: SequenceModel, task: Task) -> Measured:
    seen = model.inner if isinstance(model, Permuted) else model
    reason = refusal(analysis, type(task), type(seen))
    if reason is not None:
        return Measured(refused=reason)
    try:
        settings = FEW.get(analysis.name, {})
        found = analysis(**settings).measure(subject_of(model, task))
    except NotApplicable as refused:
        return Measured(refused=str(refused))
    return Measured(dict(found.scalars))


def networks(row: Row) -> dict[str, SequenceModel]:
    """Constructed, untrained and negative networks for the task of a row."""
    if row.kind == "attention":
        make = partial(build, TwmAttention, COPY, position="onehot")
        exact = make(exact_strength=8.0)
        return {"exact": exact, "untrained": make(), "permuted": Permuted(exact)}
    driven = row.task is DELAY
    small = partial(build, ReluRnn if driven else Elman, row.task)
    exact = build(ShiftRegister if driven else EmtCircuit, row.task, hidden=16).double()
    if row.kind == "rectified":
        exact = build(ShiftRegister, row.task, hidden=3, activation="relu").double()
    if row.kind == "linear":
        small = partial(build, LinearRnn, row.task)
        exact = exact if driven else in_coordinates(row.task, "linear", np.eye(12))
    silent = small(hidden=16).double()
    silent.W_hh.zero_()
    return {
        "exact": exact,
        "untrained": small(hidden=16).double(),
        "gain 2": untrained(row.task, 2.0, hidden=32),
        "nothing recurs": silent,
        "permuted": Permuted(exact),
        "phase clock": build(PhaseClock, row.task).double(),
    }


def in_coordinates(task: Task, activation: str, matrix: np.ndarray) -> SequenceModel:
    """A leaky circuit with noise, linear or tanh, whose state is written as A h."""
    rng = np.random.default_rng(5)
    width, size = task.channels.inputs, 4 * task.channels.inputs
    driven = isinstance(task, KDelay)
    phi = np.eye(size, k=width) if driven else phi_of(np.eye(width, size), 4)
    hidden = size + 4
    W_hh = np.zeros((hidden, hidden))
    W_hh[:size, :size], W_hh[size:, size:] = 1.02 * phi, np.diag([0.7, -0.6, 0.4, 0.2])
    W_hh += 0.03 * rng.normal(size=W_hh.shape)
    W_uh, W_r = np.zeros((hidden, width)), np.zeros((width, hidden))
    W_uh[size - width : size], W_r[:, size - width : size] = 0.3 * np.eye(width), np.eye(width)
    if driven:
        W_r = np.roll(W_r, width - size, 1)
    back = np.linalg.inv(matrix)
    readout = {} if activation == "tanh" else {"readout": "relu" if driven else "linear"}
    cls = Elman if activation == "tanh" else LinearRnn
    model = build(cls, task, hidden=hidden, **readout).double()
    set_weights(model, matrix @ W_hh @ back, matrix @ W_uh, W_r @ back)
    return model


def changed_by(analysis: type[Analysis], row: Row) -> dict[str, list[str]]:
    """Scalars that a change which cannot matter changes, by its name."""
    if row.kind == "attention":
        return {}
    moved: dict[str, list[str]] = {}
    for activation in ("linear", "tanh"):
        size = 4 * row.task.channels.inputs + 4
        before = measure(analysis, in_coordinates(row.task, activation, np.eye(size)), row.task)
        for name, matrix in changes(size).items():
            if activation == "tanh" and name in ("oblique basis", "scale"):
                continue  # a saturating unit is not the same network there
            after = measure(analysis, in_coordinates(row.task, activation, matrix), row.task)
            assert set(after.scalars) == set(before.scalars), (analysis.name, name, after.refused)
            found = moved.setdefault(name, [])
            found += [
                scalar
                for scalar in before.scalars
                if scalar not in found and not _same(before.scalars[scalar], after.scalars[scalar])
            ]
    return moved


def _same(before: object, after: object) -> bool:
    if not isinstance(before, float) or not isinstance(after, float):
        return before == after
    if math.isnan(before) or math.isnan(after):
        return math.isnan(before) == math.isnan(after)
    return abs(after - before) <= BLIND * max(abs(before), BLIND)


def reads(analysis: type[Analysis], row: Row) -> str:
    """How many steps the default asks the task for, of those that it is trained on."""
    task = WatchedDelay() if row.task is DELAY else WatchedCopy()
    width = 4 * task.channels.inputs + 4
    if row.kind == "attention":
        live = build(TwmAttention, task)
    else:
        live = in_coordinates(task, "linear", np.eye(width))
    measure(analysis, live, task)
    most = max(task.asked)
    return f"{most} of {task.trained}" if most else "no sequences"


def _cell(measured: Measured, row: Row) -> str:
    if measured.refused:
        return "n/a"
    values = [measured.scalars[name] for name in row.scalars]
    return ", ".join(_number(value) for value in values)


def _number(value: object) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value + 0.0:.2f}".replace("-0.00", "0.00")
    return str(value)


def page() -> str:
    """The whole page."""
    lines = [INTRODUCTION]
    said: dict[str, list[str]] = {}
    unchanged: dict[str, list[str]] = {}
    for analysis in analyses():
        row = ROWS[analysis.name]
        said[f"`{analysis.name}`"] = _said(analysis, row)
        if analysis.name in DRIVEN:
            said[f"`{analysis.name}`, delay"] = _said(analysis, DRIVEN[analysis.name])
        moved = changed_by(analysis, row)
        unchanged[f"`{analysis.name}`"] = [
            ", ".join(f"`{scalar}`" for scalar in moved[name]) or "none" if moved else "n/a"
            for name in changes(1)
        ]
    lines += [table(("analysis", "steps", "scalars", *NETWORKS), said)]
    lines += [MARGINS, table(("networks", *CHANCES), dict(chances()))]
    lines += [CHANGES, table(("analysis", *changes(1)), unchanged)]
    return "\n".join(lines)


def _said(analysis: type[Analysis], row: Row) -> list[str]:
    nets = networks(row).items()
    cells = {name: _cell(measure(analysis, net, row.task), row) for name, net in nets}
    scalars = ", ".join(f"`{name}`" for name in row.scalars)
    return [reads(analysis, row), scalars, *(cells.get(name, "n/a") for name in NETWORKS)]


CHANCES = (
    *("repeat copy: travels", "largest share", "delay: travels", "median share"),
    *("has a rate", "flat"),
)


def chances() -> Iterator[tuple[str, list[str]]]:
    """What share of untrained networks the margins of waves and decays let pass."""
    makers = {
        "`elman`, 16 units": partial(drawn, Elman),
        "`linear_rnn`, 16 units": partial(drawn, LinearRnn, init="gaussian"),
        "`gru`, 16 units": partial(drawn, GatedRecurrentUnit),
        "`attention`, 16 units": partial(drawn, Attention, heads=4),
        **{
            f"tanh, {hidden} units, gain {gain}": partial(untrained, gain=gain, hidden=hidden)
            for hidden, gain in ((32, 0.9), (64, 1.0), (32, 2.0))
        },
    }
    for name, make in makers.items():
        waves = [_all(TwmWaves, make, task) for task in (COPY, DELAY)]
        travels = [[one["flag"] in ("wave", "driven") for one in found] for found in waves]
        shares = [[one["wave_share"] for one in found] for found in waves]
        rates = np.array([one["decay_rate"] for one in _all(GradientLag, make, COPY)], float)
        shown = np.mean(travels[0]), max(shares[0]), np.mean(travels[1]), np.median(shares[1])
        yield name, [_number(float(value)) for value in (*shown, *_given(rates))]
    for lags in (4, 8):
        profiles = np.exp(np.random.default_rng(0).normal(size=(4000, lags)))
        rates = np.array([decay(profile).rate for profile in profiles])
        yield f"profiles, {lags} lags", ["", "", "", "", *map(_number, _given(rates))]


def _given(rates: np.ndarray) -> tuple[float, float]:
    """The shares of rates that are defined, and of those within 0.05 of 0."""
    return float(np.isfinite(rates).mean()), float((np.abs(rates) < 0.05).mean())


def _all(
    analysis: type[Analysis], make: Callable[..., SequenceModel], task: Task
) -> list[dict[str, object]]:
    return [measure(analysis, make(task, seed=seed), task).scalars for seed in range(SEEDS)]


def drawn(
    cls: type[SequenceModel], task: Task, *, seed: int, hidden: int = 16, **parameters: object
) -> SequenceModel:
    """An untrained network of this seed."""
    arguments = build_arguments(cls, resolve(cls, {"hidden": hidden, **parameters}).values)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cls(task, **arguments).eval().requires_grad_(False).double()


def table(head: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([name, *row] for name, row in rows.items())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def analyses() -> Iterator[type[Analysis]]:
    """Every analysis of emtkit_std, by name."""
    for plugin in sorted(Registry.installed().all(), key=lambda plugin: plugin.name):
        if plugin.kind == "analysis" and plugin.cls.__module__.startswith("emtkit_std."):
            yield plugin.cls


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
