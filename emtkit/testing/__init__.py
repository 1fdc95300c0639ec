"""The conformance suite for plugins: `emtkit check`, our own tests, and a plugin for pytest."""

from emtkit.testing.conformance import Examination, Rule, check, find
from emtkit.testing.scaffold import new
from emtkit.testing.verdict import Verdict

__all__ = ["Examination", "Rule", "Verdict", "check", "find", "new"]
