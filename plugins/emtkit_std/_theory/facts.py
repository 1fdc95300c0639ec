"""The records of theory that the built-in tasks and models offer and the analyses require."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emtkit import EmtkitError
from emtkit_std._theory.superposition.amplitudes import AMPLITUDES

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Activation = Literal["linear", "relu", "tanh"]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda values: values,
    "relu": lambda values: np.maximum(values, 0.0),
    "tanh": np.tanh,
    "sign": np.sign,
}


@dataclass(frozen=True)
class DelayLaw:
    """Each output repeats one input some steps later; one entry per output in every tuple.

    Output j should be sign_j x_{source_j}(t - delay_j), and 0 before. The inputs are independent
    over time and channel, unless `independent` is false: x = B U with B ~ Bernoulli(density),
    E[U] = mean, E[U²] = second_moment (raw moments of the source of that output). `importance`
    weighs the squared errors (empty: all 1); `amplitude` names the law of U where a closed form
    needs more than its moments, one name for all outputs or one each (`amplitudes`).

    Source: Sharma, Proca, Prieto and Mediano (ICLR 2026), task and data of the main text.
    """

    delay: tuple[int, ...]
    source: tuple[int, ...]
    sign: tuple[float, ...]
    mean: tuple[float, ...]
    second_moment: tuple[float, ...]
    density: tuple[float, ...]
    importance: tuple[float, ...] = ()
    amplitude: str | tuple[str, ...] = ""
    independent: bool = True

    def __post_init__(self) -> None:
        outputs = len(self.delay)
        if not self.importance:
            object.__setattr__(self, "importance", (1.0,) * outputs)
        if len(names := set(self.amplitudes)) == 1:  # one law has one form
            object.__setattr__(self, "amplitude", names.pop())
        for name in ("source", "sign", "mean", "second_moment", "density", "importance"):
            self._check_entries(name, len(getattr(self, name)))
        self._check_entries("amplitude", len(self.amplitudes))
        self._check_values()

    def _check_entries(self, name: str, entries: int) -> None:
        if entries != (outputs := len(self.delay)):
            raise EmtkitError(
                f"DelayLaw: {name} has {entries} entries for {outputs} outputs; "
                "give one per output, as in delay"
            )

    def _check_values(self) -> None:
        wrong = [f"delay {k} lies in the future; it must be 0 or more" for k in self.delay if k < 0]
        wrong += [
            f"density {p} is the probability that an input is active; it must be above 0 and at "
            "most 1"
            for p in self.density
            if not 0.0 < p <= 1.0
        ]
        wrong += [
            f"second_moment {second} cannot belong to mean {mean}; give the raw moment E[U²], "
            "which is positive and at least mean²"
            for mean, second in zip(self.mean, self.second_moment, strict=True)
            if second <= 0.0 or second < mean * mean - 1e-12
        ]
        if sorted(set(self.source)) != list(range(max(self.source, default=-1) + 1)):
            wrong.append(
                f"the sources {self.source} skip an input, whose law is then unknown; number the "
                "inputs from 0 without gaps"
            )
        if wrong:
            raise EmtkitError(f"DelayLaw: {wrong[0]}")

    @property
    def inputs(self) -> int:
        """Number of input channels."""
        return max(self.source) + 1

    @property
    def amplitudes(self) -> tuple[str, ...]:
        """The name of the law of each output's source; '' where it is not known."""
        one = isinstance(self.amplitude, str)
        return (self.amplitude,) * len(self.delay) if one else tuple(self.amplitude)

    @property
    def dependence(self) -> str:
        """Why closed forms do not apply; empty where the inputs are independent."""
        return "" if self.independent else "the closed forms are those of independent inputs"

    @property
    def one_signed(self) -> bool:
        """Whether no input is ever negative."""
        known = [AMPLITUDES.get(name) for name in self.amplitudes]
        return all(law is not None and law.one_signed for law in known)


@dataclass(frozen=True)
class CuedLaw:
    """Items of the first steps are repeated when the last input, a cue, is 1.

    `items` vectors of `features` values with the law of size `amplitude`, at most `longest` steps
    later.
    """

    items: int
    features: int
    longest: int
    amplitude: str


@dataclass(frozen=True)
class LatchLaw:
    """Each of the outputs, as many as there are inputs, is the last input of its own that is not 0.

    Inputs are -1, 0 and 1; an output is 0 before the first that is not 0.
    """

    channels: int


@dataclass(frozen=True)
class PairsLaw:
    """Of `pairs` of a one-hot key and a value, `queries` keys are answered with their values.

    Inputs are `keys` channels and `dimension` more for signs; a pair comes in one step, or its
    value a step after its key (`apart`), and the queries after all pairs, one a step.
    """

    pairs: int
    queries: int
    keys: int
    dimension: int
    apart: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class HistoryLaw:
    """The next item of a history is a fixed function of all of it.

    `rule` takes flattened histories (..., s d), oldest item first, to the next items (..., d).
    `real_values`: the values are not signs, so that no saturating network can carry them.

    Source: Episodic Memory Theory (arXiv:2310.02430), Eq. 4.
    """

    history: int
    dimension: int
    rule: Callable[[Array], Array]
    real_values: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearHistoryLaw(HistoryLaw):
    """A history law whose rule is a matrix.

    `phi` (s d, s d) advances the flattened history, oldest item first; `mask` (s d) marks the
    coordinates that the smallest exact circuit keeps (all, where the core is incomplete);
    `core_rank` counts the non-zero eigenvalues of phi, which are `spectrum` (core_rank,), in
    closed form where there is one; `period` is the smallest p with phi^p = I on the core, where
    there is one. A driven delay line without an autonomous rule has core rank 0.

    Source: Episodic Memory Theory (arXiv:2310.02430), Eqs. 6, 8.
    """

    phi: Array
    mask: Mask
    core_rank: int
    spectrum: NDArray[np.complex128] | None = None
    period: int | None = None

    @property
    def operator(self) -> Array:
        """The rule f (d, s d): the last rows of phi."""
        return self.phi[-self.dimension :]


@dataclass(frozen=True)
class LinearRecurrence:
    """h_t = W_hh h_{t-1} + W_uh u_t, read by W_r h_t; (H, H), (H, I), (O, H), float64."""

    W_hh: Array
    W_uh: Array
    W_r: Array


@dataclass(frozen=True)
class PulseCircuit:
    """A recurrent network in the form of the temporal superposition paper.

    h_t = W_uh u_t + W_hh sigma(h_{t-1}) + b,  y_t = readout(W_r r(h_t) + b_r), h PRE-activation.
    `reads` says what r(h_t) is: h_t itself ("preactivation", the paper) or sigma(h_t)
    ("activation", as in an Elman network). W_hh (H, H), W_uh (H, I), W_r (O, H), b (H), b_r (O).
    """

    W_hh: Array
    W_uh: Array
    W_r: Array
    b: Array
    b_r: Array
    activation: Activation
    readout: Literal["linear", "relu"]
    reads: Literal["preactivation", "activation"] = "preactivation"

    @property
    def biased(self) -> bool:
        """Whether any bias differs from zero."""
        return bool(self.b.any() or self.b_r.any())


Response = Callable[[Array], Array]
