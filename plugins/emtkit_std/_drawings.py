"""What the drawings of several plugins share; only who draws imports matplotlib."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from emtkit_std._theory.facts import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
else:
    Axes = AxesImage = Figure = object


def draw_plane(axes: Axes) -> None:
    """The complex plane with the unit circle."""
    turn = np.linspace(0.0, 2.0 * np.pi, 361)
    axes.plot(np.cos(turn), np.sin(turn), color="grey", linewidth=0.8)
    axes.set(aspect="equal", xlabel="real part", ylabel="imaginary part")


def draw_reason(figure: Figure, reason: str) -> None:
    """In place of a drawing: why there is nothing to draw."""
    panel = figure.subplots()
    panel.set_axis_off()
    panel.text(0.5, 0.5, reason, ha="center", va="center", wrap=True)


def draw_signed(
    axes: Axes, values: Array, *, origin: str = "lower", aspect: str = "auto"
) -> AxesImage:
    """A matrix with zero in the middle of the colours, and row 0 at the `origin`."""
    reach = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    image = axes.imshow(
        values, origin=origin, aspect=aspect, cmap="RdBu_r", interpolation="nearest"
    )
    image.set_clim(-reach, reach)
    axes.grid(False)
    return image


def draw_shares(axes: Axes, table: pd.DataFrame, rows: str, columns: str, values: str) -> AxesImage:
    """The numbers of a table, from 0 to 1, over two of its columns."""
    wide = table.pivot_table(index=rows, columns=columns, values=values)
    image = axes.imshow(wide.to_numpy(), cmap="viridis", vmin=0.0, vmax=1.0)
    axes.grid(False)
    axes.set_xticks(range(wide.shape[1]), [str(label) for label in wide.columns])
    axes.set_yticks(range(wide.shape[0]), [str(label) for label in wide.index])
    return image
