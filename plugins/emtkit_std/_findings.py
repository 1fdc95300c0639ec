"""What the findings of several analyses are put together from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from emtkit import Scalar
from emtkit_std._theory.facts import Array


@dataclass(frozen=True)
class Measured:
    """Scalars, and the reason of each where it is NaN."""

    scalars: Mapping[str, Scalar]
    reasons: Mapping[str, str]


def undefined(names: Iterable[str], reason: str) -> Measured:
    """Scalars that are NaN for one reason."""
    reasons = dict.fromkeys(names, reason)
    return Measured(dict.fromkeys(reasons, float("nan")), reasons)


def long_table(axes: Sequence[str], columns: Mapping[str, Array]) -> pd.DataFrame:
    """A row per entry of arrays of equal shape: its index along each axis, then its values."""
    shape = next(iter(columns.values())).shape
    index = zip(axes, np.indices(shape).reshape(len(shape), -1), strict=True)
    values = {name: each.ravel() for name, each in columns.items()}
    return pd.DataFrame({**dict(index), **values}, copy=False)  # a copy takes longer than all else
