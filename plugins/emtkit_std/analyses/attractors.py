"""Analysis `attractors`: what a network remembers after thousands of steps, and where it ends."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from emtkit import (
    MAX_STEPS,
    Analysis,
    Control,
    Drawing,
    Findings,
    Line,
    Plot,
    Points,
    RecurrentModel,
    ScalarInfo,
    Subject,
    hookimpl,
)
from emtkit_std._controls import EXACT_CIRCUIT, REPEAT_COPY, SATURATED_CIRCUIT, UNTRAINED
from emtkit_std._drawings import plane
from emtkit_std._findings import Measured, long_table, undefined
from emtkit_std._parameters import Sequences
from emtkit_std._theory import long_run
from emtkit_std._theory.facts import Array
from emtkit_std._theory.linearise import recurrent, silent_map
from emtkit_std._theory.long_run import Answers, Ends
from emtkit_std._theory.observe import draw
from emtkit_std._theory.standard_error import of_mean

LAST = 200
"""An accuracy at a step is that of the outputs before it, as many as this."""
DRAWN = 8
"""Histories whose multipliers are kept one by one."""
AT = {"accuracy_1000": 1_000, "accuracy_10000": 10_000}
ANSWERED = ("lifetime", "censored", "share_held", *AT)
OF_CYCLES = ("period", "floquet_radius", "moved", "residual")
ONE = "a single history has no spread"


def draw_survival(findings: Findings) -> Drawing:
    """The share of histories without a wrong sign over the outputs, and multipliers per step."""
    histories, multipliers = findings.tables["histories"], findings.tables["multipliers"]
    marks = []
    if "lifetime" in histories:
        outputs = np.sort(histories["lifetime"].to_numpy())
        wrong = outputs[: len(outputs) - int(histories["censored"].sum())]
        left = 1.0 - np.arange(len(wrong) + 1) / len(outputs)
        # A step down at every wrong sign.
        x = np.array([1, *np.repeat(wrong + 1, 2), outputs[-1] + 1])
        marks.append(Line(x, np.repeat(left, 2)))
    survival = Plot(
        marks, "", "outputs", "share without a wrong sign", y_limits=(-0.03, 1.03), x_log=True
    )
    points = Points(multipliers["real"], multipliers["imag"], size=3.2)
    return Drawing([survival, plane([points], "multipliers per step")])


class Attractors(Analysis):
    """Histories run in silence for thousands of steps: cycles, their multipliers, and lifetimes.

    From the state after the last input, h <- F(h) = step(h, 0) for `steps` outputs and then for
    2 x `longest` more, in which the state either returns or not. Where it returns after p steps,
    Newton's method on F^p looks for the cycle; with the exact product of Jacobians its multipliers
    mu and its radius are

        M = J(h_{p-1}) ... J(h_0),   mu = eig(M),   radius = (max |mu|)^(1/p)

    A history is on a cycle where it repeats itself to 1e-9 at every turn, or where Newton's cycle
    attracts and lies within 0.05 of its size; what moved farther is another cycle, and not told of.
    Kinds: fixed point, cycle, dead (a fixed point in which the network also settles without ever
    having been fed), quasi-periodic, chaotic (a neighbour departs by more than 0.01 per step),
    drifting (does not come back), unresolved (a cycle longer than `longest`), diverging.
    Stable is a radius below 1 - 1e-6: a linear memory, of radius 1, is neutral. At a kink of relu
    the slopes are those of one side.

    A history is held where its end is stable, not dead, and its last `longest` outputs are right.
    `lifetime` is the median over the histories of the outputs before the first with a wrong sign;
    those that never err count with `steps` (right-censored), their share is `censored`: above one
    half, the median is a lower bound. Tables: `histories`; `multipliers` of the first of them, per
    step (|mu|^(1/p) and arg mu).

    References: Karuvally et al. 2023, arXiv:2310.02430, section 4 (linearises at the origin);
    Strogatz (2015), Nonlinear Dynamics and Chaos, section 8.7 (multipliers).
    """

    name = "attractors"
    models = RecurrentModel
    scalars = {
        "kind": ScalarInfo("most frequent kind of motion in which a history ends"),
        "kind_share": ScalarInfo("share of histories of that kind"),
        "period": ScalarInfo(
            "most frequent period of the cycles", unit="steps", undefined="without a cycle"
        ),
        "floquet_radius": ScalarInfo(
            "largest modulus of a cycle's multipliers per step, median over histories",
            undefined="without a cycle that is not dead",
        ),
        "moved": ScalarInfo(
            "farthest that Newton's method went to a cycle, as a share of the state's size",
            better="lower",
            undefined="without a cycle",
        ),
        "residual": ScalarInfo(
            "most by which a turn misses its cycle, as a share of the state's size",
            better="lower",
            undefined="without a cycle",
        ),
        "share_stable": ScalarInfo("share of histories that end on a stable cycle, not dead"),
        "share_dead": ScalarInfo("share of histories that end where nothing is remembered"),
        "share_held": ScalarInfo(
            "share of histories that a stable cycle holds, and whose last outputs are right",
            better="higher",
            undefined="without signs to continue",
        ),
        "lifetime": ScalarInfo(
            "outputs before the first with a wrong sign, median over histories",
            unit="steps",
            better="higher",
            undefined="without signs to continue",
        ),
        "censored": ScalarInfo(
            "share of histories without any wrong sign, right-censored lifetimes",
            better="higher",
            undefined="without signs to continue",
        ),
        **{
            name: ScalarInfo(
                f"share of right signs in the {LAST} outputs up to output {step:,}",
                better="higher",
                undefined="without signs to continue, or with fewer steps",
            )
            for name, step in AT.items()
        },
        **{
            f"{name}_error": ScalarInfo(f"standard error of `{name}`, over histories")
            for name in ("share_stable", "share_dead", "share_held", "censored", *AT)
        },
    }
    drawings = {"survival": draw_survival}
    controls = (
        Control(REPEAT_COPY, SATURATED_CIRCUIT, "share_held", least=1),
        Control(REPEAT_COPY, EXACT_CIRCUIT, "share_stable", most=0),
        Control(REPEAT_COPY, UNTRAINED, "share_held", most=0),
    )

    def __init__(
        self,
        *,
        sequences: Sequences = 64,
        steps: Annotated[
            int, Field(ge=1, le=MAX_STEPS, description="Number of outputs after the last input.")
        ] = 10_000,
        longest: Annotated[
            int, Field(ge=2, le=MAX_STEPS, description="Longest period that is looked for.")
        ] = 1_000,
    ) -> None:
        self.sequences, self.steps, self.longest = sequences, steps, longest

    def measure(self, subject: Subject) -> Findings:
        """Run, look for returns, and ask Newton's method."""
        model = recurrent(subject)
        state_map = silent_map(subject, model)
        batch = draw(subject, self.sequences, self.steps)
        driven = batch.input_steps
        targets = batch.targets[:, driven:]
        if not (subject.task.horizons and bool((targets.abs() == 1).all())):
            targets = batch.targets.new_zeros(0, self.steps, batch.targets.shape[-1])
        with torch.no_grad():
            first = model.trace(batch.inputs[:, :driven], driven).states[:, -1]
            # The last row is never fed: what ends where it does remembers nothing.
            first = torch.cat([first, model.initial(1).to(first)])
            answered = long_run.answers(state_map, model.read, first, targets)
            sizes = long_run.sizes_of(first, answered.states)
            directions = subject.stream.fork("neighbours").normal(tuple(first.shape)).double()
            returns = long_run.returns(
                state_map, answered.states, sizes, directions, 2 * self.longest
            )
            ends = long_run.ends(state_map, answered.states, sizes, returns)
        histories = self._histories(ends, answered)
        cycles, judged = self._cycles(histories), self._judged(histories, answered.right)
        kinds = histories["kind"].value_counts()
        shares = {
            "share_stable": histories["stable"] & (histories["kind"] != "dead"),
            "share_dead": histories["kind"] == "dead",
        }
        return Findings(
            {
                "kind": str(kinds.index[0]),
                "kind_share": float(kinds.iloc[0] / len(histories)),
                **cycles.scalars,
                **_means({name: share.to_numpy(float) for name, share in shares.items()}),
                **judged.scalars,
            },
            {"histories": histories, "multipliers": _multipliers(ends, len(histories))},
            reasons={
                **dict.fromkeys((f"{name}_error" for name in (*shares, *ANSWERED)), ONE),
                **cycles.reasons,
                **judged.reasons,
            },
        )

    def _histories(self, ends: Ends, answered: Answers) -> pd.DataFrame:
        """A row for each history; the one that was never fed is left out."""
        fed = slice(0, self.sequences)
        table = pd.DataFrame(
            {
                "kind": ends.kinds[fed],
                "period": ends.periods[fed],
                "stable": ends.stable[fed],
                "radius": ends.radii[fed],
                "before": ends.before[fed],
                "residual": ends.residuals[fed],
                "moved": ends.moved[fed],
                "exponent": ends.exponents[fed],
            }
        )
        if len(answered.right):
            holds = (answered.right[:, -self.longest :] == 1.0).all(1)
            table["lifetime"] = answered.lifetimes
            table["censored"] = answered.lifetimes == self.steps
            table["held"] = table["stable"] & (table["kind"] != "dead") & holds
        return table

    def _cycles(self, histories: pd.DataFrame) -> Measured:
        """What the histories say that are on a cycle that is not dead."""
        on = histories[(histories["period"] > 0) & (histories["kind"] != "dead")]
        if on.empty:
            return undefined(OF_CYCLES, "no history ends on a cycle, or in a point, that holds it")
        return Measured(
            {
                "period": int(on["period"].mode().iloc[0]),
                "floquet_radius": float(on["radius"].median()),
                "moved": float(on["moved"].max()),
                "residual": float(on["residual"].max()),
            },
            {},
        )

    def _judged(self, histories: pd.DataFrame, right: Array) -> Measured:
        """What became of the answers, where there are signs to continue."""
        names = [*ANSWERED, *(f"{name}_error" for name in ANSWERED if name != "lifetime")]
        if not len(right):
            return undefined(names, "the task has no signs that go on in silence")
        short = {name: step for name, step in AT.items() if step > self.steps}
        short_names = [name + end for name in short for end in ("", "_error")]
        missing = undefined(short_names, f"only {self.steps:,} outputs were run; raise `steps`")
        means = {"share_held": histories["held"], "censored": histories["censored"]}
        shares = {name: values.to_numpy(float) for name, values in means.items()}
        shares |= {
            name: right[:, max(0, step - LAST) : step].mean(1)
            for name, step in AT.items()
            if name not in short
        }
        scalars = {
            "lifetime": float(histories["lifetime"].median()),
            **_means(shares),
            **missing.scalars,
        }
        return Measured(scalars, missing.reasons)


def _means(shares: Mapping[str, Array]) -> dict[str, float]:
    """Means over histories, and their standard errors."""
    means = {name: float(values.mean()) for name, values in shares.items()}
    return means | {f"{name}_error": of_mean(values) for name, values in shares.items()}


def _multipliers(ends: Ends, count: int) -> pd.DataFrame:
    """Those of the first histories that are on a cycle, per step: |mu|^(1/p), arg mu."""
    rows = [row for row in range(count) if ends.periods[row] > 0][:DRAWN]
    values = ends.multipliers[rows]
    table = long_table(("history", "place"), {"real": values.real, "imag": values.imag})
    return table.assign(history=np.array(rows, dtype=int)[table["history"]])


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Offer `attractors`."""
    return [Attractors]
