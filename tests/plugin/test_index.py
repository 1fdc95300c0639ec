"""The index of plugins: quick where nothing changed, never stale where something did."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import invalidate_caches
from itertools import count
from pathlib import Path

import pytest

from emtkit.plugin import index
from emtkit.plugin.installation import folders, installation
from emtkit.plugin.registry import Registry

HEAVY = ("torch", "numpy", "pandas", "pydantic", "scipy", "matplotlib", "rich", "yaml", "pluggy")

TASK = '''
from emtkit import hookimpl
from emtkit_std.tasks.k_delay import KDelay


class Strange{number}(KDelay):
    """{summary}"""

    name = "strange_{number}"


@hookimpl
def emtkit_tasks():
    return [Strange{number}]
'''

LONG_AGO = count(time.time_ns() - 3600 * 10**9, 10**9)
"""Times for files, each another one and none so young that its clock could hide a change."""


@dataclass
class Site:
    """A folder of `sys.path` with a stranger's distribution, and how often plugins were loaded."""

    folder: Path
    loads: int = 0

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        moment = next(LONG_AGO)
        os.utime(path, ns=(moment, moment))

    def task(self, number: int, summary: str = "A task of a stranger.") -> None:
        self.write(f"strange/task_{number}.py", TASK.format(number=number, summary=summary))

    def distribution(self, version: str = "1.0", package: str = "strange") -> None:
        folder = f"strange-{version}.dist-info"
        self.write(
            f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: strange\nVersion: {version}\n"
        )
        self.write(f"{folder}/entry_points.txt", f"[emtkit]\nmine = {package}\n")

    def names(self) -> list[str]:
        """What a new process would list of the stranger's; plugins are loaded only if need be."""
        for name in [name for name in sys.modules if name.split(".")[0] == "strange"]:
            del sys.modules[name]
        invalidate_caches()
        found = index.installed().plugins
        return [plugin.name for plugin in found if plugin.owner == "strange"]


@pytest.fixture
def site(tmp_path, monkeypatch) -> Site:
    made = Site(tmp_path / "site")
    made.write("strange/__init__.py", "")
    made.task(1)
    made.distribution()
    monkeypatch.setenv("EMTKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(made.folder)
    load = Registry.installed

    def counted(files: tuple[Path, ...] = ()) -> Registry:
        made.loads += 1
        return load(files)

    monkeypatch.setattr(Registry, "installed", counted)
    return made


def kept(site: Site) -> Path:
    (path,) = (site.folder.parent / "cache").glob("*.json")
    return path


def test_what_has_not_changed_is_loaded_once(site):
    first = site.names(), index.installed()
    assert (site.names(), index.installed()) == first
    assert first[0] == ["strange_1"]
    assert site.loads == 1


def another_module(site: Site) -> None:
    site.task(2)


def module_removed(site: Site) -> None:
    (site.folder / "strange" / "task_1.py").unlink()


def module_edited(site: Site) -> None:
    site.write("strange/task_1.py", TASK.format(number=3, summary="A task of a stranger."))


def module_of_a_subpackage(site: Site) -> None:
    site.write("strange/more/__init__.py", "")
    site.write("strange/more/task_4.py", TASK.format(number=4, summary="Another."))


def distribution_removed(site: Site) -> None:
    (site.folder / "strange-1.0.dist-info" / "entry_points.txt").unlink()


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (another_module, ["strange_1", "strange_2"]),
        (module_removed, []),
        (module_edited, ["strange_3"]),
        (module_of_a_subpackage, ["strange_1", "strange_4"]),
        (distribution_removed, []),
    ],
)
def test_whatever_changes_is_seen(site, change: Callable[[Site], None], names):
    assert site.names() == ["strange_1"]
    change(site)
    assert site.names() == names
    assert site.names() == names
    assert site.loads == 2


def test_an_edit_of_equal_length_that_keeps_its_time_is_seen(site):
    assert site.names() == ["strange_1"]
    path = site.folder / "strange" / "task_1.py"
    before = path.stat()
    path.write_text(path.read_text().replace("strange_1", "strange_7"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert site.names() == ["strange_7"]


def test_a_broken_module_is_kept_with_its_reason_until_it_is_mended(site):
    site.write("strange/task_5.py", "import not_there_yet\n")
    for _ in range(2):
        assert site.names() == ["strange_1"]
        (broken,) = index.installed().broken
        assert (broken.module, broken.owner) == ("strange.task_5", "strange")
        assert "not_there_yet" in broken.reason
    assert site.loads == 1
    site.write("not_there_yet.py", "")
    assert site.names() == ["strange_1"]
    assert index.installed().broken == ()
    sys.modules.pop("not_there_yet", None)


def test_what_a_plugin_imports_from_another_tree_is_watched(site, tmp_path, monkeypatch):
    helper = Site(tmp_path / "tree")
    helper.write("strange_words.py", "NAME = 'one'\n")
    monkeypatch.syspath_prepend(helper.folder)
    text = TASK.format(number=6, summary="Named elsewhere.")
    site.write(
        "strange/task_6.py",
        "from strange_words import NAME\n" + text.replace('"strange_6"', "NAME"),
    )
    assert site.names() == ["one", "strange_1"]
    helper.write("strange_words.py", "NAME = 'two'\n")
    del sys.modules["strange_words"]
    assert site.names() == ["strange_1", "two"]
    del sys.modules["strange_words"]


def test_a_new_version_of_the_same_files_is_another_installation(site):
    before = installation().digest
    site.distribution("2.0")
    for path in (site.folder / "strange-1.0.dist-info").iterdir():
        path.unlink()
    (site.folder / "strange-1.0.dist-info").rmdir()
    assert installation().digest != before


def test_a_file_that_may_change_again_within_its_clock_is_not_kept(site):
    (site.folder / "strange" / "task_1.py").touch()
    site.names()
    assert not (site.folder.parent / "cache").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', "null", '{"format": 99}'])
def test_a_damaged_index_is_made_anew(site, text):
    assert site.names() == ["strange_1"]
    kept(site).write_text(text)
    assert site.names() == ["strange_1"]
    assert json.loads(kept(site).read_text())["format"] == index.FORMAT
    assert site.loads == 2


def test_a_catalogue_that_is_none_is_made_anew(site):
    site.names()
    plain = json.loads(kept(site).read_text())
    kept(site).write_text(json.dumps({**plain, "catalogue": {"plugins": [{}], "broken": []}}))
    assert site.names() == ["strange_1"]


def test_without_a_folder_to_write_to_everything_works(site, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EMTKIT_CACHE", str(tmp_path / "file"))
    assert site.names() == site.names() == ["strange_1"]
    assert site.loads == 2


def test_another_environment_has_an_index_of_its_own(site, monkeypatch, tmp_path):
    site.names()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "other"))
    site.names()
    assert site.loads == 2
    assert len(list((tmp_path / "cache").glob("*.json"))) == 2


def test_the_folder_of_the_cache(monkeypatch):
    monkeypatch.delenv("EMTKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    monkeypatch.setattr(sys, "platform", "linux")
    assert index.cache_folder() == Path("/somewhere/emtkit")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert index.cache_folder() == Path.home() / "Library" / "Caches" / "emtkit"


def test_files_that_no_import_sees_change_nothing(site, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path / "tree")
    tree = Site(tmp_path / "tree")
    tree.write("module.py", "")
    before = installation()
    tree.write("results/report.html", "")
    tree.write("notes.txt", "")
    assert installation() == before
    assert folders()[0][0] == str(tmp_path / "tree")
    tree.write("other.py", "")
    assert installation() != before


def test_list_show_and_completion_load_nothing_heavy(tmp_path):
    """In processes of their own: the first makes the index, the others read it."""
    environment = {**os.environ, "EMTKIT_CACHE": str(tmp_path / "cache")}
    code = (
        "import sys; from emtkit.cli.main import cli, main\n"
        f"sys.argv[0] = 'emtkit'\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )

    def said(*words: str, **more: str) -> str:
        asked = [sys.executable, "-c", code, *words]
        done = subprocess.run(
            asked, capture_output=True, text=True, check=True, env={**environment, **more}
        )
        return done.stdout + done.stderr  # what follows `main` is not the command's own

    made = said("list")
    assert "LOADED []" not in made
    read = said("list")
    assert read.rpartition("LOADED")[0] == made.rpartition("LOADED")[0]
    assert "LOADED []" in read
    plain = said("list", "tasks", "--json")
    assert "k_delay" in plain
    assert "LOADED []" in plain
    shown = said("show", "elman")
    assert "hidden" in shown
    assert "LOADED []" in shown
    asked = {"COMP_WORDS": "emtkit show el", "COMP_CWORD": "2"}
    completed = said(_EMTKIT_COMPLETE="bash_complete", **asked)
    assert "plain,elman" in completed
    assert "LOADED []" in completed
