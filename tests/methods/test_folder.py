"""A folder of methods: what is in it is what there is, and a mistake is a sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest

from emtkit.errors import PluginError
from emtkit.methods.folder import Methods


class Colour:
    """A base outside the folder."""


@pytest.fixture
def colours(tmp_path, monkeypatch):
    folder = tmp_path / "shades"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "_shared.py").write_text("raise RuntimeError('listing imports nothing')\n")
    base = f"from {__name__} import Colour\n"
    (folder / "red.py").write_text(base + "class Red(Colour): ...\n")
    (folder / "green.py").write_text(base)
    (folder / "two.py").write_text(base + "class A(Colour): ...\nclass B(Colour): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield Methods("shades", "colour")
    for name in [one for one in sys.modules if one.partition(".")[0] == "shades"]:
        del sys.modules[name]


def test_names_are_the_public_files_and_none_is_imported(colours):
    assert colours.names == ("green", "red", "two")
    assert "shades.red" not in sys.modules


def test_a_method_is_the_class_of_its_file(colours):
    assert type(colours.load("red", Colour)).__name__ == "Red"


def test_mistakes_are_sentences(colours):
    with pytest.raises(PluginError, match="no colour 'rde'; did you mean 'red'"):
        colours.load("rde", Colour)
    with pytest.raises(PluginError, match=r"green.py holds 0 classes that are a Colour"):
        colours.load("green", Colour)
    with pytest.raises(PluginError, match=r"two.py holds 2 classes"):
        colours.load("two", Colour)


def test_listing_the_folders_of_the_report_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from emtkit.plugin.statistic import STATISTICS\n"
        "from emtkit.report.tables.format import FORMATS\n"
        "assert 'mean' in STATISTICS.names and 'csv' in FORMATS.names\n"
        "print(sorted({'numpy', 'matplotlib', 'pandas', 'torch', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
