"""Roles of grids: the networks that a study is about, and those that its claims are held against.

A negative control is where a claim must not hold (untrained networks, networks without a
recurrence), a positive control where it is known to hold (constructed networks).
"""

from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args

from emtkit.study.wanted import Criterion, matches

Role = Literal["study", "positive", "negative"]
STUDY: Role = "study"
CONTROLS: tuple[Role, ...] = tuple(role for role in get_args(Role) if role != STUDY)


def is_shown(role: str, grid: str, where: Mapping[str, Any], axes: Collection[str] = ()) -> bool:
    """Whether a view with this `where` and these `axes` shows the networks of such a grid.

    A control's networks are shown where the view asks for them: it names the column `role`, or its
    `where` names the grid. A `where` that only leaves out other grids does not ask.
    """
    if role == STUDY or "role" in where or "role" in axes:
        return True
    wanted = where.get("grid")
    return wanted is not None and not isinstance(wanted, Criterion) and matches(grid, wanted)
