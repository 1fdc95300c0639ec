"""What else differs between networks that are compared: it may be the cause of what is found."""

from collections.abc import Collection, Sequence
from typing import Any

from emtkit.methods.settings import Scope
from emtkit.report.data.results import AXIS_FAMILIES, Results, level_text
from emtkit.study.settings import Training
from emtkit.text import spans

ALSO = "the networks compared also differ in"
ONE_SETTING = "one setting: each architecture was trained at one setting, and none was tuned for it"
PARTLY_TUNED = "one setting: only some of the architectures were tuned"
PARAMETERS = "train.parameters"
_ASIDE = tuple(f"training.{name}" for name in Training.fields_of(Scope.OUTSIDE))
"""Settings that decide no weight."""
_MOST = 4


def unlike(
    results: Results,
    sides: Sequence[Sequence[int]],
    compared: Collection[str],
    over: Collection[str] = (),
) -> list[str]:
    """Every setting in which the `sides` (rows) differ: `training.steps (400 against 600)`.

    The columns `compared` are left out, those that the number is taken `over` (but how many seeds
    is told), and so are the parameters of tasks or architectures that
    are compared with each other. A side on which a setting has no value, as training has none in
    constructed networks, does not count.
    """
    compared = {*compared, *over} - ({"seed"} & {*over})
    inherent = [
        f"{family}."
        for family in ("task", "architecture")
        if family in compared and _apart(results, sides, family)
    ]
    found: dict[str, list[tuple[Any, ...]]] = {}
    for name in map(str, results.frame.columns):
        setting = name in ("task", "architecture") or name.startswith(AXIS_FAMILIES)
        aside = name in compared or name.startswith((*_ASIDE, *inherent))
        if setting and not aside and (levels := _apart(results, sides, name)):
            found[name] = levels
    texts = [
        f"{name} ({_against(levels)})"
        for name, levels in found.items()
        # `training.schedule` says all of `training.schedule.kind`.
        if not any(name.startswith(f"{whole}.") for whole in found)
    ]
    return [*texts, *_seeds(results, sides, compared), *_parameters(results, sides, compared)]


def one_setting(results: Results, sides: Sequence[Sequence[int]]) -> list[str]:
    """Whether architectures are compared at one setting of training, which may suit one of them."""
    names = results.frame.columns
    if "training.steps" not in names or not _apart(results, sides, "architecture"):
        return []
    steps = results.column("training.steps")
    trained = {row for rows in sides for row in rows if steps[row]}
    tried = results.column("training.tried") if "training.tried" in names else [None] * len(results)
    tuned = {row for row in trained if tried[row]}
    labels = results.column("architecture")
    if len({labels[row] for row in trained}) < 2 or trained == tuned:
        return []
    return [PARTLY_TUNED if tuned else ONE_SETTING]


def _apart(results: Results, sides: Sequence[Sequence[int]], name: str) -> list[tuple[Any, ...]]:
    """The levels on each side, equal ones once; empty where all sides have the same."""
    found: dict[frozenset[Any], tuple[Any, ...]] = {}
    whole = results.distinct(name)
    if len(whole) - (None in whole) < 2:
        return []
    for rows in sides:
        levels = tuple(level for level in results.distinct(name, rows) if level is not None)
        if levels:
            found.setdefault(frozenset(levels), levels)
    return list(found.values()) if len(found) > 1 else []


def _seeds(
    results: Results, sides: Sequence[Sequence[int]], compared: Collection[str]
) -> list[str]:
    """The seeds, where sides have others, or more; of a constructed network they say nothing."""
    if "seed" not in results.frame.columns or "seed" in compared:
        return []
    found = _apart(results, _trained(results, sides), "seed")
    return [f"seeds ({_listed([', '.join(spans(levels)) for levels in found])})"] if found else []


def _trained(results: Results, sides: Sequence[Sequence[int]]) -> list[list[int]]:
    """The rows of each side that are not constructed."""
    steps = results.column("training.steps") if "training.steps" in results.frame else None
    return [[row for row in rows if steps is None or steps[row] is not None] for rows in sides]


def _parameters(
    results: Results, sides: Sequence[Sequence[int]], compared: Collection[str]
) -> list[str]:
    """How many numbers were trained, unless a parameter of the network is what is compared."""
    inherent = PARAMETERS in compared or any(one.startswith("architecture.") for one in compared)
    if inherent or PARAMETERS not in results.frame.columns:
        return []
    found = _apart(results, _trained(results, sides), PARAMETERS)
    return [f"{PARAMETERS} ({_against(found)})"] if found else []


def _against(levels: Sequence[tuple[Any, ...]]) -> str:
    single = sorted({level for one in levels for level in one}, key=_order)
    if len(levels) > _MOST and all(len(one) == 1 for one in levels):
        return f"{level_text(single[0])} to {level_text(single[-1])}"
    return _listed(["/".join(map(level_text, one)) for one in levels])


def _listed(texts: Sequence[str]) -> str:
    shown = texts if len(texts) <= _MOST else [*texts[: _MOST - 1], f"{len(texts)} in all"]
    return " against ".join(shown)


def _order(level: Any) -> tuple[bool, Any]:
    number = isinstance(level, int | float)
    return not number, level if number else str(level)
