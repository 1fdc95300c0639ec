"""The exact linear optimum for a delay task, constructed."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from emtkit import SequenceModel, Task, hookimpl
from emtkit_std._parameters import ReadoutBias
from emtkit_std._theory.facts import DelayLaw, LinearRecurrence, PulseCircuit
from emtkit_std._theory.networks.pre_activation import PreActivationNetwork
from emtkit_std._theory.networks.recurrence import Constructed, as_buffer
from emtkit_std._theory.superposition.linear_optimum import linear_optimum


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


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [OptimalLinear]
