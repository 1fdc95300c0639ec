"""The source files of plugins: digests of them, and loose files frozen as they were first read.

A plugin file that a study names may be edited while the study runs, and so may modules that it
imports from a folder of its author's. Workers therefore get their bytes from the process that
planned the study; a worker that starts late trains with what the others train with.
"""

import ast
import contextlib
import hashlib
import importlib.util
import linecache
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from emtkit.errors import PluginError
from emtkit.plugin.installation import installed_folders


@dataclass(frozen=True)
class Source:
    """A module: its name, its file, and the content that the file had when it was read."""

    name: str
    path: str
    content: bytes
    is_package: bool = False


@dataclass(frozen=True)
class LooseFile:
    """A plugin file that a study names, and the modules of its author's that it imports."""

    main: Source
    imports: tuple[Source, ...] = ()

    @property
    def path(self) -> str:
        """Where the file lies, as the study names it."""
        return self.main.path

    @property
    def digests(self) -> dict[str, str]:
        """Of the file and of what it imports, by path."""
        read = (self.main, *self.imports)
        return {source.path: hashlib.sha256(source.content).hexdigest() for source in read}


def read_loose(path: Path) -> LooseFile:
    """The file as it is now; what it imports is known once it is loaded.

    Raises:
        OSError: it cannot be read.
    """
    name = f"_emtkit_loose_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    return LooseFile(Source(name, str(path), path.read_bytes()))


def execute(file: LooseFile) -> ModuleType:
    """Run a loose file, and where it was loaded elsewhere before, exactly what was loaded there.

    Raises:
        PluginError: it is not a Python file.
    """
    if file.imports:
        sys.meta_path.insert(0, _FrozenFinder(file.imports))
    spec = _spec(file.main)
    if spec is None or spec.loader is None or not file.path.endswith(".py"):
        raise PluginError(f"{file.path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.main.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[file.main.name]
        raise
    return module


def imports_of(file: LooseFile) -> tuple[Source, ...]:
    """What a loaded loose file imports that neither is installed nor belongs to Python."""
    found = _followed(file.main)
    own = (file.main.name, *_plugin_packages())
    return tuple(s for s in found if _top(s.name) not in own and s.path.endswith(".py"))


def digest(module: ModuleType) -> str:
    """A digest of a plugin's file and of every module of its author's that it imports.

    These are the modules of its own package, those of packages that offer plugins, and for a loose
    file whatever is not installed.
    """
    total = hashlib.sha256()
    for source in _followed(_source(module.__name__, str(module.__file__), module)):
        total.update(source.content)
    return total.hexdigest()[:16]


class _FrozenLoader(SourceLoader):
    """Gives the content that was read before, whatever the file holds now."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def get_filename(self, fullname: str) -> str:
        return self.source.path

    def get_data(self, path: str | bytes) -> bytes:
        if path != self.source.path:
            raise OSError(f"{path!r} is not frozen")
        return self.source.content


class _FrozenFinder(MetaPathFinder):
    """Finds the modules that a loose file imports before any folder is searched."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = {source.name: source for source in sources}

    def find_spec(
        self, fullname: str, path: object, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        source = self.sources.get(fullname)
        return None if source is None else _spec(source)


def _spec(source: Source) -> ModuleSpec | None:
    text = source.content.decode("utf-8", "replace").splitlines(keepends=True)
    # A traceback shows the lines that ran; the file may hold others by then.
    linecache.cache[source.path] = (len(source.content), None, text, source.path)
    folders = [os.path.dirname(source.path)] if source.is_package else None
    return importlib.util.spec_from_file_location(
        source.name,
        source.path,
        loader=_FrozenLoader(source),
        submodule_search_locations=folders,
    )


def _followed(start: Source) -> list[Source]:
    """A module and all that it imports and that counts, by name."""
    top, seen, left = _top(start.name), {}, [start]
    counting = {top, *_plugin_packages()} - {"emtkit"}
    loose = top.startswith("_emtkit_loose_")
    while left:
        source = left.pop()
        if source.name in seen:
            continue
        seen[source.name] = source
        package = source.name if source.is_package else source.name.rpartition(".")[0]
        for name in _imports(source.content, package):
            near = _top(name) in counting
            if near or (loose and _top(name) not in ("emtkit", *sys.stdlib_module_names)):
                found = _find(name)
                if found is not None and (near or not found.path.startswith(_settled())):
                    left.append(found)
    return [seen[name] for name in sorted(seen)]


def _find(name: str) -> Source | None:
    """A module by name, without importing it; None where there is none, or no file."""
    module = sys.modules.get(name)
    if module is not None:
        path = vars(module).get("__file__")
        return _source(name, path, module) if isinstance(path, str) else None
    for finder in sys.meta_path:
        if isinstance(finder, _FrozenFinder) and name in finder.sources:
            return finder.sources[name]
    spec = _search(name)
    if spec is None or spec.origin is None or not os.path.isfile(spec.origin):
        return None
    package = spec.submodule_search_locations is not None
    return Source(name, spec.origin, _read(spec.origin), package)


@cache
def _search(name: str) -> ModuleSpec | None:
    parent = name.rpartition(".")[0]
    if not parent:
        return PathFinder.find_spec(name)
    loaded = sys.modules.get(parent)
    above = loaded.__spec__ if loaded is not None else _search(parent)
    folders = None if above is None else above.submodule_search_locations
    return None if folders is None else PathFinder.find_spec(name, list(folders))


def _source(name: str, path: str, module: ModuleType) -> Source:
    loader = module.__spec__.loader if module.__spec__ is not None else None
    frozen = loader.source.content if isinstance(loader, _FrozenLoader) else _read(path)
    return Source(name, path, frozen, "__path__" in vars(module))


@cache
def _read(path: str) -> bytes:
    """Read once: the code that was loaded from a file stays what it was, and so does its digest."""
    return Path(path).read_bytes()


@cache
def _imports(content: bytes, package: str) -> frozenset[str]:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # compiled, or not Python
        return frozenset()
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # Beyond its package: importing it says so.
            with contextlib.suppress(ImportError):
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return frozenset(_with_parents(found))


def _with_parents(names: Iterable[str]) -> Iterator[str]:
    """Importing a.b runs a too."""
    for name in names:
        parts = name.split(".")
        yield from (".".join(parts[:n]) for n in range(1, len(parts) + 1))


def _top(name: str) -> str:
    return name.partition(".")[0]


@cache
def _plugin_packages() -> frozenset[str]:
    return frozenset(_top(point.value.partition(":")[0]) for point in entry_points(group="emtkit"))


@cache
def _settled() -> tuple[str, ...]:
    return tuple(installed_folders())
