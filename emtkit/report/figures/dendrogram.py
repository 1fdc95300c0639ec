"""Networks as leaves of a tree, by the distances of a comparison.

Average linkage: the two branches that are nearest join, at the mean distance between a leaf of one
and a leaf of the other, until one is left. Its leaves are ordered such that neighbours are near.

References: Sokal and Michener (1958), University of Kansas Science Bulletin 38 (average linkage);
Bar-Joseph, Gifford and Jaakkola (2001), doi:10.1093/bioinformatics/17.suppl_1.S22 (order).
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from numpy.typing import NDArray

from emtkit.report.figures.palette import INK, colour, marker

Numbers = NDArray[np.float64]
MOST_ORDERED = 300
"""Networks up to which leaves are ordered, which takes a time of their number cubed."""


def draw_tree(axes: Axes, distances: Numbers, groups: Sequence[Sequence[int]]) -> Numbers:
    """Draw networks of distances (n, n), each of `groups` in its colour; their points (n, 2)."""
    from scipy.cluster.hierarchy import dendrogram, linkage
    from scipy.spatial.distance import squareform

    flat = squareform(distances, checks=False)
    joined = linkage(flat, "average", optimal_ordering=len(distances) <= MOST_ORDERED)
    # Without colours of its own; the recursion of scipy is as deep as the tree.
    tree = dendrogram(joined, no_plot=True, color_threshold=0)
    across = (np.array(tree["icoord"]) - 5) / 10  # its leaves lie at 5, 15, 25, ..
    lines = np.stack([across, np.array(tree["dcoord"])], axis=-1)
    axes.add_collection(LineCollection(list(lines), colors=INK, linewidths=0.7))
    points = np.zeros((len(distances), 2))
    points[tree["leaves"], 0] = np.arange(len(distances))
    for order, members in enumerate(groups):
        tone, shape = colour(order), marker(order)
        axes.plot(*points[members].T, ls="", marker=shape, ms=4, color=tone, clip_on=False)
    axes.autoscale_view()
    axes.set_ylim(bottom=0.0)
    axes.set(xticks=[], ylabel="mean distance where branches join")
    return points
