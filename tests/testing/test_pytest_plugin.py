"""A rule inside pytest passes, skips, or fails with its verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from emtkit.testing import new
from emtkit.testing.pytest_plugin import BrokenRule, rules_of


def test_each_rule_is_one_test(tmp_path: Path) -> None:
    path = new("task", "mine", tmp_path)
    path.write_text(path.read_text().replace("References:", "Sources:"))
    rules = {rule.rule: rule for rule in rules_of(path)}
    assert str(rules["batch shapes"]) == "task-mine-batch_shapes"
    rules["batch shapes"].hold()
    with pytest.raises(pytest.skip.Exception, match="no horizons"):
        rules["horizons are prefixes"].hold()
    with pytest.raises(BrokenRule, match="add `References:`"):
        rules["docstring cites its source"].hold()
