"""What holds between the files: who may import whom, what is never written, docs that stay true."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from inspect import isfunction
from pathlib import Path

import click
import pytest

import emtkit
from emtkit import Registry
from emtkit.cli.main import cli
from emtkit.plugin import hookspecs
from emtkit.study.document import parse_document
from emtkit.study.plan import Plan, plan_study

ROOT = Path(__file__).parent.parent
CORE = ROOT / "emtkit"
PLUGINS = ROOT / "plugins" / "emtkit_std"
STUDIES = ROOT / "studies"

# Wings in the order in which data passes; each sees those that stand before it.
WINGS = (
    *("errors", "text", "places", "methods", "plugin", "study", "train", "dynamics", "store"),
    *("execute", "report"),
)
SEES = {wing: set(WINGS[:position]) for position, wing in enumerate(WINGS)}
SEES["dynamics"] -= {"train"}
SEES["store"] -= {"train", "dynamics"}

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
MOST_LINES = 400


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def sources(root: Path) -> list[Path]:
    return sorted(root.rglob("*.py"))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of every import, those inside functions included."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{named(path)}:{node.lineno}: a relative import"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def wing(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", [p for p in sources(CORE) if wing(p) in WINGS], ids=named)
def test_imports_run_one_way(path: Path) -> None:
    mine = wing(path)
    wrong = [
        f"{named(path)}:{line}: '{mine}' imports {name}; it may see {sorted(SEES[mine]) or 'none'}"
        for line, name in imported(path)
        if name.startswith("emtkit.") and name.split(".")[1] not in SEES[mine] | {mine}
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", sources(CORE), ids=named)
def test_the_core_does_not_know_the_built_in_plugins(path: Path) -> None:
    assert "emtkit_std" not in path.read_text(encoding="utf-8"), "built-ins pass the common gate"


@pytest.mark.parametrize("path", sources(PLUGINS), ids=named)
def test_a_plugin_imports_from_emtkit_alone_as_strangers_do(path: Path) -> None:
    wrong = [f"{named(path)}:{line}: {name}" for line, name in imported(path) if hidden(name)]
    assert not wrong, "\n".join(wrong)


def hidden(name: str) -> bool:
    """Whether an import reaches behind the names that `emtkit` itself exports."""
    package, _, inner = name.partition(".")
    return package == "emtkit" and inner not in emtkit.__all__


@pytest.mark.parametrize("name", ["emtkit", "emtkit.errors.EmtkitError", "emtkit.plugin.task"])
def test_an_import_behind_the_exported_names_would_be_found(name: str) -> None:
    assert hidden(name)


def test_every_exported_name_is_there() -> None:
    assert all(getattr(emtkit, name) is not None for name in emtkit.__all__)


@pytest.mark.parametrize("path", [*sources(CORE), *sources(PLUGINS)], ids=named)
def test_what_is_never_written(path: Path) -> None:
    found = [f"{named(path)}:{line}: {what}" for line, what in forbidden(tree(path))]
    assert not found, "\n".join(found)


def forbidden(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Tricks that hide from a reader, or from a checker, what a name is."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in {"hasattr", "setattr", "delattr", "eval", "exec"}:
                yield node.lineno, node.func.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            if node.args.kwarg is not None:
                yield node.lineno, f"**{node.args.kwarg.arg}"
        elif isinstance(node, ast.ImportFrom):
            if any(alias.name == "*" for alias in node.names):
                yield node.lineno, "import *"
        elif isinstance(node, ast.Global):
            yield node.lineno, "global"


@pytest.mark.parametrize(
    "text",
    [
        "hasattr(x, 'y')",
        "setattr(x, 'y', 1)",
        "def f(**kwargs): ...",
        "g = lambda **rest: rest",
        "from os import *",
        "def f():\n    global x",
    ],
)
def test_what_is_never_written_would_be_found(text: str) -> None:
    assert list(forbidden(ast.parse(text)))


@pytest.mark.parametrize("path", [*sources(CORE), *sources(PLUGINS)], ids=named)
def test_a_module_is_short_and_finished(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < MOST_LINES
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)


def hooks() -> list[str]:
    return [name for name, value in vars(hookspecs).items() if is_hook(name, value)]


def is_hook(name: str, value: object) -> bool:
    return name.startswith("emtkit_") and isfunction(value)


@pytest.mark.parametrize("hook", hooks())
def test_every_hook_is_documented_and_used(hook: str) -> None:
    assert vars(hookspecs)[hook].__doc__
    assert hook in (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    assert any(f"def {hook}(" in path.read_text(encoding="utf-8") for path in sources(PLUGINS))


def test_there_are_hooks() -> None:
    assert len(hooks()) >= 3


def fenced(page: Path) -> list[tuple[str, str]]:
    """The language and the text of every fenced block of a page."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```([\w{}-]*)[^\n]*\n(.*?)^```$", text, flags=re.M | re.S)


def commands(page: Path, program: str) -> list[str]:
    """The command lines of a page's blocks that begin with `program`."""
    lines = [
        line.removeprefix("$ ").strip()
        for language, block in fenced(page)
        if language in {"", "sh", "bash", "console"}
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return [line for line in lines if line.split(" ")[0] == program]


def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][\w-]*):", makefile, flags=re.M))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_names_commands_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    asked = {shlex.split(line, comments=True)[1] for line in commands(page, "make")}
    asked |= set(re.findall(r"`make ([a-z][\w-]*)`", text))
    assert asked <= targets(), f"{named(page)}: no such target: {sorted(asked - targets())}"
    for line in commands(page, "emtkit"):
        name, *arguments = shlex.split(line, comments=True)[1:]
        assert name in cli.commands, f"{named(page)}: {line}"
        parse(cli.commands[name], name, arguments, f"{named(page)}: {line}")
    for path in set(re.findall(r"\bstudies/[\w-]+\.yaml", text)):
        assert (ROOT / path).is_file(), f"{named(page)}: {path} does not exist"


def parse(command: click.Command, name: str, arguments: list[str], where: str) -> None:
    """Let click read a command line without running it."""
    try:
        command.make_context(name, list(arguments))
    except click.UsageError as error:
        missing = isinstance(error, click.BadParameter) and "does not exist" in error.message
        if not missing:
            pytest.fail(f"{where}: {error.message}")


def test_the_readme_shows_both_kinds_of_commands() -> None:
    page = ROOT / "README.md"
    assert {"make study", "make test"} <= {
        line.split("#")[0].strip() for line in commands(page, "make")
    }
    assert len(commands(page, "emtkit")) >= 3
    assert len(page.read_text(encoding="utf-8").splitlines()) <= 120


@cache
def registry() -> Registry:
    return Registry.installed()


def planned(text: str, name: str) -> Plan:
    """The plan of a YAML block; what is only a part of a study gets the smallest rest."""
    whole = parse_document(text.encode(), name).value
    if "grids" not in whole:
        whole = {"tasks": ["k_delay"], "architectures": ["elman"], **whole}
    return plan_study(whole, registry())


def blocks() -> list[object]:
    return [
        pytest.param(text, id=f"{named(page)}-{number}")
        for page in PAGES
        for number, (language, text) in enumerate(fenced(page))
        if language == "yaml"
    ]


@pytest.mark.parametrize("text", blocks())
def test_a_study_on_a_page_plans_without_problems(text: str) -> None:
    assert planned(text, "a page").rows


def test_the_readme_has_a_ten_line_study() -> None:
    (text,) = [block for language, block in fenced(ROOT / "README.md") if language == "yaml"]
    assert len(text.splitlines()) <= 10
    assert "tasks:" in text


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.yaml")), ids=named)
def test_a_study_of_the_docs_plans_without_problems(path: Path) -> None:
    assert plan_study(path, registry()).rows
