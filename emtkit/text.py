"""Text from a store, a plugin or a user, made safe where it leaves: terminals and spreadsheets."""

import codecs
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

# Control characters but tab and newline, lone surrogates, separators of lines and paragraphs,
# and what changes the direction of text.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]{1,3})?|\.[0-9]+")

SPELLED = "emtkit.spelled"
"""Name of the way to encode text which spells out what an encoding lacks: `θ` as `theta`."""
_SYMBOLS = {
    "·": "*",
    "×": "x",
    "±": "+/-",
    "−": "-",
    "–": "-",
    "—": "-",
    "°": " degrees",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "→": "->",
    "∞": "inf",
    "√": "sqrt",
    "‖": "||",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "•": "*",
    "─": "-",
    "━": "-",
    "│": "|",
    "█": "#",
}


def printable(text: object) -> str:
    r"""The text with control characters as visible escapes (`\x1b`), tab and newline kept."""
    return _UNPRINTABLE.sub(lambda found: ascii(found.group())[1:-1], str(text))


def in_ascii(character: str) -> str:
    """A character as a symbol, the name of a Greek letter, or its base letter; else `?`."""
    if character in _SYMBOLS:
        return _SYMBOLS[character]
    words = unicodedata.name(character, "").split()
    if words[:1] == ["GREEK"] and "LETTER" in words:
        name = words[words.index("LETTER") + 1].replace("LAMDA", "LAMBDA")
        return name.capitalize() if "CAPITAL" in words else name.lower()
    kind, *codes = unicodedata.decomposition(character).split() or [""]
    base = "".join(chr(int(code, 16)) for code in codes if code.isalnum())
    mark = {"<super>": "^", "<sub>": "_"}.get(kind, "")
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return mark + base if mark and base.isascii() else plain or "?"


def spelled(text: str, encoding: str | None) -> str:
    """The text in characters that `encoding` has (None has all); others as by `in_ascii`."""
    return text.encode(encoding, SPELLED).decode(encoding) if encoding else text


def csv_cell(value: Any) -> Any:
    """A value for a CSV file: text that a spreadsheet would take for a formula begins with `'`.

    That is text which begins with `=`, `+`, `-`, `@`, a tab or the end of a line. Numbers, truth
    values and None are returned as they are.
    """
    if not isinstance(value, str):
        return value
    return f"'{printable(value)}" if _FORMULA.match(value) else printable(value)


def read_number(text: str) -> float | None:
    """The number that `text` spells in ASCII digits, without sign; None for anything else."""
    return float(text) if _NUMBER.fullmatch(text.strip(" ")) else None


def spans(numbers: Iterable[int]) -> list[str]:
    """Whole numbers as spans of neighbours: `0-15`, `32`."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return [f"{first}-{last}" if last > first else str(first) for first, last in found]


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(in_ascii, error.object[error.start : error.end])), error.end


codecs.register_error(SPELLED, _spell)
