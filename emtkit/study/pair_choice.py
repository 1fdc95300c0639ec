"""Which two networks a comparison looks at, as a study file says it."""

from typing import Literal

from emtkit.methods.settings import Count
from emtkit.study.wanted import View, Where

ASIDE = ("cell", "grid")
"""Columns that follow from others, in which two networks may always differ."""


class PairChoice(View):
    """Which pairs of networks are compared: two on one setting of a task, in grids of one role.

    Short forms: `all`, or the list `differ` alone. `differ: [seed]` compares the networks of each
    setting over seeds, `differ: [architecture, seed]` those of all architectures, too.
    """

    differ: Literal["all"] | tuple[str, ...] = "all"
    """Columns in which the two may differ (`architecture` with all its parameters); or `all`."""
    against: Where | None = None
    """Reference networks; every other network is compared with these, whatever its role."""
    most: Count = 1000
    """Largest number of pairs; where there are more, only the first seeds are compared."""

    def frees(self, column: str) -> bool:
        """Whether two networks may differ in a column."""
        if column.partition(".")[0] == "task":
            return False
        names = () if self.differ == "all" else self.differ
        wide = self.differ == "all" and column != "role"
        inside = any(column == name or column.startswith(f"{name}.") for name in names)
        return wide or inside or column in ASIDE or (self.against is not None and column == "role")
