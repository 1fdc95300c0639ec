"""How much an input of k steps ago still moves the state or the loss.

G_k = dh(s)/du(s-k), g_k = ||G_k||_F / sqrt(I). The decay rate is minus the slope of log g_k against
k: positive vanishes, negative explodes, and W = rho Q with Q orthogonal has -ln rho exactly. Since
a loss's gradient vanishes with the error, only normalised profiles "approach 1".

Source: Karuvally, Sejnowski and Siegelmann, ICML 2024, Fig. 5 and Eqs. 10-16; they leave open which
gradient is meant, and the loss's own cannot approach 1 at a solution.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from emtkit import Analysis, Control, Findings, NotApplicable, ScalarInfo, Subject, hookimpl
from emtkit_std._controls import EXACT_CIRCUIT, REPEAT_COPY
from emtkit_std._parameters import Lags, Sequences
from emtkit_std._theory.facts import Array
from emtkit_std._theory.linearise import POINT_SCALARS, Point, attempt
from emtkit_std._theory.observe import draw, driven_jacobians, in_double, law_of, memory_span
from emtkit_std._theory.standard_error import of_function
from emtkit_std._theory.superposition.projections import spectral_radius
from emtkit_std._theory.waves.drawings import draw_gradients, draw_rate

FACTOR, SHARE, VARIED = 2.0, 0.25, 4.0
"""A profile has a spike, not a slope, if an exponential misses it by more than a factor of FACTOR,
or by more than SHARE of its whole range (in logarithms) where that is a factor of VARIED."""


class GradientLag(Analysis):
    """g_k = ||dh(s)/du(s-k)||_F / sqrt(I), its decay rate with the lag k, and max |eigenvalue|.

    `of: state` takes the geometric mean over sequences, `of: loss` the mean of ||dC/du||.
    `decay_rate` is minus the slope of log g_k from `first_lag` on: 0 lets everything through,
    positive vanishes; undefined where the line misses some g_k by more than a factor of 2, or by a
    quarter of a range of 4 or more, as for attention, which lets single lags through.
    `first_over_last` is g of the farthest input over g at `first_lag`; `radius` is max |eig| of the
    Jacobian at the fixed point that `point_norm`, `point_residual` and `point_kind` tell of.

    References: Karuvally, Sejnowski and Siegelmann, ICML 2024, Fig. 5 and Eqs. 10-16.
    """

    name = "gradient_lag"
    version = 5  # without a law, as far back as inputs are needed
    scalars = {
        "decay_rate": ScalarInfo(
            "minus the slope of the log gradient over the lag: positive where it vanishes",
            unit="per step",
            undefined="where the profile is not a decay",
        ),
        "first_over_last": ScalarInfo(
            "gradient of the farthest input over that at the first lag",
            undefined="where the profile is not a decay",
        ),
        "decay_rate_error": ScalarInfo("standard error of `decay_rate`, over the sequences"),
        "first_over_last_error": ScalarInfo("the same of `first_over_last`"),
        "radius": ScalarInfo(
            "largest modulus of the eigenvalues of the Jacobian at the fixed point",
            undefined="without a fixed point",
        ),
        **POINT_SCALARS,
    }
    drawings = {"gradients": draw_gradients, "rate": draw_rate}
    conditions = {"point_kind": ("radius",)}
    controls = (Control(REPEAT_COPY, EXACT_CIRCUIT, "decay_rate", least=-1e-9, most=1e-9),)

    def __init__(
        self,
        *,
        of: Annotated[
            Literal["state", "loss"],
            Field(
                description="Whether the gradient is that of the state, exact and without a "
                "target, or of the loss over the first s outputs (elsewhere: the last output)."
            ),
        ] = "state",
        first_lag: Annotated[
            Literal[0, 1],
            Field(
                description="Lag from which the decay is fitted; 1 leaves out the drop that "
                "writing beyond the travelling directions causes in trained networks."
            ),
        ] = 0,
        sequences: Sequences = 32,
        lags: Annotated[Lags, Field(ge=2)] = None,
        point: Point = "auto",
    ) -> None:
        self.point = point
        self.of, self.first_lag, self.sequences, self.lags = of, first_lag, sequences, lags

    def measure(self, subject: Subject) -> Findings:
        """Scalars, and table `profile` (lag, gradient, normalised)."""
        span = memory_span(subject, self.lags)
        sampled = self._state(subject, span) if self.of == "state" else self._loss(subject, span)
        if not np.isfinite(sampled.profile).all():
            raise NotApplicable("the gradients overflow")
        profile = sampled.profile
        found = decay(profile, self.first_lag)
        error = dict.fromkeys(("decay_rate_error", "first_over_last_error"), float("nan"))
        if not found.reason:
            error = dict(zip(error, sampled.errors(self.first_lag), strict=True))
        place = attempt(subject, self.point)
        radius = float("nan") if place.local is None else spectral_radius(place.local.jacobian)
        visible = bool(profile[self.first_lag] > 0)
        relative = profile / profile[self.first_lag] if visible else np.full(len(profile), np.nan)
        table = pd.DataFrame(
            {"lag": np.arange(len(profile)), "gradient": profile, "normalised": relative}
        )
        return Findings(
            {
                "decay_rate": found.rate,
                "first_over_last": found.first_over_last,
                **error,
                "radius": radius,
                **place.scalars,
            },
            {"profile": table},
            reasons={
                **dict.fromkeys(("decay_rate", "first_over_last"), found.reason),
                **dict.fromkeys(error, found.reason or "a single sequence has no spread"),
                "radius": place.reason,
                **place.reasons,
            },
        )

    def _state(self, subject: Subject, span: int) -> "SampledProfile":
        batch = draw(subject, self.sequences, 1)
        if batch.input_steps < span:
            raise NotApplicable(
                f"{span} lags were requested, but only {batch.input_steps} steps are driven"
            )
        return geometric_profile(driven_jacobians(subject, batch, span - 1).states)

    def _loss(self, subject: Subject, span: int) -> "SampledProfile":
        law = law_of(subject)
        batch = draw(subject, self.sequences, span if law is None else law.history)
        inputs = batch.inputs[:, : batch.input_steps].clone().requires_grad_()
        trace = in_double(subject.model)(inputs, batch.steps)
        errors = subject.task.loss(trace.outputs, batch) * batch.mask
        scored = errors if law is not None else errors[:, -1:]
        (slope,) = torch.autograd.grad(scored.sum(), inputs)
        sizes = slope.norm(dim=-1).double().numpy()
        return SampledProfile(sizes[:, ::-1][:, :span], geometric=False)


@dataclass(frozen=True)
class Decay:
    """`rate` of exponential decay per lag, and g at the farthest lag over g at the first one.

    NaN comes with `reason`.
    """

    rate: float
    first_over_last: float
    reason: str = ""


@dataclass(frozen=True, eq=False)
class SampledProfile:
    """Sizes of the gradients of each sequence by lag (B K), of which the profile is the mean."""

    sizes: Array
    geometric: bool

    @property
    def profile(self) -> Array:
        """g_k (K): the arithmetic or geometric mean over the sequences, 0 where one is 0."""
        return self._profile(self._values.mean(0))

    def errors(self, first_lag: int) -> Array:
        """Standard errors of the rate and of g at the last lag over the first, over sequences."""

        def fitted(mean: Array) -> Array:
            found = decay(self._profile(mean), first_lag)
            return np.array([found.rate, found.first_over_last])

        return of_function(self._values, fitted)

    @property
    def _values(self) -> Array:
        if not self.geometric:
            return self.sizes
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.sizes))

    def _profile(self, mean: Array) -> Array:
        return np.asarray(np.exp(mean)) if self.geometric else mean


def geometric_profile(gradients: Array) -> SampledProfile:
    """||G_k||_F / sqrt(I) of each sequence, given dh(s)/du(t) (B T H I)."""
    norms = np.linalg.norm(gradients, axis=(2, 3)) / np.sqrt(gradients.shape[-1])
    return SampledProfile(norms[:, ::-1], geometric=True)


def decay(profile: Array, first_lag: int = 0) -> Decay:
    """Least squares of log g on the lag, from `first_lag` on; NaN where g is zero or too short.

    The rate is NaN, too, where the profile has a spike (see `FACTOR`).

    Trained networks: first_lag = 1, since the write matrix has a large component outside the
    travelling directions, which makes a solved network look as if it decayed.
    """
    used = profile[first_lag:]
    if len(used) < 2 or not (np.isfinite(used) & (used > 0)).all():
        flat = "the gradient is zero at some lag, or fewer than two lags are left"
        return Decay(float("nan"), float("nan"), flat)
    lags, logs = np.arange(len(used)), np.log(used)
    line = np.polyfit(lags, logs, 1)
    missed = np.abs(logs - np.polyval(line, lags))
    worst, reason = int(missed.argmax()), ""
    rate = -float(line[0])
    spread = float(np.ptp(logs))
    spike = missed[worst] > SHARE * spread and spread > np.log(VARIED)
    if spike or missed[worst] > np.log(FACTOR):
        rate = float("nan")
        reason = (
            f"the profile is not a decay: at lag {worst + first_lag} an exponential misses it by "
            f"a factor of {np.exp(missed[worst]):.2g}"
        )
    return Decay(rate, float(used[-1] / used[0]), reason)


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """The gradient by lag."""
    return [GradientLag]
