"""The conformance suite inside pytest, for the author of a plugin:

    pytest_plugins = ["emtkit.testing.pytest_plugin"]
    emtkit_plugins = ["my_task.py"]           # files, or names of installed plugins

    def test_conformance(emtkit_rule):
        emtkit_rule.hold()

Every rule becomes one test. Files are searched beside the test, then in the current folder.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from emtkit.testing.conformance import Examination, find

FIXTURE = "emtkit_rule"
LIST = "emtkit_plugins"


class BrokenRule(AssertionError):
    """A plugin breaks a rule; the text is the result."""


@dataclass(frozen=True)
class RuleOfPlugin:
    """One rule of one plugin; a rule after a broken gate is skipped, as in `emtkit check`."""

    examination: Examination
    rule: str

    def hold(self) -> None:
        """Pass, skip, or fail with what was tried, what came back and what to change."""
        result = self.examination.result(self.rule)
        if result.state == "skipped":
            pytest.skip(result.tried)
        if result.state == "failed":
            raise BrokenRule(f"\n{result}")

    def __str__(self) -> str:
        plugin = self.examination.plugin
        return f"{plugin.kind}-{plugin.name}-{self.rule.replace(' ', '_')}"


def rules_of(name: str | Path) -> list[RuleOfPlugin]:
    """Every rule for every plugin of a file, or for the plugins of that name."""
    return [RuleOfPlugin(found, rule.name) for found in find(name) for rule in found.rules]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for `emtkit_rule` every rule of the module's `emtkit_plugins`."""
    if FIXTURE not in metafunc.fixturenames:
        return
    listed: list[str] = vars(metafunc.module).get(LIST, [])
    if not listed:
        raise pytest.UsageError(
            f"{metafunc.module.__name__}: a test asks for `{FIXTURE}`; say of which plugins in a "
            f'list beside it: {LIST} = ["my_task.py"]'
        )
    beside = Path(str(metafunc.module.__file__)).parent
    rules = [rule for name in listed for rule in rules_of(_found(name, beside))]
    metafunc.parametrize(FIXTURE, rules, ids=str)


def _found(name: str, beside: Path) -> str | Path:
    return beside / name if (beside / name).is_file() else name
