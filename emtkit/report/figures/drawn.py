"""A drawn figure: its style, its files, and its element of a page.

No figure touches pyplot's global state: each is a `matplotlib.figure.Figure` of its own, styled in
a context, and equal results give equal bytes.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import rcsetup
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text

from emtkit.errors import EmtkitError
from emtkit.report.data.links import Link
from emtkit.report.figures.captions import Account
from emtkit.report.figures.palette import COLOURS, GRID, INK
from emtkit.report.figures.spots import Spot, links_svg
from emtkit.study.math_text import drawable, math_mistake

# What a file says of its making is left out, so that equal results give equal bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
}


@dataclass(frozen=True)
class Drawn:
    """A figure with what a reader must know of it: points that are not shown, and why.

    `cells` are the keys of the networks behind it, `spots` the places that open them, and `account`
    says what is drawn.
    """

    name: str
    title: str
    canvas: Canvas
    notes: tuple[str, ...]
    cells: tuple[str, ...]
    spots: tuple[Spot, ...]
    account: Account

    def savefig(self, path: Path | str) -> None:
        """Write it, as `save` does."""
        save(self, Path(path))

    def _repr_html_(self) -> str:
        return f"<figure>{inline_svg(self)}</figure>"


def to_bytes(drawn: Drawn, kind: str) -> bytes:
    """The figure as a file: svg, png or pdf; equal results give equal bytes."""
    out = io.BytesIO()
    with style():
        drawn.canvas.savefig(out, format=kind, metadata=_METADATA[kind], dpi=200)
    return out.getvalue()


def save(drawn: Drawn, path: Path) -> None:
    """Write the figure; the kind follows from the suffix, `.svg`, `.png` or `.pdf`.

    Raises:
        EmtkitError: another suffix.
    """
    kind = path.suffix.removeprefix(".")
    if kind not in _METADATA:
        allowed = ", ".join(f".{one}" for one in _METADATA)
        raise EmtkitError(f"'{path.name}': a figure is written as {allowed}")
    path.write_bytes(to_bytes(drawn, kind))


def inline_svg(drawn: Drawn, link: Link | None = None, *, name: str = "") -> str:
    """The figure as an element of a page: ids of its own, and ink in the page's text colour.

    With a `link` its spots open their networks; a figure that is drawn twice needs another `name`.
    """
    with style(text_as_paths=False):
        text = canvas_svg(drawn.canvas, name or drawn.name)
    if link is None:
        return text
    links = links_svg(drawn.canvas, drawn.spots, link, networks=not name)
    return text.replace("</svg>", f"{links}</svg>")


def canvas_svg(canvas: Canvas, name: str) -> str:
    """A canvas as an element whose ids begin with `name`; to be called in the `style` of a page."""
    out = io.StringIO()
    canvas.savefig(out, format="svg", metadata=_METADATA["svg"], transparent=True)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = text.replace(INK, "currentColor").replace(GRID, "var(--grid, #d8dadd)")
    text = text.replace("stroke: #ffffff", "stroke: var(--card, #ffffff)")
    # Coordinates to a hundredth of a point.
    text = re.sub(
        r'\b(?:d|x|y)="[^"]*"', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), text
    )
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    return re.sub(r'href="#', f'href="#{name}-', text)


@contextmanager
def style(*, text_as_paths: bool = True) -> Iterator[None]:
    """The style of all figures: colour-blind safe, thin lines, deterministic SVG."""
    settings: Any = {
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.titlesize": "medium",
        "axes.linewidth": 0.9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": rcsetup.cycler(color=COLOURS),
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
        "font.size": 10.0,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "image.cmap": "viridis",
        "legend.frameon": False,
        "pdf.fonttype": 42,
        "svg.fonttype": "path" if text_as_paths else "none",
        "svg.hashsalt": "emtkit",
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # A character that the font lacks is drawn as a box; the page's own SVG has it as text.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        yield


def settle(canvas: Canvas) -> None:
    """Lay the figure out once, so that every file of it is the same whichever is written first."""
    lay_out(canvas)
    canvas.set_layout_engine("none")


def lay_out(canvas: Canvas) -> None:
    """Compute the layout."""
    literal_texts(canvas)
    canvas.draw_without_rendering()


def literal_texts(canvas: Canvas) -> None:
    """Have text that is not valid mathtext (a level, a label) drawn literally."""
    for text in canvas.findobj(Text):
        assert isinstance(text, Text)
        content = text.get_text()
        # Both: an axis writes the labels of its ticks anew whenever it is drawn.
        text.set_parse_math(math_mistake(content) is None)
        if content != drawable(content):
            text.set_text(drawable(content))
