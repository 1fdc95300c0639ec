"""The exact best linear network with 1 or 2 units for one delayed feature.

Whatever the readout q and the input weights, one unit has a_s = q lambda^s and two units have
a_s = q_1 g_s + q_2 g_{s-1}, g the impulse response of z² - tau z + delta. Given the poles the loss
is quadratic in q, with stationary sums in closed form (infinite history):

    L(q) = q'(V P + m² g g')q - 2 q'(V w_k + m² g) + V + m²,   P = sum_s w_s w_s',  g = sum_s w_s,

and with an output bias the terms in m² vanish (b = m (1 - g'q)). The best q leaves

    L = V (1 - w_k'P^-1 w_k) + m² (1 - g'P^-1 w_k)² / (1 + (m²/V) g'P^-1 g),

a function of the poles alone, found on a grid over the whole stable region that is refined around
its best cells. The region holds real poles as well as complex ones (rho, theta): delta = rho²,
tau = 2 rho cos(theta).

Source: task and loss of Sharma, Proca, Prieto and Mediano (ICLR 2026); the optimum is derived here.
Related: François, Orvieto and Bach (COLT 2025) on order-S filters for a shift.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from emtkit import EmtkitError, SequenceModel, Task, hookimpl
from emtkit_std._parameters import ReadoutBias
from emtkit_std._theory.facts import Array, DelayLaw, LinearRecurrence, PulseCircuit
from emtkit_std._theory.networks.forms import PreActivationNetwork
from emtkit_std._theory.networks.recurrence import Constructed, as_buffer
from emtkit_std._theory.superposition.linear_loss import input_moments

_GRID = 121
_STARTS = 4
_ZOOMS = 14
# A pole nearer to 1 averages over more steps than any delay here asks for.
_EDGE = 1.0 - 1e-4


class OptimalLinear(Constructed, PreActivationNetwork):
    """The best linear network with one or two units for its task; nothing to train.

    h_t = W_hh h_{t-1} + W_uh u_t,  y_t = W_r h_t + b_r with the weights that minimise the
    stationary expected loss (infinite history), known in closed form up to the two poles. State
    (B H), outputs (B 1).

    References: Sharma, Proca, Prieto and Mediano (ICLR 2026), linear case; the optimum is emtkit's.
    """

    name = "optimal_linear"
    offers = (LinearRecurrence, PulseCircuit)
    activation = "linear"
    readout = "linear"

    def __init__(
        self,
        task: Task,
        *,
        hidden: Annotated[Literal[1, 2], Field(description="Number of units H.")] = 2,
        bias: ReadoutBias = False,
    ) -> None:
        super().__init__()
        best = linear_optimum(task.facts(DelayLaw), hidden, bias=bias)
        self.hidden = hidden
        weights = {"W_hh": best.W_hh, "W_uh": best.W_uh, "W_r": best.W_r, "b_r": best.bias}
        self.hold({name: as_buffer(value) for name, value in weights.items()})

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """The optimum is known for one delayed feature."""
        if DelayLaw not in task.offers:
            return f"the linear optimum needs a DelayLaw, which task '{task.name}' does not offer"
        channels = task.channels
        if (channels.inputs, channels.outputs) != (1, 1):
            return f"the exact linear optimum is known for one feature, not for {channels.inputs}"
        return None


@dataclass(frozen=True)
class LinearOptimum:
    """The best linear network and its loss.

    `loss` is absolute. W_hh (H, H), W_uh (H, 1), W_r (1, H), bias (1).
    """

    W_hh: Array
    W_uh: Array
    W_r: Array
    bias: Array
    loss: float


@dataclass(frozen=True)
class _Poles:
    """Candidates (N): characteristic polynomial z² - tau z + delta; delta = 0 for one unit."""

    tau: Array
    delta: Array


def linear_optimum(law: DelayLaw, hidden: int, *, bias: bool = False) -> LinearOptimum:
    """The exact linear optimum for one feature with `hidden` units, infinite history.

    The problem without mean (zero-mean amplitudes, or a bias) has the mirror image theta -> 180 -
    theta; the solution with theta <= 90 is given.
    """
    if hidden not in (1, 2):
        raise EmtkitError(
            f"linear_optimum: {hidden} hidden units; the exact optimum is known for 1 and 2"
        )
    if len(law.delay) != 1 or law.inputs != 1:
        raise EmtkitError(
            f"linear_optimum: the task has {law.inputs} inputs and {len(law.delay)} outputs; "
            "the exact optimum is known for one feature"
        )
    moments = input_moments(law)
    variance, mean = float(moments.variance[0]), float(moments.mean[0])
    if variance <= 1e-12:
        raise EmtkitError(
            "linear_optimum: the input is constant (amplitude constant, density 1), so nothing "
            "needs to be remembered; lower the density or let the amplitude vary"
        )
    problem = _Problem(law.delay[0], hidden, variance, 0.0 if bias else mean)
    best = _refine(problem)
    return _network(problem, best, law, mean if bias else 0.0)


@dataclass(frozen=True)
class _Problem:
    delay: int
    hidden: int
    variance: float
    mean: float

    def losses(self, poles: _Poles) -> Array:
        """Loss (N) of the best readout for each pair of poles."""
        held, mean_seen, mean_gain = self._inner(poles)
        missed = (self.mean * (1.0 - mean_seen)) ** 2 / (1.0 + self._ratio * mean_gain)
        return np.maximum(self.variance * (1.0 - held) + missed, 0.0)

    def readout(self, poles: _Poles) -> Array:
        """Best readout (H) in the basis (g_s, g_{s-1}) for one pair of poles."""
        (tau,), (delta,) = poles.tau, poles.delta
        _, (mean_seen,), (mean_gain,) = self._inner(poles)
        (now,), (before,) = self._ahead(poles)
        pull = self._ratio * (1.0 - mean_seen) / (1.0 + self._ratio * mean_gain)
        if self.hidden == 1:
            return np.array([now * (1.0 - tau**2) + pull * (1.0 + tau)])
        even = (now + before) * (1.0 + delta - tau) / 2.0 + pull
        odd = (now - before) * (1.0 + delta + tau) / 2.0
        return np.asarray((1.0 - delta) * np.array([even + odd, even - odd]))

    @property
    def _ratio(self) -> float:
        return self.mean**2 / self.variance

    def _inner(self, poles: _Poles) -> tuple[Array, Array, Array]:
        """w_k' P^-1 w_k, g' P^-1 w_k and g' P^-1 g, each (N).

        P has the eigenvectors (1, 1) and (1, -1) and g lies along the first, so nothing is inverted
        and nothing cancels when the poles approach 1.
        """
        tau, delta = poles.tau, poles.delta
        now, before = self._ahead(poles)
        if self.hidden == 1:
            return now**2 * (1.0 - tau**2), now * (1.0 + tau), (1.0 + tau) / (1.0 - tau)
        even, odd = 1.0 + delta - tau, 1.0 + delta + tau
        held = (1.0 - delta) / 2.0 * ((now + before) ** 2 * even + (now - before) ** 2 * odd)
        return held, (now + before) * (1.0 - delta), 2.0 * (1.0 - delta) / even

    def _ahead(self, poles: _Poles) -> tuple[Array, Array]:
        """g_k and g_{k-1} (N)."""
        before, now = np.zeros_like(poles.tau), np.ones_like(poles.tau)
        for _ in range(self.delay):
            before, now = now, poles.tau * now - poles.delta * before
        return now, before


def _refine(problem: _Problem) -> _Poles:
    """Grids over complex and over real poles, then a zoom around the best cell of each band."""
    chart = np.linspace(-1.0, 1.0, _GRID)
    offsets = np.linspace(-1.0, 1.0, 9)
    # The shift register, which has all poles at 0, is an exact point of the complex chart.
    branches = (_complex_poles, _real_poles)[2 - problem.hidden :]
    found, best = np.inf, _Poles(np.zeros(1), np.zeros(1))
    for to_poles in branches:
        second = (chart, offsets) if problem.hidden == 2 else (np.zeros(1), np.zeros(1))
        x, y = (axis.ravel() for axis in np.meshgrid(chart, second[0]))
        zoom_x, zoom_y = (axis.ravel() for axis in np.meshgrid(offsets, second[1]))
        losses = problem.losses(to_poles(x, y))
        for band in np.array_split(np.argsort(x, kind="stable"), _STARTS):
            start, step = band[np.argmin(losses[band])], chart[1] - chart[0]
            near_x, near_y = x[start], y[start]
            for _ in range(_ZOOMS):
                grid_x = np.clip(near_x + step * zoom_x, -1.0, 1.0)
                grid_y = np.clip(near_y + step * zoom_y, -1.0, 1.0)
                poles = to_poles(grid_x, grid_y)
                values = problem.losses(poles)
                index = int(np.argmin(values))
                near_x, near_y, step = grid_x[index], grid_y[index], step * 0.4
                if values[index] < found:
                    found = float(values[index])
                    best = _Poles(poles.tau[index : index + 1], poles.delta[index : index + 1])
    return _Poles(np.abs(best.tau), best.delta) if problem.mean == 0.0 else best


def _real_poles(x: Array, y: Array) -> _Poles:
    """Two real poles from [-1, 1]², crowded towards +-1 where long delays need them."""
    first, second = _EDGE * np.sin(np.pi / 2 * x), _EDGE * np.sin(np.pi / 2 * y)
    return _Poles(first + second, first * second)


def _complex_poles(x: Array, y: Array) -> _Poles:
    """rho exp(+-i theta) from [-1, 1]²: theta from 0 to 180 degrees, crowded towards both ends."""
    radius = _EDGE * np.sin(np.pi / 4 * (y + 1.0))
    theta = np.pi * np.sin(np.pi / 4 * (x + 1.0)) ** 2
    return _Poles(2.0 * radius * np.cos(theta), radius**2)


def _network(problem: _Problem, poles: _Poles, law: DelayLaw, biased_mean: float) -> LinearOptimum:
    """Weights in the basis that turns by rho Rot(theta) where the poles are complex."""
    gain, tau, delta = problem.readout(poles), float(poles.tau[0]), float(poles.delta[0])
    if problem.hidden == 1:
        W_hh, W_uh, W_r = np.array([[tau]]), np.ones((1, 1)), gain[None]
    elif tau**2 < 4.0 * delta:
        radius = np.sqrt(delta)
        cosine = tau / (2.0 * radius)
        sine = np.sqrt(1.0 - cosine**2)
        W_hh = radius * np.array([[cosine, -sine], [sine, cosine]])
        W_uh = np.array([[1.0], [0.0]])
        # a_0 and a_1 fix the readout: a_0 = q_1, a_1 = q_1 tau + q_2.
        ahead = (gain[0] * tau + gain[1] - radius * cosine * gain[0]) / (radius * sine)
        W_r = np.array([[gain[0], ahead]])
    else:
        W_hh = np.array([[tau, -delta], [1.0, 0.0]])
        W_uh, W_r = np.array([[1.0], [0.0]]), gain[None]
    reached = float((W_r @ np.linalg.solve(np.eye(problem.hidden) - W_hh, W_uh))[0, 0])
    return LinearOptimum(
        W_hh=W_hh,
        W_uh=W_uh,
        W_r=W_r * law.sign[0],
        bias=np.array([law.sign[0] * biased_mean * (1.0 - reached)]),
        loss=float(problem.losses(poles)[0]),
    )


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [OptimalLinear]
