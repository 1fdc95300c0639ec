"""Lone pulses of several networks as tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from emtkit_std._findings import long_tables
from emtkit_std._theory.facts import DelayLaw
from emtkit_std._theory.superposition import projections
from emtkit_std._theory.superposition.pulses import Pulses


def pulse_tables(seen: Sequence[Pulses], law: DelayLaw) -> list[dict[str, pd.DataFrame]]:
    """Projections, with the output's delay and source; angles from w_s to w_{s+1} and lengths."""
    axes = ("lag", "feature_in", "feature_out")
    values = np.stack([one.projections.T for one in seen])
    output = {
        name: np.broadcast_to(np.asarray(each), values.shape)
        for name, each in (("delay", law.delay), ("source", law.source))
    }
    by_lag = long_tables(axes, {"value": values, **output})
    directions = [one.directions for one in seen]
    angles = np.stack([projections.successive_angles(each) for each in directions])
    lengths = np.stack([np.linalg.norm(each[:-1], axis=1) for each in directions])
    between = long_tables(axes[:2], {"angle": angles, "length": lengths})
    spans = np.stack([projections.principal_angles(each, len(each) - 1) for each in directions])
    by_age = long_tables(("lag", "place"), {"angle": spans})
    return [
        {"projections": one, "angles": two, "principal_angles": three}
        for one, two, three in zip(by_lag, between, by_age, strict=True)
    ]
