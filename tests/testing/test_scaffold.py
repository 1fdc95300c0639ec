"""`emtkit new` writes plugins that pass the conformance suite as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from emtkit import EmtkitError, RecurrentModel
from emtkit.testing import find, new
from emtkit.testing.scaffold import networks

KINDS = ["task", "architecture", "analysis", "comparison"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_keeps_every_rule(kind: str, tmp_path: Path) -> None:
    path = new(kind, "my_own_plugin", tmp_path)
    assert path == tmp_path / "my_own_plugin.py"
    (examined,) = find(path)
    assert (examined.plugin.kind, examined.plugin.name) == (kind, "my_own_plugin")
    assert examined.plugin.cls.__name__ == "MyOwnPlugin"
    assert [str(v) for v in examined.results() if v.state == "failed"] == []
    if kind == "analysis":
        assert examined.result("answers on its controls").state == "ok"
        assert examined.result("drawings draw").state == "ok"


@pytest.mark.parametrize("like", networks())
def test_every_kind_of_network_keeps_every_rule(like: str, tmp_path: Path) -> None:
    (examined,) = find(new("architecture", "my_own_plugin", tmp_path, like))
    assert [str(v) for v in examined.results() if v.state == "failed"] == []
    assert issubclass(examined.plugin.cls, RecurrentModel) == (like != "attention")


def test_new_refuses_templates_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(EmtkitError, match="did you mean 'gated'"):
        new("architecture", "mine", tmp_path, "gatd")
    with pytest.raises(EmtkitError, match="is for architectures"):
        new("task", "mine", tmp_path, "gated")


def test_new_refuses_what_would_clash(tmp_path: Path) -> None:
    new("task", "mine", tmp_path)
    kept = (tmp_path / "mine.py").read_text()
    for kind, name, said in (
        ("task", "mine", "exists already; it was left alone"),
        ("task", "hds", "exists already"),
        ("task", "My-Task", "cannot name a plugin"),
        ("task", "class", "cannot name a plugin"),
        ("task", "../up", "cannot name a plugin"),
    ):
        with pytest.raises(EmtkitError, match=said):
            new(kind, name, tmp_path)
    assert (tmp_path / "mine.py").read_text() == kept
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]
