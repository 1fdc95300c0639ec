"""The pages that the code writes about itself leave nothing out; pictures are there, and small."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from emtkit import Registry
from emtkit.cli.main import cli
from emtkit.methods.curricula.base import Curriculum
from emtkit.methods.optimisers.base import Optimiser
from emtkit.methods.schedules.base import Schedule
from emtkit.plugin import describe
from emtkit.plugin.params import parameters
from emtkit.study.settings import Training
from emtkit.study.views import Expect, Figure, Table

DOCS = Path(__file__).parent.parent / "docs"
LARGEST_PICTURE = 200_000


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("_docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("generated")
    (folder / "left_over.md").write_text("of a plugin that is gone")
    module.write(folder)
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*.md")
    }


def test_every_plugin_has_a_page_with_its_whole_docstring(pages: dict[str, str]) -> None:
    for plugin in Registry.installed().all():
        page = pages[f"plugins/{plugin.kind}-{plugin.name}.md"]
        words = " ".join(page.split())
        assert plugin.summary in words
        assert all(parameter.description in words for parameter in parameters(plugin.cls))
        assert "Parameters:" in page
        assert f"(plugins/{plugin.kind}-{plugin.name}.md)" in pages["plugins.md"]


def test_what_show_prints_fits_a_terminal() -> None:
    for plugin in Registry.installed().all():
        assert [
            line for line in describe.page(plugin).splitlines() if len(line) > describe.WIDTH
        ] == []


def test_pages_of_what_is_gone_are_gone(pages: dict[str, str]) -> None:
    assert "left_over.md" not in pages


def test_every_command_and_option_is_told(pages: dict[str, str]) -> None:
    for name, command in cli.commands.items():
        assert f"## {name}\n" in pages["cli.md"]
        for parameter in command.params:
            assert all(option in pages["cli.md"] for option in parameter.opts if "-" in option)


def test_every_key_of_a_study_is_told(pages: dict[str, str]) -> None:
    told = "".join(text for name, text in pages.items() if name.startswith("parts/"))
    methods = [m for base in (Optimiser, Schedule, Curriculum) for m in base.known().values()]
    for model in (Training, *methods, Table, Figure, Expect):
        assert f"### {model.__name__}\n" in told
        for name, field in model.model_fields.items():
            assert f"| `{field.alias or name}` |" in told
    # One row in full: type, range and default come from the record itself.
    assert "| `factor` | number > 1 | `1.2` |" in told
    assert "| `from` | number ≥ 0 and ≤ 1 | `0.0` |" in told


def test_every_part_is_shown_on_the_page_of_studies(pages: dict[str, str]) -> None:
    page = (DOCS / "study-file.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\{include\} generated/(parts/[\w-]+\.md)", page))
    assert shown == {name for name in pages if name.startswith("parts/")}


def test_every_study_is_on_the_page_of_reproductions() -> None:
    page = (DOCS / "reproduce.md").read_text(encoding="utf-8")
    for path in (DOCS.parent / "studies").glob("*.yaml"):
        assert f"`studies/{path.name}`" in page


def test_pictures_are_there_and_small() -> None:
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / path).stat().st_size < LARGEST_PICTURE
