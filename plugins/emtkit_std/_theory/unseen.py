"""How much a search has not seen, from how often it met what it has.

Of n draws let f_1 kinds have been met once and f_2 twice. Then

    chance that the next draw is of a kind not met yet  ~  f_1 / n              (Good-Turing)
    number of kinds not met  >=  f_1 (f_1 - 1) / (2 (f_2 + 1)), in expectation  (Chao 1)

References: Good (1953), doi:10.1093/biomet/40.3-4.237; Chao (1984), Scandinavian Journal of
Statistics 11, 265-270, in the bias-corrected form of Chao (2005).
"""

import numpy as np
from numpy.typing import NDArray


def unseen_share(hits: NDArray[np.int64]) -> float:
    """Chance that the next draw is new, of how often each kind was met (K); NaN without draws."""
    draws = int(hits.sum())
    return float((hits == 1).sum() / draws) if draws else float("nan")


def unseen_kinds(hits: NDArray[np.int64]) -> float:
    """A lower bound, in expectation, for the number of kinds that were not met."""
    once, twice = int((hits == 1).sum()), int((hits == 2).sum())
    return once * (once - 1) / (2 * (twice + 1))
