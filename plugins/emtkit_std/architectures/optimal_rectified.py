"""The best linear recurrence with a rectified readout for one delayed feature."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field

from emtkit import Fact, SequenceModel, Task, hookimpl
from emtkit_std._theory.facts import Array, DelayLaw, LinearRecurrence, PulseCircuit
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.forms import PreActivationNetwork
from emtkit_std._theory.networks.recurrence import Constructed, as_buffer
from emtkit_std._theory.superposition.filters import filters
from emtkit_std._theory.superposition.rectified_optimum import Branch, branches
from emtkit_std._theory.superposition.scored import one_feature, scored_of


@lru_cache(maxsize=1024)
def _branches(law: DelayLaw, hidden: int, scored: bytes, *, best: bool = False) -> list[Branch]:
    """Asked for when a study is planned and when a network is built; found once in a process."""
    return branches(law, hidden, np.frombuffer(scored, dtype=bool), best=best)


class OptimalRectified(Constructed, PreActivationNetwork):
    """The best linear recurrence with a rectified readout for its task; nothing to train.

    h_t = W_hh h_{t-1} + W_uh u_t,  y_t = relu(W_r h_t) at the least exact loss, or at the least of
    a branch: dense codes, alternating ones, and sparse ones, which hide what must not be read
    behind the rectifier. Projections reach sum |a_s| = 100 |a_k|: for long delays and sparse inputs
    the infimum lies at radius 0, where they grow without bound. State (B H), outputs (B 1).

    References: Sharma, Proca, Prieto and Mediano (ICLR 2026); the optimum is emtkit's.
    """

    name = "optimal_rectified"
    version = 2  # branches are followed along densities: better optima at long delays
    offers = (LinearRecurrence, PulseCircuit, Mechanism)
    activation = "linear"
    readout = "relu"

    def __init__(
        self,
        task: Task,
        *,
        hidden: Annotated[int, Field(ge=1, le=4, description="Number of units H.")] = 2,
        branch: Annotated[
            Literal["best", "dense", "alternating", "sparse"],
            Field(description="The regime of which the best network is taken, or the best of all."),
        ] = "best",
    ) -> None:
        super().__init__()
        law, scored = task.facts(DelayLaw), scored_of(task).tobytes()
        self.delay = max(law.delay)
        found = _branches(law, hidden, scored, best=branch == "best")
        self._hold_point(next(one.point for one in found if branch in ("best", one.regime)))

    def _hold_point(self, point: Array) -> None:
        """Take the weights of angles and readouts (2 H)."""
        angles, readout = np.split(point, 2)
        self.hidden = len(angles)
        network = filters(angles[None])
        weights = {
            "W_hh": network.W_hh[0],
            "W_uh": network.W_uh[0][:, None],
            "W_r": readout[None],
        }
        self.hold({name: as_buffer(np.ascontiguousarray(value)) for name, value in weights.items()})
        self.b_r = None

    @classmethod
    def empty(cls, task: Task, parameters: Mapping[str, Any]) -> Self:
        """A shift register that is not read: weights come without a search."""
        model = cls.__new__(cls)
        super(OptimalRectified, model).__init__()
        model.delay = max(task.facts(DelayLaw).delay)
        model._hold_point(np.zeros(2 * parameters["hidden"]))
        return model

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """The optimum is known for one delayed feature with amplitudes known by name."""
        if refusal := one_feature(task):
            return refusal
        law = task.facts(DelayLaw)
        if not law.amplitude or min(law.sign) < 0:
            return "the exact loss of a rectified readout needs the amplitudes' law by name"
        hidden, branch = parameters["hidden"], parameters["branch"]
        if branch == "best":
            return None
        found = [one.regime for one in _branches(law, hidden, scored_of(task).tobytes())]
        if branch not in found:
            there = ", ".join(found)
            return f"no minimum of {hidden} units is {branch} here; there are: {there}"
        return None

    def facts(self, kind: type[Fact]) -> Fact:
        """Its weights; and that ages share its units, unless there is one for each."""
        if kind is not Mechanism:
            return super().facts(kind)
        if self.hidden <= self.delay:
            return kind("superposed")
        return kind("register", tuple(range(self.delay + 1)), (1.0,) * (self.delay + 1))


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [OptimalRectified]
