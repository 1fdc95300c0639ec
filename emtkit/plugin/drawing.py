"""What an analysis draws of one network, as data: plots of lines, points, bars and matrices.

A page draws it where the reader looks, and a figure by matplotlib; equal data, equal pictures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emtkit.errors import PluginError

INKS = ("ink", "grey", "lightgrey", "white")
"""Colours by name, beside the series `C0`, `C1` ... and `#rrggbb`."""
_COLOUR = re.compile(r"C\d+|#[0-9a-f]{6}|" + "|".join(INKS))

Style = Literal["solid", "dashed", "dotted"]


class Mark:
    """What a plot shows; places are numbers, NaN is not drawn."""

    def _hold(self, *names: str) -> None:
        """Make these fields arrays of one axis and one length.

        Raises:
            PluginError: they are something else.
        """
        kind = type(self).__name__
        arrays = {name: _numbers(getattr(self, name), f"{kind}.{name}") for name in names}
        if len({array.shape for array in arrays.values()}) > 1 or arrays[names[0]].ndim != 1:
            shapes = ", ".join(f"{name} {list(one.shape)}" for name, one in arrays.items())
            raise PluginError(f"a {kind} has arrays of one axis and equal length; given: {shapes}")
        for name, array in arrays.items():
            object.__setattr__(self, name, array)


@dataclass(frozen=True, eq=False)
class Line(Mark):
    """Places (x, y) joined in their order; `arrow` puts a tip at the last."""

    x: ArrayLike
    y: ArrayLike
    label: str = ""
    colour: str = "C0"
    style: Style = "solid"
    width: float = 1.5
    markers: bool = False
    arrow: bool = False
    opacity: float = 1.0

    def __post_init__(self) -> None:
        self._hold("x", "y")
        _check_colour(self.colour)


@dataclass(frozen=True, eq=False)
class Points(Mark):
    """Discs at (x, y), or circles where `hollow`; `size` is their diameter in points, or each's."""

    x: ArrayLike
    y: ArrayLike
    label: str = ""
    colour: str = "C0"
    size: float | ArrayLike = 4.0
    hollow: bool = False
    opacity: float = 1.0

    def __post_init__(self) -> None:
        self._hold("x", "y")
        if not isinstance(self.size, int | float):
            self._hold("x", "size")
        _check_colour(self.colour)


@dataclass(frozen=True, eq=False)
class Bars(Mark):
    """Bars at x, `width` wide, upon `base` where it is given; one colour, or one for each."""

    x: ArrayLike
    height: ArrayLike
    base: ArrayLike | None = None
    label: str = ""
    colour: str | Sequence[str] = "C0"
    width: float = 0.8

    def __post_init__(self) -> None:
        self._hold("x", "height", *([] if self.base is None else ["base"]))
        colours = [self.colour] if isinstance(self.colour, str) else list(self.colour)
        for one in colours:
            _check_colour(one)
        if not isinstance(self.colour, str) and len(colours) != len(np.asarray(self.x)):
            count = len(np.asarray(self.x))
            raise PluginError(f"Bars have one colour, or one for each: {len(colours)} for {count}")


@dataclass(frozen=True, eq=False)
class Matrix(Mark):
    """Numbers (rows, columns) as colours from `low` to `high`, a field per number.

    `signed` has zero in the middle of its colours. Row r lies at y = r, upwards or, with
    `top_first`, downwards, column c at x = c; `extent` (left, right, lower, upper) puts them
    elsewhere. `key` labels the colours' scale, which is drawn if there is one.
    """

    values: ArrayLike
    low: float | None = None
    high: float | None = None
    signed: bool = False
    top_first: bool = False
    extent: tuple[float, float, float, float] | None = None
    key: str = ""

    def __post_init__(self) -> None:
        values = _numbers(self.values, "Matrix.values")
        if values.ndim != 2 or values.size == 0:
            raise PluginError(
                f"a Matrix has values (rows, columns), at least one; given: {list(values.shape)}"
            )
        object.__setattr__(self, "values", values)

    @property
    def ends(self) -> tuple[float, float]:
        """The numbers that get the first and the last colour, apart even where all are alike."""
        values = np.asarray(self.values)
        known = values[np.isfinite(values)]
        reach = float(np.abs(known).max(initial=0.0))
        least, most = -reach, reach
        if known.size and not self.signed:
            least, most = known.min(), known.max()
        low = float(least if self.low is None else self.low)
        high = float(most if self.high is None else self.high)
        return (low, high) if low < high else (low - 0.5, low + 0.5)


@dataclass(frozen=True)
class Rule(Mark):
    """A line across the whole plot at a height, or, `upright`, at a place along x."""

    at: float
    upright: bool = False
    colour: str = "grey"
    style: Style = "solid"
    width: float = 0.8

    def __post_init__(self) -> None:
        _check_colour(self.colour)


@dataclass(frozen=True)
class Label(Mark):
    """Words centred at (x, y), moved by `offset` (right, up) in points."""

    x: float
    y: float
    text: str
    offset: tuple[float, float] = (0.0, 0.0)
    colour: str = "ink"
    italic: bool = False
    opacity: float = 1.0

    def __post_init__(self) -> None:
        _check_colour(self.colour)


@dataclass(frozen=True, eq=False)
class Area(Mark):
    """The inside of a polygon with corners (x, y)."""

    x: ArrayLike
    y: ArrayLike
    colour: str = "C0"
    opacity: float = 0.1

    def __post_init__(self) -> None:
        self._hold("x", "y")
        _check_colour(self.colour)


@dataclass(frozen=True)
class Plot:
    """One pair of axes and what it shows, the first mark lowest.

    `x_ticks` and `y_ticks` are texts by place, where numbers would say less. `equal`: one unit is
    as long upwards as across.

    Raises:
        PluginError: something among the marks is none.
    """

    marks: Sequence[Mark]
    title: str = ""
    x_label: str = ""
    y_label: str = ""
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    x_log: bool = False
    y_log: bool = False
    x_ticks: Mapping[float, str] | None = None
    y_ticks: Mapping[float, str] | None = None
    equal: bool = False

    def __post_init__(self) -> None:
        for one in self.marks:
            if type(one) not in Mark.__subclasses__():
                known = ", ".join(kind.__name__ for kind in Mark.__subclasses__())
                raise PluginError(f"a Plot has marks ({known}); given: a {type(one).__name__}")


@dataclass(frozen=True)
class Drawing:
    """Plots in rows of `columns` (0: all side by side), with one legend of all labels.

    With `share_x` and `share_y` all plots have one scale, said along the outer ones.

    Raises:
        PluginError: there is no plot.
    """

    plots: Sequence[Plot]
    columns: int = 0
    share_x: bool = False
    share_y: bool = False
    legend_title: str = ""

    def __post_init__(self) -> None:
        if not self.plots:
            raise PluginError("a Drawing has no Plot; raise NotApplicable with the reason")
        object.__setattr__(self, "columns", self.columns or len(self.plots))


def _numbers(given: Any, what: str) -> NDArray[np.float64]:
    try:
        return np.asarray(given, dtype=float)
    except (TypeError, ValueError) as error:
        raise PluginError(f"{what} is not an array of real numbers: {error}") from None


def _check_colour(given: object) -> None:
    if not (isinstance(given, str) and _COLOUR.fullmatch(given)):
        raise PluginError(
            f"the colour {given!r} is unknown; allowed: C0, C1 ... (series), {', '.join(INKS)}, "
            "or #rrggbb with small letters"
        )
