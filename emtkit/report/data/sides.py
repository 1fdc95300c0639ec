"""How the two networks of a pair are named, in columns and in keys."""

from collections.abc import Iterable

OTHER, SAME, APART = "other.", "same.", "apart."
"""What the columns of the second of two networks begin with, whether both agree on an axis, and how
far apart a number of the first is from that of the second: |a - b|."""
BETWEEN = "~"
"""Stands between the keys of two networks in the name of a pair."""


def networks_of(name: str) -> list[str]:
    """The keys of the networks behind the name of a row: one, or the two of a pair."""
    return name.split(BETWEEN)


def both_sides(axes: Iterable[str]) -> tuple[str, ...]:
    """The axes of either network."""
    named = tuple(axes)
    both = (OTHER, SAME, APART)
    mirrored = (name if name.startswith(both) else f"{OTHER}{name}" for name in named)
    return tuple(dict.fromkeys((*named, *mirrored)))


def short_name(axis: str) -> str:
    """An axis without its family: `delay` for `task.delay`; of two networks whose, or `same`."""
    name = axis.removeprefix(OTHER).removeprefix(SAME)
    side = axis.removesuffix(name).removesuffix(".")
    return f"{side} {name.partition('.')[2] or name}".strip()
