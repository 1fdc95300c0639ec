"""Each rule of the suite catches the plugin that breaks it, and no other rule does."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from emtkit import PluginError, Registry
from emtkit.testing import RuleResult, check, find
from tests.testing import bad_analyses, bad_comparisons, bad_models, bad_tasks

GOOD = [
    bad_tasks.GoodTask,
    bad_tasks.GoodRecall,
    bad_tasks.Sparse,
    bad_models.GoodModel,
    bad_models.GoodSequence,
    bad_analyses.GoodAnalysis,
    bad_comparisons.GoodComparison,
]
BREAKS = {
    **bad_tasks.BREAKS,
    **bad_models.BREAKS,
    **bad_analyses.BREAKS,
    **bad_comparisons.BREAKS,
}

CLOCK = '''
import time
from tests.testing.bad_tasks import GoodTask
from emtkit import hookimpl

class Late(GoodTask):
    """Say every input again, y_t = u_t.

    References: none (a test).
    """
    name = "late"

@hookimpl
def emtkit_tasks():
    return [Late]
'''


@cache
def verdicts(cls: type) -> list[RuleResult]:
    registry = Registry.of(cls)
    return check(registry.all()[0], registry)


@pytest.mark.parametrize("cls", GOOD, ids=lambda cls: cls.name)
def test_a_good_plugin_breaks_no_rule(cls: type) -> None:
    assert [str(verdict) for verdict in verdicts(cls) if verdict.state == "failed"] == []


@pytest.mark.parametrize(
    ("cls", "rule"), BREAKS.items(), ids=lambda value: getattr(value, "name", "")
)
def test_a_bad_plugin_is_caught_by_its_rule_alone(cls: type, rule: str) -> None:
    broken = [verdict for verdict in verdicts(cls) if verdict.state == "failed"]
    assert [verdict.rule for verdict in broken] == [rule], "\n".join(map(str, broken))
    assert broken[0].tried
    assert broken[0].found
    assert broken[0].change


def test_a_file_that_imports_the_clock_is_caught(tmp_path: Path) -> None:
    path = tmp_path / "late.py"
    path.write_text(CLOCK)
    broken = [v for e in find(path) for v in e.results() if v.state == "failed"]
    assert [verdict.rule for verdict in broken] == ["no clock paths or environment"]
    assert "time" in broken[0].found


def test_every_rule_has_a_plugin_that_breaks_it() -> None:
    rules = {verdict.rule for cls in GOOD for verdict in verdicts(cls)}
    assert rules == {*BREAKS.values(), "no clock paths or environment"}


def test_what_cannot_be_checked_is_told_in_words(tmp_path: Path) -> None:
    empty = tmp_path / "empty.py"
    empty.write_text("")
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_module_anywhere\n")
    for asked, said in (
        (tmp_path / "absent.py", "does not exist; give the path"),
        (empty, "offers no plugin"),
        (broken, "no_such_module_anywhere"),
        ("elmann", "did you mean 'elman'"),
    ):
        with pytest.raises(PluginError, match=said):
            find(asked)
