"""Comparing networks two by two; each is looked at once, however many it is compared with."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emtkit.errors import NotApplicable, PluginError
from emtkit.execute.measure import Asked, Outcome, loaded, subject_of
from emtkit.execute.messages import Subjects
from emtkit.plugin.analysis import Findings
from emtkit.plugin.comparison import Comparison
from emtkit.plugin.params import build_arguments
from emtkit.plugin.registry import Registry
from emtkit.study.cells import Measure, canonical
from emtkit.train.build import build_task


@dataclass(frozen=True)
class Seen:
    """What each comparison has seen of the networks `subjects`, which it has by their keys."""

    registry: Registry
    subjects: Mapping[str, Subjects]
    _comparisons: dict[str, Comparison[Any]] = field(default_factory=dict)
    _observed: dict[tuple[str, str], Any] = field(default_factory=dict)

    def compared(self, asked: Asked) -> Outcome:
        """What the comparison says of two networks, or NotApplicable, and the seconds it took.

        Raises:
            Exception: whatever a plugin raises.
        """
        begun, measure = time.monotonic(), asked.measure
        said: Findings | Exception
        try:
            first, second = (
                self._seen(measure, key) for key in (asked.subject.cell.key, measure.second)
            )
            said = _checked(measure, self._comparison(measure).compare(first, second))
        except NotApplicable as reason:
            said = reason
        return Outcome(said, time.monotonic() - begun)

    def _seen(self, measure: Measure, key: str) -> Any:
        """What a comparison has seen of one network; why it saw nothing is raised each time."""
        at = _setting(measure), key
        if at not in self._observed:
            subject = self.subjects[key]
            task = build_task(self.registry, subject.cell.task)
            comparison = self._comparison(measure)
            name = f"comparison/{comparison.name}"
            parts = loaded(self.registry, subject, subject.weights, task)
            try:
                seen: Any = comparison.observe(subject_of(name, subject.cell, *parts))
            except NotApplicable as reason:
                seen = NotApplicable(f"{subject.cell.architecture.name}: {reason}")
            self._observed[at] = seen
        if isinstance(self._observed[at], NotApplicable):
            raise self._observed[at]
        return self._observed[at]

    def _comparison(self, measure: Measure) -> Comparison[Any]:
        at = _setting(measure)
        if at not in self._comparisons:
            cls = self.registry.comparisons[measure.analysis.name]
            self._comparisons[at] = cls(**build_arguments(cls, measure.analysis.parameters))
        return self._comparisons[at]


def _setting(measure: Measure) -> str:
    return canonical(measure.analysis.identity())


def _checked(measure: Measure, found: object) -> Findings:
    if not isinstance(found, Findings):
        raise PluginError(
            f"comparison '{measure.analysis.name}' answered with a {type(found).__name__}; "
            "`compare` returns Findings"
        )
    return found
