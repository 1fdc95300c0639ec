"""Rules that leave combinations out of a grid."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from emtkit.errors import did_you_mean
from emtkit.study.checked import Problems, shown
from emtkit.study.entries import ExclusionRule
from emtkit.study.resolve import Regime, Setting
from emtkit.study.wanted import matches
from emtkit.study.yaml_nodes import Trail


@dataclass(frozen=True)
class Candidate:
    """What the rules are applied to: one task, one architecture, one training, in one grid."""

    grid: str
    task: Setting
    architecture: Setting
    regime: Regime


class Exclusion:
    """Applies rules, and remembers which of them removed something."""

    def __init__(self) -> None:
        self._rules: dict[Trail, ExclusionRule] = {}
        self._used: set[Trail] = set()

    def kept(
        self, rules: Iterable[ExclusionRule], at: Candidate, seeds: tuple[int, ...]
    ) -> tuple[int, ...]:
        """The seeds of this combination that no rule leaves out."""
        for rule in rules:
            self._rules[rule.path] = rule
            excluded = [wanted for family, _, wanted in rule.conditions if family == "seeds"]
            if not all(_holds(condition, at) for condition in rule.conditions):
                continue
            left = tuple(
                seed for seed in seeds if not all(matches(seed, wanted) for wanted in excluded)
            )
            if len(left) < len(seeds):
                self._used.add(rule.path)
            seeds = left
        return seeds

    def report_unused(self, problems: Problems, known: Mapping[str, Collection[str]]) -> None:
        """Note every rule that removed nothing from any grid; `known` are keys by family."""
        for path, rule in self._rules.items():
            if path in self._used:
                continue
            hint = "no combination meets all its conditions; correct it or remove it"
            for family, key, _ in rule.conditions:
                names = {*known.get(family, ()), "use", "label"}
                if key and key not in names:
                    hint = f"no entry has '{key}': {did_you_mean(key, names)}"
            listed = ", ".join(
                f"{f}.{k}".rstrip(".") + f"={shown(w)}" for f, k, w in rule.conditions
            )
            problems.say(path, f"this rule excludes nothing: {listed}", hint)


def _holds(condition: tuple[str, str, Any], at: Candidate) -> bool:
    family, key, wanted = condition
    if family == "seeds":
        return True
    if family == "grid":
        return matches(at.grid, wanted)
    if family == "training":
        values, key = at.regime.columns, f"training.{key}"
    else:
        setting = at.task if family == "tasks" else at.architecture
        own = {"use": setting.config.name, "label": setting.label}
        values = {**setting.config.parameters, **own}
    return key in values and matches(values[key], wanted)
