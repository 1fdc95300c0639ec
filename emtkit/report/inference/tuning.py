"""Tuning: the best of the settings that were tried for a combination, and the whole curve."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from emtkit.report.data.frame import read_results
from emtkit.report.inference.aggregate import Aggregate, aggregate
from emtkit.store.store import Store
from emtkit.study.plan import Plan
from emtkit.study.quantity import Quantity
from emtkit.study.tuning import Choice, TunedCombination


@dataclass(frozen=True)
class TuningCurve:
    """What each setting of a combination came to, and the one that is `chosen`.

    `chosen` is None while networks of the tuning are missing, or where no setting has a value.
    """

    combination: TunedCombination
    found: tuple[tuple[Choice, Aggregate], ...]
    chosen: Choice | None

    @property
    def waits(self) -> bool:
        """Whether networks of the tuning are missing."""
        return any(value.counts["missing"] for _, value in self.found)

    @property
    def heading(self) -> str:
        """`elman on repeat (main): mean test.loss of 3 seeds each`."""
        settings = self.combination.tuning.settings
        assert settings is not None
        by = f"{settings.by.stat} {settings.by.metric}"
        seeds = "1 seed" if settings.seeds == 1 else f"{settings.seeds} seeds"
        return f"{self.combination.text}, {by} of {seeds} each"

    @property
    def lines(self) -> list[str]:
        """`lr 0.003: 0.21 (chosen; lr at the edge of its range)`, one per setting."""
        found = []
        for choice, value in self.found:
            number = f"{value.value:.4g}" if isinstance(value.value, float) else value.cause
            edges = ", ".join(self.combination.edges(choice))
            edge = f"; {edges} at the edge of its range" if edges else ""
            mark = f" (chosen{edge})" if choice is self.chosen else ""
            found.append(f"{choice.text}: {number}{mark}")
        return found

    @property
    def failure(self) -> str:
        """Why the networks that waited are not trained, once all of the tuning is; else empty."""
        if self.waits or self.chosen is not None:
            return ""
        return (
            f"tuned {self.heading}: no setting has a value in every network, so nothing is chosen "
            f"and {len(self.combination.waiting)} networks are not trained; tune by another "
            f"metric, or try other settings ({'; '.join(self.lines)})"
        )

    @property
    def text(self) -> str:
        """Heading and settings in one line."""
        if all(value.counts["missing"] for _, value in self.found):  # as before a run
            return f"tuned {self.heading}: {len(self.found)} settings, nothing is chosen yet"
        why = "not all were run" if self.waits else "no setting has a value in every network"
        open_end = "" if self.chosen is not None else f"; nothing is chosen: {why}"
        return f"tuned {self.heading}: {', '.join(self.lines)}{open_end}"


def settle(plan: Plan, store: Store) -> tuple[Plan, tuple[TuningCurve, ...]]:
    """The plan at the settings that the stored results choose, and what chose them.

    A setting of which a network failed or was lost, or whose value is undefined, is not chosen; of
    equals the first is. The plan of a study that tunes nothing is the same.

    Raises:
        StoreError: the store is damaged where it was read.
    """
    if not plan.tuned:
        return plan, ()
    curves = tuple(_curve(plan, one, store) for one in plan.tuned)
    chosen = [(one.combination, one.chosen) for one in curves if one.chosen is not None]
    return plan.settled(chosen), curves


def _curve(plan: Plan, combination: TunedCombination, store: Store) -> TuningCurve:
    settings = combination.tuning.settings
    assert settings is not None
    by = settings.by
    quantity = Quantity(value=by.metric, stat=by.stat, direction=by.direction)
    found: list[tuple[Choice, Aggregate]] = []
    for choice in combination.choices:
        results = read_results(choice.tried, store, plan.conditions)
        found.append((choice, _value(aggregate(results, range(len(results)), quantity, ["seed"]))))
    curve = TuningCurve(combination, tuple(found), None)
    return curve if curve.waits else replace(curve, chosen=_best(found, by.direction))


def _value(found: Aggregate) -> Aggregate:
    """The aggregate, without a value where some network of the setting gave none."""
    if found.value is None or found.n == found.total:
        return found
    return replace(found, value=None, cause=f"{found.total - found.n} of {found.total} undefined")


def _best(found: Sequence[tuple[Choice, Aggregate]], direction: str) -> Choice | None:
    numbers = [(value.value, choice) for choice, value in found if isinstance(value.value, float)]
    if not numbers:
        return None
    best = min if direction == "min" else max
    return best(numbers, key=lambda one: one[0])[1]
