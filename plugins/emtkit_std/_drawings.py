"""What the drawings of several plugins share."""

import numpy as np
import pandas as pd

from emtkit import Line, Mark, Matrix, Plot


def plane(marks: list[Mark], title: str = "") -> Plot:
    """Marks in the complex plane, over the unit circle."""
    turn = np.linspace(0.0, 2.0 * np.pi, 121)
    circle = Line(np.cos(turn), np.sin(turn), colour="grey", width=0.8)
    return Plot([circle, *marks], title, x_label="real part", y_label="imaginary part", equal=True)


def square(table: pd.DataFrame, rows: str, columns: str, values: str, key: str) -> Plot:
    """The numbers of a table, from 0 to 1, over two of its columns, the first row on top."""
    wide = table.pivot_table(index=rows, columns=columns, values=values)
    matrix = Matrix(wide.to_numpy(), low=0.0, high=1.0, top_first=True, key=key)
    across, down = (
        {float(place): str(label) for place, label in enumerate(index)}
        for index in (wide.columns, wide.index)
    )
    return Plot([matrix], x_ticks=across, y_ticks=down)
