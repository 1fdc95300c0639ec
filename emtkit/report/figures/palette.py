"""Colours, markers and dashes that distinguish series, by eye, in print and in grey."""

INK = "#1d2129"
"""Text and axes; a page replaces it by its own text colour."""

GRID = "#dcdfe4"

COLOURS = ("#0173b2", "#de8f05", "#029e73", "#cc78bc", "#ca9161", "#56b4e9", "#d55e00", "#949494")
"""Seaborn's colour-blind palette, less the two that print too pale."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES = ("-", "--", "-.", ":")


def colour(place: int) -> str:
    """The colour of the series at this place."""
    return COLOURS[place % len(COLOURS)]


def marker(place: int) -> str:
    """The marker of the series at this place."""
    return _MARKERS[place % len(_MARKERS)]


def dash(place: int) -> str:
    """The dash of the series at this place; it changes when colours begin again."""
    return _DASHES[place // len(COLOURS) % len(_DASHES)]


_NAMED = {"ink": INK, "grey": "#949494", "lightgrey": "#d3d3d3", "white": "#ffffff"}


def named(text: str) -> str:
    """The colour that a drawing calls `C3`, `ink` or `#rrggbb`."""
    return colour(int(text[1:])) if text.startswith("C") else _NAMED.get(text, text)
