"""Analysis `noise_horizon`: how long answers last in a noisy state, and what is corrected."""

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
    Mark,
    NotApplicable,
    Plot,
    RecurrentModel,
    Rule,
    ScalarInfo,
    Subject,
    hookimpl,
)
from emtkit_std._controls import EXACT_CIRCUIT, REPEAT_COPY, SATURATED_CIRCUIT, UNTRAINED
from emtkit_std._parameters import Sequences
from emtkit_std._theory.facts import Array, PulseCircuit
from emtkit_std._theory.linearise import recurrent, silent_map
from emtkit_std._theory.noise import diffusion
from emtkit_std._theory.noise.disturbed import (
    Silence,
    curves,
    horizon_error,
    horizon_of,
    kick,
    walk,
)
from emtkit_std._theory.observe import draw
from emtkit_std._theory.standard_error import Ratio, of_mean

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Sizes of noise that are tried, in units of the parameter `noise`."""
LAST = 200
"""Outputs over which an accuracy at the end is taken, and after which a state has settled."""
RESAMPLES = 200
SHORTEST = 5
"""A horizon of fewer outputs is too coarse for the exponent."""
MEANS = ("accuracy", "silent_accuracy", "censored")
RATIOS = ("uncorrected", "amplification")


def draw_horizons(findings: Findings) -> Drawing:
    """Accuracy over the outputs for every size of noise, and the horizons over the sizes.

    Dotted is the closed form, where there is one; the line across is at `tolerable`.
    """
    accuracies, sizes = findings.tables["curves"], findings.tables["sizes"]
    curves: list[Mark] = []
    for place, (size, curve) in enumerate(accuracies.groupby("noise")):
        colour = f"C{place}"
        curves.append(Line(curve["output"], curve["accuracy"], f"{size:.3g}", colour))
        curves.append(Line(curve["output"], curve["expected"], colour=colour, style="dotted"))
    known: list[Mark] = [
        Line(sizes["noise"], sizes["horizon"].clip(lower=1), colour="ink", markers=True),
        Line(sizes["noise"], sizes["expected_horizon"], colour="ink", style="dotted"),
    ]
    if np.isfinite(edge := float(findings.scalars["tolerable"])) and edge > 0:
        known.append(Rule(edge, upright=True))
    labels = ("outputs", "share of right signs")
    left = Plot(curves, "", *labels, y_limits=(0.4, 1.03), x_log=True)
    ticks = {size: f"{size:.2g}" for size in sizes["noise"]}
    right = Plot(known, "", "noise", "horizon (outputs)", x_log=True, y_log=True, x_ticks=ticks)
    return Drawing([left, right], legend_title="noise")


class NoiseHorizon(Analysis):
    """Histories run on in silence with a noisy state, or disturbed once: horizon and basin.

        h_k = F(h_{k-1}) + sigma xi_k,   F(h) = step(h, 0)

    with xi_k ~ N(0, 1) in every unit, for sigma = `noise` times 1/4, 1/2, 1, 2 and 4 (all with the
    same xi; whatever noise the network trained with is left out). Scalars speak of `noise` itself,
    the table `sizes` of all. A horizon is how many outputs come before the accuracy falls below
    `level` (of its decreasing fit), right-censored at `steps`; `exponent` is the slope of log
    horizon over log sigma. For a linear map the accuracy is known, with m the outputs without noise
    and s their signs:

        accuracy_k = mean Phi(s m / (sigma sqrt(v_k)))
        v_k,o      = sum_{j < k} |row o of W_r W_hh^j|^2

    Correction, without noise but for one disturbance of N(0, s^2) in every unit:

        uncorrected   = rms |F^200(h + d) - F^200(h)| / rms |F(h + d) - F(h)|
        basin         = largest s / rms(h) up to which outputs 201 to 400 are right
        amplification = rms_i(h_K,i - F^K(h)_i) / sigma,   K = `steps`
        tolerable     = basin rms(h) / amplification

    with s, and in amplification sigma, 1e-6 rms(h) where they must be small.

    A linear memory keeps what disturbs it (uncorrected 1) and its amplification grows as sqrt(K); a
    stable cycle loses it, and noise far below `tolerable` is held for a time that grows
    exponentially. `tolerable` is where the spread of the states reaches the edge of the basin.

    References: Seung (1996), doi:10.1073/pnas.93.23.13339 (drift along a line of states); Chaudhuri
    and Fiete (2016), doi:10.1038/nn.4237 (discrete attractors correct).
    """

    name = "noise_horizon"
    models = RecurrentModel
    scalars = {
        "horizon": ScalarInfo(
            "outputs before the accuracy under the noise falls below the level; at most `steps`",
            unit="steps",
            better="higher",
        ),
        "expected_horizon": ScalarInfo(
            "the same in closed form", unit="steps", undefined="for maps that are not linear"
        ),
        "lifetime": ScalarInfo(
            "outputs before the first with a wrong sign under the noise, median over histories",
            unit="steps",
            better="higher",
        ),
        "censored": ScalarInfo(
            "share of histories without a wrong sign under the noise, right-censored lifetimes",
            better="higher",
        ),
        "accuracy": ScalarInfo(
            f"share of right signs in the last {LAST} outputs under the noise", better="higher"
        ),
        "silent_accuracy": ScalarInfo("the same without noise", better="higher"),
        "exponent": ScalarInfo(
            "slope of the log horizon over the log size of the noise; -2 by diffusion",
            undefined=f"with fewer than two horizons from {SHORTEST} to below `steps`",
        ),
        "tolerated": ScalarInfo(
            "largest of the five sizes up to which the accuracy at the end is at the level or more",
            better="higher",
        ),
        "uncorrected": ScalarInfo(
            f"share of a small disturbance that is left in the state {LAST} steps later",
            better="lower",
            undefined="where nothing of it is left after a step",
        ),
        "basin": ScalarInfo(
            "largest disturbance of which outputs recover, in sizes of the state, median over "
            "histories; 0 where they were wrong before",
            better="higher",
        ),
        "amplification": ScalarInfo(
            "spread of the states under small noise, at the end, in units of the noise",
            better="lower",
        ),
        "tolerable": ScalarInfo(
            "noise at which the spread of the states is as large as the basin", better="higher"
        ),
        "size": ScalarInfo("root mean square of the units after the last input"),
        **{
            f"{name}_error": ScalarInfo(f"standard error of `{name}`, over histories")
            for name in ("horizon", *MEANS, *RATIOS)
        },
    }
    drawings = {"horizons": draw_horizons}
    controls = (
        Control(REPEAT_COPY, SATURATED_CIRCUIT, "uncorrected", most=1e-6),
        Control(REPEAT_COPY, SATURATED_CIRCUIT, "censored", least=1),
        Control(REPEAT_COPY, EXACT_CIRCUIT, "uncorrected", least=0.999),
        Control(REPEAT_COPY, EXACT_CIRCUIT, "exponent", least=-2.4, most=-1.6),
        Control(REPEAT_COPY, UNTRAINED, "basin", most=0),
        Control(REPEAT_COPY, UNTRAINED, "horizon", most=SHORTEST),
    )

    def __init__(
        self,
        *,
        sequences: Sequences = 64,
        steps: Annotated[
            int,
            Field(ge=2 * LAST, le=MAX_STEPS, description="Number of outputs after the last input."),
        ] = 2_000,
        noise: Annotated[
            float,
            Field(gt=0, description="Standard deviation of the noise in every unit and step."),
        ] = 0.1,
        level: Annotated[
            float, Field(gt=0.5, lt=1, description="Accuracy below which a horizon ends.")
        ] = 0.9,
    ) -> None:
        self.sequences, self.steps, self.noise, self.level = sequences, steps, noise, level
        self.sizes = noise * np.array(FACTORS)

    def measure(self, subject: Subject) -> Findings:
        """Run with noise of every size, then look at single disturbances."""
        silence = self._silence(subject)
        with torch.no_grad():
            walked = walk(silence, self.sizes, self.steps, subject.stream.fork("noise"))
            kicked = kick(silence, LAST, subject.stream.fork("disturbance"))
            expected = self._expected(subject, silence)
        sizes = self._sizes(subject, walked.right, expected)
        here = dict(sizes.iloc[FACTORS.index(1.0)])
        held = (sizes["accuracy"] >= self.level).cumprod().astype(bool)
        amplification = Ratio(walked.spread, np.ones(self.sequences), power=0.5)
        basin = float(np.median(kicked.basins))
        scalars = {
            **{name: value for name, value in here.items() if name != "noise"},
            **_means({"silent_accuracy": walked.silent[:, -LAST:].mean(1)}),
            **_of_ratio("amplification", amplification),
            **_of_ratio("uncorrected", kicked.left),
            "exponent": self._exponent(sizes),
            "tolerated": float(sizes["noise"][held].max()) if held.any() else 0.0,
            "basin": basin,
            "tolerable": basin * silence.size / amplification.value,
            "size": silence.size,
        }
        errors = [f"{name}_error" for name in ("horizon", *MEANS, *RATIOS)]
        return Findings(
            scalars,
            {"sizes": sizes, "curves": curves(self.sizes, walked.right, expected)},
            reasons={
                **dict.fromkeys(errors, "a single history has no spread"),
                "uncorrected": "nothing is left of a disturbance after one step",
                "expected_horizon": "the map is not linear, or its outputs are rectified",
                "exponent": f"fewer than two sizes have a horizon from {SHORTEST} to {self.steps}",
            },
        )

    def _silence(self, subject: Subject) -> Silence:
        """The histories after their last input.

        Raises:
            NotApplicable: nothing can be judged, or there is no state.
        """
        model = recurrent(subject)
        batch = draw(subject, self.sequences, self.steps)
        driven = batch.input_steps
        targets = batch.targets[:, driven:]
        if not (subject.task.horizons and bool((targets.abs() == 1).all())):
            raise NotApplicable("the task has no signs that go on in silence")
        with torch.no_grad():
            first = model.trace(batch.inputs[:, :driven], driven).states[:, -1]
        silence = Silence(model, silent_map(subject, model), first, targets)
        if not 0 < silence.size < float("inf"):
            raise NotApplicable(f"after the last input the state has the size {silence.size:.3g}")
        return silence

    def _expected(self, subject: Subject, silence: Silence) -> Array | None:
        """The accuracy (S, K) that every size of noise leaves a linear map; None for any other."""
        if PulseCircuit not in subject.model.offers:
            return None
        law = subject.model.facts(PulseCircuit)
        assert isinstance(law, PulseCircuit)
        if (law.activation, law.readout) != ("linear", "linear"):
            return None
        grown = diffusion.growth(law.W_hh, law.W_r, self.steps)
        given = silence.outputs(self.steps).numpy(), silence.targets.numpy()
        chances = (diffusion.expected_right(*given, size**2 * grown) for size in self.sizes)
        return np.array([chance.mean((0, 2)) for chance in chances])

    def _sizes(self, subject: Subject, right: Array, expected: Array | None) -> pd.DataFrame:
        """A row for each size of noise."""
        stream = subject.stream.fork("resamples")
        draws = stream.integers((RESAMPLES, self.sequences), self.sequences).numpy()
        rows = []
        for at, (size, shares) in enumerate(zip(self.sizes, right, strict=True)):
            wrong = shares < 1.0
            lifetimes = np.where(wrong.any(1), wrong.argmax(1), self.steps)
            rows.append(
                {
                    "noise": size,
                    "horizon": horizon_of(shares.mean(0), self.level),
                    "horizon_error": horizon_error(shares, self.level, draws),
                    "expected_horizon": float("nan")
                    if expected is None
                    else float(horizon_of(expected[at], self.level)),
                    "lifetime": float(np.median(lifetimes)),
                    **_means(
                        {
                            "censored": (lifetimes == self.steps).astype(float),
                            "accuracy": shares[:, -LAST:].mean(1),
                        }
                    ),
                }
            )
        return pd.DataFrame(rows)

    def _exponent(self, sizes: pd.DataFrame) -> float:
        """Slope of log horizon over log noise, of the horizons that ended."""
        ended = sizes[(sizes["horizon"] >= SHORTEST) & (sizes["horizon"] < self.steps)]
        if len(ended) < 2:
            return float("nan")
        return float(np.polyfit(np.log(ended["noise"]), np.log(ended["horizon"]), 1)[0])


def _means(values: Mapping[str, Array]) -> dict[str, float]:
    """Means over histories, and their standard errors."""
    means = {name: float(each.mean()) for name, each in values.items()}
    return means | {f"{name}_error": of_mean(each) for name, each in values.items()}


def _of_ratio(name: str, ratio: Ratio) -> dict[str, float]:
    return {name: ratio.value, f"{name}_error": ratio.error}


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Offer `noise_horizon`."""
    return [NoiseHorizon]
