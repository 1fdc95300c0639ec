"""The result of one rule of the conformance suite for one plugin."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class RuleOutcome:
    """The outcome of a rule: what was tried, what was found, what the author should change."""

    state: State
    tried: str
    found: str = ""
    change: str = ""


@dataclass(frozen=True)
class RuleResult:
    """The outcome of one rule for one plugin."""

    plugin: str
    rule: str
    state: State
    tried: str
    found: str = ""
    change: str = ""

    def __str__(self) -> str:
        head = f"{self.state:8}{self.plugin}: {self.rule}"
        if self.state == "ok":
            return head
        parts = [("tried", self.tried), ("found", self.found), ("change", self.change)]
        return "\n".join([head, *(f"  {word + ':':8} {text}" for word, text in parts if text)])


def ok(tried: str) -> RuleOutcome:
    """The rule holds."""
    return RuleOutcome("ok", tried)


def failed(tried: str, found: str, change: str) -> RuleOutcome:
    """The rule is broken."""
    return RuleOutcome("failed", tried, found, change)


def skipped(why: str) -> RuleOutcome:
    """The rule does not apply here."""
    return RuleOutcome("skipped", why)
