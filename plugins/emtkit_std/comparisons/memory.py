"""Comparison `memory`: whether two networks hold the same items as well, and move them alike."""

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from emtkit import Comparison, Findings, ScalarInfo, Subject, hookimpl
from emtkit_std._parameters import Sequences
from emtkit_std.analyses.memory_map import MemoryMap

MOVES = ("slot", "wave", "rotation")


class Memory(Comparison[Findings]):
    """The distance between the memory maps of two networks (analysis `memory_map`).

        distance = sqrt(sum_kt w_kt (R_a,kt - R_b,kt)^2 / sum_kt w_kt)
        moving   = sqrt(mean over slot, wave, rotation of (i_a - i_b)^2)

    R_kt is the R^2 with which item k is read linearly off the state at step t, w_kt how much the
    task needs it then; i are the indices of how codes move, of those that both have. Two networks
    may hold the same by other mechanisms: distance 0, moving above. States are whitened, so no
    h -> A h matters.

    References: own (the map's own sources are in `memory_map`).
    """

    name = "memory"
    scalars = {
        "distance": ScalarInfo("distance between what is held of the needed items"),
        "moving": ScalarInfo(
            "distance between the indices of how codes move",
            undefined="where the two have no index in common",
        ),
    }
    identity = {"distance": 0.0}
    unchanged_by = ("order", "signs", "rotation", "scale", "linear")

    def __init__(self, *, sequences: Annotated[Sequences, Field(ge=64)] = 256) -> None:
        self.sequences = sequences

    def observe(self, subject: Subject) -> Findings:
        """The memory map of one network."""
        return MemoryMap(sequences=self.sequences).measure(subject)

    def compare(self, first: Findings, second: Findings) -> Findings:
        """The distances of two maps of one task."""
        one, other = (found.tables["held"] for found in (first, second))
        weight, apart = one["weight"].to_numpy(), (one["r2"] - other["r2"]).to_numpy()
        held = float(np.sqrt(weight @ apart**2 / weight.sum()))
        indices = ([float(found.scalars[name]) for name in MOVES] for found in (first, second))
        gaps = np.subtract(*indices)
        known = gaps[~np.isnan(gaps)]
        moving = float(np.sqrt(np.square(known).mean())) if known.size else float("nan")
        return Findings(
            {"distance": held, "moving": moving}, reasons={"moving": "no index is known of both"}
        )


@hookimpl
def emtkit_comparisons() -> list[type[Comparison[Any]]]:
    """Offer `memory`."""
    return [Memory]
