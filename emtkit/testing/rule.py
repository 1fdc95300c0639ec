"""What a rule of the conformance suite says of a plugin."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Mistake:
    """The rule is broken: what was found, and what the author should change."""

    found: str
    change: str


@dataclass(frozen=True)
class Skip:
    """The rule does not apply here, and why."""

    why: str


Step = str | Mistake | Skip
Steps = Iterator[Step]
"""A rule at work: what it tries, then what is wrong; it holds where nothing is.

The first mistake or skip ends the rule; of several texts the last says what was tried.
"""


@dataclass(frozen=True)
class RuleResult:
    """The outcome of one rule for one plugin."""

    plugin: str
    rule: str
    state: Literal["ok", "failed", "skipped"]
    tried: str
    found: str = ""
    change: str = ""

    @classmethod
    def of(cls, plugin: str, rule: str, steps: Iterable[Step]) -> "RuleResult":
        """What comes out of the steps of a rule."""
        tried = ""
        for step in steps:
            if isinstance(step, Skip):
                return cls(plugin, rule, "skipped", step.why)
            if isinstance(step, Mistake):
                return cls(plugin, rule, "failed", tried, step.found, step.change)
            tried = step
        return cls(plugin, rule, "ok", tried)

    def __str__(self) -> str:
        head = f"{self.state:8}{self.plugin}: {self.rule}"
        if self.state == "ok":
            return head
        parts = [("tried", self.tried), ("found", self.found), ("change", self.change)]
        return "\n".join([head, *(f"  {word + ':':8} {text}" for word, text in parts if text)])
