"""The drawings of single networks, small and many of them."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import AutoLocator, MaxNLocator
from matplotlib.transforms import Bbox

from emtkit.errors import EmtkitError
from emtkit.report.data.drawings import StoredDrawing
from emtkit.report.figures.drawn import canvas_svg, lay_out, literal_texts, style

_SIZE = (4.4, 3.6)


class NetworkDrawings:
    """Draws the networks of one report, the drawings of one kind in the layout of their first.

    To lay a drawing out takes three times as long as to draw it.
    """

    def __init__(self) -> None:
        self._layouts: dict[tuple[str, str, int], list[Bbox]] = {}

    def svgs(self, key: str, drawings: Iterable[StoredDrawing]) -> list[dict[str, str]]:
        """Title and element of each drawing of a network; where there is none to show, why."""
        found = []
        with style(text_as_paths=False):
            for place, one in enumerate(drawings):
                try:
                    text = self._drawn(one, f"network-{key}-{place}")
                except EmtkitError as error:
                    text = {"why": str(error)}
                except Exception as error:  # a plugin's drawing: the other drawings are shown
                    text = {"why": f"cannot be drawn: {type(error).__name__}: {error}"}
                found.append({"title": one.title, **text})
        return found

    def _drawn(self, one: StoredDrawing, name: str) -> dict[str, str]:
        canvas = Canvas(figsize=_SIZE)
        one.draw(one.load(), canvas)
        if why := _words(canvas):
            return {"why": why}
        _few_ticks(canvas)
        kind = (one.label, one.name, len(canvas.axes))
        if kind not in self._layouts:
            # With room at the sides for longer labels than those of the first.
            canvas.set_layout_engine("constrained", rect=(0.05, 0.02, 0.94, 0.97))
            lay_out(canvas)
            canvas.set_layout_engine("none")
            self._layouts[kind] = [axes.get_position(original=True) for axes in canvas.axes]
        else:
            literal_texts(canvas)
            for axes, place in zip(canvas.axes, self._layouts[kind], strict=True):
                axes.set_position(place)
        return {"svg": canvas_svg(canvas, name)}


def _few_ticks(canvas: Canvas) -> None:
    """As many as a small drawing has room for: to make and place them is half of the work."""
    for axes in canvas.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_locator(), AutoLocator):
                axis.set_major_locator(MaxNLocator(4))


def _words(canvas: Canvas) -> str:
    """What a drawing says that shows nothing but words; empty for any other."""
    if len(canvas.axes) != 1 or canvas.axes[0].axison:
        return ""
    (panel,) = canvas.axes
    shown = [*panel.lines, *panel.patches, *panel.images, *panel.collections]
    return "" if shown else " ".join(text.get_text() for text in panel.texts)
