"""The rules that every plugin keeps, held against one plugin; what `emtkit check` runs."""

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from emtkit.errors import PluginError, did_you_mean
from emtkit.plugin.analysis import Analysis
from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.catalogue import FAMILIES
from emtkit.plugin.guard import Guard
from emtkit.plugin.mistakes import signature_of_stream
from emtkit.plugin.registry import Plugin, Registry
from emtkit.plugin.task import Task
from emtkit.testing.analysis_rules import ANALYSIS_GATES, ANALYSIS_RULES
from emtkit.testing.bench import AnalysisBench, Company, ComparisonBench, ModelBench, TaskBench
from emtkit.testing.common_rules import COMMON_RULES
from emtkit.testing.comparison_rules import COMPARISON_GATES, COMPARISON_RULES
from emtkit.testing.model_rules import MODEL_GATES
from emtkit.testing.rule import Mistake, RuleResult, Skip, Step, Steps
from emtkit.testing.stack_rules import MODEL_RULES
from emtkit.testing.task_rules import TASK_GATES, TASK_RULES

B = TypeVar("B")


@dataclass(frozen=True)
class ConformanceRule:
    """One rule by name; where a `gate` fails, the rules after it are skipped."""

    name: str
    meaning: str
    gate: bool
    hold: Callable[[], Steps]


@dataclass(frozen=True, eq=False)
class Examination:
    """One plugin and all the rules for its kind."""

    plugin: Plugin
    registry: Registry
    _known: dict[str, RuleResult] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def rules(self) -> tuple[ConformanceRule, ...]:
        """Every rule, gates first."""
        plugin, cls = self.plugin, self.plugin.cls
        company = Company(self.registry, plugin)
        first = _named(plugin, COMMON_RULES[:1], COMMON_RULES[1:])
        if issubclass(cls, Task):
            return first + _named(TaskBench(cls, company), TASK_GATES, TASK_RULES)
        if issubclass(cls, SequenceModel):
            return first + _named(ModelBench(cls, company), MODEL_GATES, MODEL_RULES)
        if issubclass(cls, Analysis):
            return first + _named(AnalysisBench(cls, company), ANALYSIS_GATES, ANALYSIS_RULES)
        return first + _named(ComparisonBench(cls, company), COMPARISON_GATES, COMPARISON_RULES)

    def results(self) -> Iterator[RuleResult]:
        """Each rule's result, as soon as it is known."""
        return (self.result(rule.name) for rule in self.rules)

    def result(self, name: str) -> RuleResult:
        """The result of one rule; the rules after a broken gate are skipped."""
        if name not in self._known:
            position = next(at for at, rule in enumerate(self.rules) if rule.name == name)
            gates = [rule.name for rule in self.rules[:position] if rule.gate]
            broken = next((gate for gate in gates if self.result(gate).state == "failed"), None)
            rule = self.rules[position]
            steps = [Skip(f"'{broken}' failed")] if broken else _guarded(rule)
            plugin = self.plugin
            self._known[name] = RuleResult.of(f"{plugin.kind} {plugin.name}", name, steps)
        return self._known[name]


def check(plugin: Plugin, registry: Registry) -> list[RuleResult]:
    """The result of every rule for its kind; `registry` gives the plugin its company."""
    return list(Examination(plugin, registry).results())


def find(name: str | Path) -> list[Examination]:
    """The plugins that a file (a path ending in .py) or a name refers to.

    Raises:
        PluginError: the file cannot be loaded, holds no plugin, or no plugin has that name.
    """
    path = Path(name)
    if path.suffix == ".py":
        if not path.is_file():
            raise PluginError(
                f"'{name}' does not exist; give the path of a plugin's file, or a plugin's name"
            )
        return _of_file(path, Registry.installed([path]))
    known = Registry.installed()
    kinds = FAMILIES.values()
    found = [plugin for kind in kinds if (plugin := known.get(kind, str(name)))]
    if not found:
        names = sorted(plugin.name for plugin in known.all())
        reasons = "".join(f"\n  {b.module} could not be loaded: {b.reason}" for b in known.broken)
        raise PluginError(
            f"no plugin is called '{name}'; {did_you_mean(str(name), names)}{reasons}"
        )
    return [Examination(plugin, known) for plugin in found]


def _of_file(path: Path, registry: Registry) -> list[Examination]:
    for broken in registry.broken:
        if broken.module == str(path):
            raise PluginError(f"{path} cannot be loaded: {broken.reason}")
    found = [plugin for plugin in registry.all() if plugin.source == path]
    if not found:
        raise PluginError(
            f"{path} offers no plugin; end it with `@hookimpl def emtkit_tasks(): return [MyTask]` "
            "(or emtkit_architectures, emtkit_analyses, emtkit_comparisons)"
        )
    return [Examination(plugin, registry) for plugin in found]


def _named(
    bench: B, gates: Iterable[Callable[[B], Steps]], rules: Iterable[Callable[[B], Steps]]
) -> tuple[ConformanceRule, ...]:
    return tuple(
        ConformanceRule(
            rule.__name__.replace("_", " "),
            (rule.__doc__ or "").strip(),
            gate,
            partial(rule, bench),
        )
        for gate, group in ((True, gates), (False, rules))
        for rule in group
    )


def _guarded(rule: ConformanceRule) -> Iterable[Step]:
    """Its steps; whatever the plugin raises is a mistake that points at its own line."""
    seen: list[Step] = []
    try:
        with Guard().calling(rule.name):
            for step in rule.hold():
                seen.append(step)
                if not isinstance(step, str):
                    break
    except Exception as error:  # a stranger's plugin may raise anything
        lines = traceback.extract_tb(error.__traceback__)
        own = [line for line in lines if "emtkit/testing" not in line.filename.replace("\\", "/")]
        last = (own or lines)[-1]
        where = f"{Path(last.filename).name}:{last.lineno} in {last.name}"
        found = f"{type(error).__name__}: {error} ({where}){signature_of_stream(error)}"
        return rule.meaning, Mistake(found, "correct what raises; the rule needs a result")
    return seen
