"""The conformance suite for plugins: `emtkit check`, our own tests, and a plugin for pytest."""

from emtkit.testing.conformance import ConformanceRule, Examination, check, find
from emtkit.testing.scaffold import new
from emtkit.testing.verdict import RuleResult

__all__ = ["ConformanceRule", "Examination", "RuleResult", "check", "find", "new"]
