"""How much of its input any driven network holds, linearly and in products, by its states."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, groupby
from math import comb
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from numpy.polynomial import legendre
from pydantic import Field

from emtkit import (
    Analysis,
    Bars,
    Control,
    Drawing,
    Findings,
    NotApplicable,
    Plot,
    RecurrentModel,
    ScalarInfo,
    Subject,
    hookimpl,
)
from emtkit_std._controls import LAST_DELAY, REGISTER
from emtkit_std._parameters import Sequences
from emtkit_std._theory.facts import Array
from emtkit_std._theory.networks.recurrence import to_array
from emtkit_std._theory.observe import draw, in_double
from emtkit_std._theory.standard_error import apart, of_mean
from emtkit_std._theory.whitened import Whitened, whiten

LEAST_LAGS, JUDGED_STEPS = 32, 256
"""Steps of a recurrent network after those that its lags ask for."""
_NULL = 1000
"""Values of the null of a degree, where sequences suffice: few targets exceed all by chance."""
_AT_ONCE = 128
"""Products that are judged together, which bounds the memory."""


def draw_capacity(findings: Findings) -> Drawing:
    """Capacity against the lag of the oldest factor, stacked by degree."""
    rows = findings.tables["capacity"]
    by = rows.pivot_table(index="lag", columns="degree", values="capacity", aggfunc="sum")
    base, bars = np.zeros(len(by)), []
    for place, (degree, column) in enumerate(by.fillna(0.0).items()):
        bars.append(Bars(by.index, column, base, f"degree {degree}", f"C{place}"))
        base = base + column.to_numpy()
    return Drawing([Plot(bars, "", "lag of the oldest factor", "capacity")])


class InformationCapacity(Analysis):
    """Linear and nonlinear memory of inputs drawn anew, x uniform, at every step.

    Targets are products of normalised Legendre polynomials of x at lags k and channels c,

        z(t) = prod_i sqrt(2 d_i + 1) P_(d_i)(x_(c_i)(t - k_i)),   degree sum_i d_i,

    uncorrelated with one another. The capacity C of one is the share of its variance that an affine
    map of the state explains, the same map at all times. Fitted to N states of r directions it
    explains of other sequences' R^2, where

        E R^2 = C - (1 - C) r / N,   so that   (R^2 + r / N) / (1 + r / N)

    is C with chance removed. It counts as 0 up to the largest of its null, the same for the states
    of other sequences, over all targets of its degree.

    `linear` sums degree 1, `nonlinear` degree 2 to `degree` over the nearest lags, so that `total`
    is a lower bound of what is held. It cannot exceed `directions`, the number r of independent
    directions of the states (Dambre et al.). Directions below 1e-10 of the largest are rounding and
    count in neither; how many are above depends on the numbers as much as on the network (Ballarin
    et al.), and `memory_capacity` is exact where the recurrence is linear.

    Inputs span what the task draws, whatever its law. Table `capacity` (degree, lag, products,
    capacity), by the lag of the oldest factor.

    References: Jaeger 2001, GMD Report 152; Dambre et al. 2012, doi:10.1038/srep00514; Ballarin,
    Grigoryeva and Ortega, arXiv:2305.01457.
    """

    name = "information_capacity"
    scalars = {
        "linear": ScalarInfo("linear memory capacity: sum of degree 1", better="higher"),
        "nonlinear": ScalarInfo("capacity of products, degree 2 and up", better="higher"),
        "total": ScalarInfo("sum of both", better="higher"),
        "linear_error": ScalarInfo("standard error of `linear`, over the judged sequences"),
        "nonlinear_error": ScalarInfo("the same of `nonlinear`"),
        "total_error": ScalarInfo("the same of `total`"),
        "directions": ScalarInfo("independent directions of the states, which bound the total"),
        "lags": ScalarInfo("number of lags that degree 1 asks for", unit="steps"),
    }
    drawings = {"capacity": draw_capacity}
    controls = (
        Control(LAST_DELAY, REGISTER, "linear", least=4 - 1e-6, most=4 + 1e-6),
        Control(LAST_DELAY, {"use": "memoryless", "hidden": 4}, "linear", most=1 + 1e-6),
    )

    def __init__(
        self,
        *,
        degree: Annotated[
            int, Field(ge=1, le=6, description="Largest degree of a product that is asked for.")
        ] = 3,
        lags: Annotated[
            int | None,
            Field(
                ge=1,
                description="Number of lags of degree 1, from 0 on; null takes twice the number "
                "of units of a recurrent network, at least 32; elsewhere half of the task's steps.",
            ),
        ] = None,
        products: Annotated[
            int, Field(ge=1, description="Most products of each degree above 1.")
        ] = 500,
        sequences: Annotated[Sequences, Field(ge=8)] = 64,
    ) -> None:
        self.degree, self.lags, self.products = degree, lags, products
        self.sequences = sequences

    def measure(self, subject: Subject) -> Findings:
        """Drive with fresh inputs, and read every product from the states."""
        task = draw(subject, self.sequences)
        if task.input_steps < task.steps:
            raise NotApplicable(
                f"inputs come at {task.input_steps} of {task.steps} steps of {subject.task.name}, "
                "and capacity is that of a network that is driven at every step"
            )
        low, high = float(task.inputs.min()), float(task.inputs.max())
        if not low < high:
            raise NotApplicable(f"all inputs of {subject.task.name} are {low:g}")
        model = in_double(subject.model)
        recurrent = isinstance(model, RecurrentModel)
        lags = self.lags or (
            max(LEAST_LAGS, 2 * model.hidden) if recurrent else max(1, task.steps // 2)
        )
        steps = lags + JUDGED_STEPS if recurrent else task.steps
        if lags > steps:
            raise NotApplicable(f"{lags} lags were requested of sequences of {steps} steps")
        uniform = subject.stream.fork("inputs").uniform(
            (self.sequences, steps, task.inputs.shape[-1])
        )
        uniform = uniform.double()
        with torch.no_grad():
            states = to_array(model.trace(low + (high - low) * uniform, steps).states)
        if not np.isfinite(states).all():
            raise NotApplicable("the states overflow")
        reader = _Reader(states[:, lags - 1 :], 2 * to_array(uniform) - 1, lags)
        found = [reader.read(reader.products(d, self.products)) for d in self._degrees()]
        return _summary(found, reader.white.fitted.shape[1], lags)

    def _degrees(self) -> range:
        return range(1, self.degree + 1)


@dataclass(frozen=True)
class Factor:
    """P_degree of the input of `channel`, `lag` steps ago."""

    lag: int
    channel: int
    degree: int


@dataclass(frozen=True, eq=False)
class Capacities:
    """Of K products of one degree: the `lag` of each one's oldest factor and its `capacity` (K).

    `apart` (N): how far each judged sequence, alone, moves their sum.
    """

    degree: int
    lag: Array
    capacity: Array
    apart: Array


class _Reader:
    """Whitened states (B T H) of two halves of the sequences; all inputs x (B S I) in -1 .. 1."""

    def __init__(self, states: Array, inputs: Array, lags: int) -> None:
        self.inputs, self.lags, self.steps = inputs, lags, states.shape[1]
        self.half = len(states) // 2
        rows = states.reshape(len(states), -1, states.shape[-1])
        fitted, judged = _flat(rows[: self.half]), _flat(rows[self.half :])
        self.white: Whitened = whiten(fitted, judged, len(fitted))
        self.powers: dict[int, Array] = {}

    def products(self, degree: int, most: int) -> list[tuple[Factor, ...]]:
        """Those of one degree, of all lags for degree 1, else of the lags that `most` allow."""
        channels = self.inputs.shape[-1]
        variables = [(lag, channel) for lag in range(self.lags) for channel in range(channels)]
        if degree > 1:
            fits = (n for n in range(len(variables), 0, -1) if comb(n + degree - 1, degree) <= most)
            variables = variables[: next(fits, 1)]
        chosen = combinations_with_replacement(variables, degree)
        return [
            tuple(Factor(*which, len(list(same))) for which, same in groupby(each))
            for each in chosen
        ]

    def read(self, products: Sequence[tuple[Factor, ...]]) -> Capacities:
        """The capacity of each, 0 where the largest of the null is not exceeded."""
        capacity, null, moved = [], [], []
        draws = min(self.half - 1, -(-_NULL // len(products)))
        for start in range(0, len(products), _AT_ONCE):
            some = products[start : start + _AT_ONCE]
            values = np.stack([self._values(each) for each in some], axis=-1)
            own, aside = self._explained(values)
            capacity.append(own)
            moved.append(aside)
            for shift in range(1, 1 + draws):
                null.append(self._explained(_other_sequences(values, self.half, shift))[0])
        found, least = np.concatenate(capacity), max(0.0, float(np.concatenate(null).max()))
        counted = found > least
        return Capacities(
            sum(factor.degree for factor in products[0]),
            np.array([max(factor.lag for factor in each) for each in products]),
            np.where(counted, found, 0.0),
            np.concatenate(moved, axis=1)[:, counted].sum(1),
        )

    def _values(self, product: tuple[Factor, ...]) -> Array:
        """z (B T) at the steps that are read."""
        value = np.ones(())
        for factor in product:
            if factor.degree not in self.powers:
                chosen = np.eye(factor.degree + 1)[-1] * np.sqrt(2 * factor.degree + 1)
                self.powers[factor.degree] = legendre.legval(self.inputs, chosen)
            start = self.lags - 1 - factor.lag
            power = self.powers[factor.degree][:, start : start + self.steps, factor.channel]
            value = value * power
        return value

    def _explained(self, values: Array) -> tuple[Array, Array]:
        """Capacity without chance (K) of targets (B T K), and what each sequence adds (N K)."""
        fitted, judged = values[: self.half], values[self.half :]
        mean = _flat(fitted).mean(0)
        guess = mean + self.white.judged @ (self.white.fitted.T @ (_flat(fitted) - mean))
        missed = np.square(judged - guess.reshape(judged.shape)).sum(1)
        total = np.square(judged - mean).sum(1)
        chance = self.white.fitted.shape[1] / len(self.white.fitted)
        r2 = 1.0 - missed.sum(0) / total.sum(0)
        return (r2 + chance) / (1 + chance), apart(missed, total) / (1 + chance)


def _flat(values: Array) -> Array:
    return values.reshape(-1, values.shape[-1])


def _other_sequences(values: Array, half: int, shift: int) -> Array:
    """The targets (B T K) of another sequence of the same half."""
    return np.concatenate([np.roll(part, shift, axis=0) for part in (values[:half], values[half:])])


def _summary(found: Sequence[Capacities], directions: int, lags: int) -> Findings:
    rows = pd.concat(
        pd.DataFrame({"degree": each.degree, "lag": each.lag, "capacity": each.capacity})
        for each in found
    )
    table = rows.groupby(["degree", "lag"])["capacity"].agg(["size", "sum"]).reset_index()
    table.columns = pd.Index(["degree", "lag", "products", "capacity"])
    linear, others = found[0], found[1:]
    beyond = sum((each.apart for each in others), np.zeros_like(linear.apart))
    nonlinear = float(sum(each.capacity.sum() for each in others))
    return Findings(
        {
            "linear": float(linear.capacity.sum()),
            "nonlinear": nonlinear,
            "total": float(linear.capacity.sum()) + nonlinear,
            "linear_error": of_mean(linear.apart),
            "nonlinear_error": of_mean(beyond),
            "total_error": of_mean(linear.apart + beyond),
            "directions": directions,
            "lags": lags,
        },
        {"capacity": table},
    )


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Offer `information_capacity`."""
    return [InformationCapacity]
