"""Adam with decoupled weight decay."""

from typing import ClassVar, Literal

from emtkit.methods.optimisers.adam import Adam


class AdamW(Adam):
    """The change of `Adam`; weight decay is decoupled: w <- (1 - rate decay) w before it.

    Source: Loshchilov and Hutter 2019, algorithm 2.
    """

    decoupled: ClassVar[bool] = True

    kind: Literal["adamw"] = "adamw"  # type: ignore[assignment]  # another name than Adam's
    """Name of the optimizer."""
