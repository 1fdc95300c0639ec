"""The conformance suite for plugins: `emtkit check`, our own tests, and a plugin for pytest."""

from emtkit.testing.conformance import ConformanceRule, Examination, check, find
from emtkit.testing.rule import RuleResult
from emtkit.testing.scaffold import new

__all__ = ["ConformanceRule", "Examination", "RuleResult", "check", "find", "new"]
