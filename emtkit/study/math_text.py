"""Formulas between dollar signs in a study's titles and labels, as figures draw them."""

from __future__ import annotations

from functools import lru_cache


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
