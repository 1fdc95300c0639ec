"""What the findings of several analyses are put together from."""

import math
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
    return long_tables(axes, {name: each[None] for name, each in columns.items()})[0]


def long_tables(axes: Sequence[str], columns: Mapping[str, Array]) -> list[pd.DataFrame]:
    """One `long_table` of each network, of arrays (M ...): one is cut faster than many are made."""
    networks, *shape = next(iter(columns.values())).shape
    index = np.tile(np.indices(shape).reshape(len(shape), -1), networks)
    values = {name: each.ravel() for name, each in columns.items()}
    own = dict(zip(axes, index, strict=True))
    whole = pd.DataFrame({**own, **values}, copy=False)  # a copy takes longer than all else
    rows = math.prod(shape)
    tables = [whole.iloc[rows * at : rows * (at + 1)] for at in range(networks)]
    for table in tables:
        table.index = pd.RangeIndex(rows)
    return tables
