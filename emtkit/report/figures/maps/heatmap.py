"""Heatmaps."""

import numpy as np
from matplotlib.axes import Axes

from emtkit.report.data.results import level_text
from emtkit.report.figures.palette import INK
from emtkit.report.figures.spots import Spot
from emtkit.report.figures.value_map import (
    MANY,
    Map,
    Scale,
    ValueMap,
    colours_of,
    fields_of,
    numbers_of,
)
from emtkit.report.inference.aggregate import Aggregate
from emtkit.report.tables.numbers import number_text
from emtkit.study.math_text import drawable


class Heatmap(Map):
    """The value as colour, each level a row or column; written out where there is room."""

    def draw(self, axes: Axes, values: ValueMap, scale: Scale) -> list[Spot]:
        """Draw one panel."""
        import seaborn  # takes two seconds to import, which other figures need not pay

        numbers = numbers_of(values, scale)
        texts = np.array([[_short(one) for one in row] for row in values.found])
        width = axes.get_window_extent().width * 72 / axes.figure.dpi / len(values.xs)
        size = min(9.0, width / (0.64 * max(6, *(len(text) for text in texts.flat))))
        seaborn.heatmap(
            numbers,
            ax=axes,
            mask=np.isnan(numbers),
            annot=texts if size >= 5 else None,
            fmt="",
            annot_kws={"size": size},
            linewidths=0.5,
            cbar=False,
            rasterized=numbers.size > MANY,
            xticklabels=[drawable(level_text(x)) for x in values.xs],
            yticklabels=[drawable(level_text(y)) for y in values.ys],
            **colours_of(scale),
        )
        for r, c in np.argwhere(np.isnan(numbers)):
            axes.text(c + 0.5, r + 0.5, "–", ha="center", va="center", color=INK)
        axes.tick_params(length=0)
        axes.tick_params(axis="y", labelrotation=0)
        axes.tick_params(axis="x", labelrotation=0 if len(values.xs) <= 8 else 45)
        values.panel.label_axes(axes)
        ends = [(float(place), place + 1.0) for place in range(max(numbers.shape))]
        return fields_of(axes, values, ends, ends)


def _short(one: Aggregate) -> str:
    return number_text(one.value) if isinstance(one.value, float) else str(one.value or "–")
