"""Formulas between dollar signs in a study's titles and labels, as figures draw them."""

from functools import lru_cache

from emtkit.text import printable


@lru_cache(maxsize=1000)
def math_mistake(text: str) -> str | None:
    r"""What is wrong with the formulas of `text`, or None; an odd number of `$` is plain text.

    `\$` is a dollar sign. The formulas are matplotlib's mathtext, a part of LaTeX's.
    """
    dollars = text.count("$") - text.count(r"\$")
    if dollars == 0 or dollars % 2:
        return None
    from matplotlib.mathtext import MathTextParser  # slow to import, and rarely needed

    try:
        MathTextParser("path").parse(text)
    except (ValueError, RecursionError) as error:
        lines = str(error).strip().splitlines() or ["it is nested too deep"]
        return lines[-1].rpartition("Exception: ")[2].partition("  (at char")[0]
    return None


def drawable(text: str) -> str:
    """The text as a figure can draw it: without tabs and control characters, for which no font has
    a glyph, and with its dollar signs literal where they enclose no formula.
    """
    plain = printable(text).expandtabs(4)
    return plain if math_mistake(plain) is None else plain.replace("$", r"\$")
