"""Networks as points of a plane, so that their distances are those of a comparison, as near as may.

Classical multidimensional scaling of the distances D (n, n), with J = 1 - 11'/n:

    -1/2 J D^2 J = V diag(lambda) V',   points = V_2 diag(sqrt lambda_2)

The two largest of the positive lambda are shown, and what share they are of all of these.

References: Torgerson (1952), doi:10.1007/BF02288916.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from emtkit.report.figures.palette import colour, marker

Numbers = NDArray[np.float64]


def scaled(distances: Numbers) -> tuple[Numbers, float]:
    """The points (n, 2) of distances (n, n), and what share of the whole they hold."""
    n = len(distances)
    centring = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-0.5 * centring @ np.square(distances) @ centring)
    values, vectors = values[::-1], vectors[:, ::-1]
    # The sign of an eigenvector is nobody's choice: its largest entry is positive.
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(n)])
    held = np.clip(values, 0.0, None)
    whole = float(held.sum())
    return vectors[:, :2] * np.sqrt(held[:2]), float(held[:2].sum()) / whole if whole else 1.0


def draw_plane(axes: Axes, distances: Numbers, groups: Sequence[Sequence[int]]) -> Numbers:
    """Draw networks of distances (n, n), each of `groups` in its colour; their points (n, 2)."""
    points, share = scaled(distances)
    for order, members in enumerate(groups):
        tone, shape = colour(order), marker(order)
        axes.plot(*points[members].T, ls="", marker=shape, ms=4, color=tone, alpha=0.8)
    axes.set_aspect("equal", adjustable="datalim")
    axes.locator_params(nbins=4)
    axes.set(xlabel=f"{100 * share:.0f} % of the whole in this plane", ylabel="")
    return points
