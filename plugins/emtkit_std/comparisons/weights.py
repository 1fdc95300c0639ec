"""Comparison `weights`: how far apart the weights of two networks are, units matched."""

from typing import Annotated, Any, Literal

from pydantic import Field

from emtkit import Comparison, Findings, NotApplicable, ScalarInfo, Subject, hookimpl
from emtkit_std._theory.units import Units, matched_distance, units_of


class Weights(Comparison[Units]):
    """The distance of the weights of two networks of one form, up to order and signs of units.

        distance = min over Q of |W_a - Q W_b| / sqrt(|W_a|^2 + |W_b|^2)

    Q reorders the units (in rows, columns, inputs, readout, biases alike) and flips their signs
    where that changes no answer, which is tried on each network: of tanh and linear units, and of
    what gates propose, but not of relu. W are W_hh, W_uh, W_r and the biases of units, or W_hh
    alone. 0: one network; 1: weights that have nothing in common; independent ones are below 1,
    since the best match is taken, so untrained networks are the null. The minimum is a quadratic
    assignment: the best of several starts is an upper bound of it.

    References: Huang et al. (2025), arXiv:2410.03972 (permutation-invariant Frobenius norm of
    W_hh); Ainsworth, Hayase and Srinivasa (2023), arXiv:2209.04836 (alternating assignments).
    """

    name = "weights"
    scalars = {"distance": ScalarInfo("distance of the weights, units matched, 0 to 1.41")}
    identity = {"distance": 0.0}
    unchanged_by = ("order", "signs")

    def __init__(
        self,
        *,
        of: Annotated[
            Literal["all", "recurrent"],
            Field(description="Whether all weights of the units are compared, or W_hh alone."),
        ] = "all",
    ) -> None:
        self.of = of

    def observe(self, subject: Subject) -> Units:
        """The weights of one network by its units."""
        units = units_of(subject)
        return units if self.of == "all" else units.alone()

    def compare(self, first: Units, second: Units) -> Findings:
        """The distance after the best match."""
        shapes = [(units.recurrent.shape, units.biases.shape) for units in (first, second)]
        flips = [repr(units.flips) for units in (first, second)]
        if shapes[0] != shapes[1] or flips[0] != flips[1]:
            raise NotApplicable(
                "their weights have no common form: other sizes, gates or kinds of units"
            )
        return Findings({"distance": matched_distance(first, second)})


@hookimpl
def emtkit_comparisons() -> list[type[Comparison[Any]]]:
    """Offer `weights`."""
    return [Weights]
