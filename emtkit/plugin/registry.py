"""Which tasks, architectures and analyses there are, and who owns them."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pluggy

from emtkit.errors import PluginError
from emtkit.plugin import hookspecs, params
from emtkit.plugin.analysis import Analysis
from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.catalogue import Broken, Kind
from emtkit.plugin.task import Task


@dataclass(frozen=True)
class Plugin:
    """One registered class: what kind it is, who owns it, and a digest of its sources.

    `source` is the loose file it came from, else None.
    """

    kind: Kind
    name: str
    cls: type[Task] | type[SequenceModel] | type[Analysis]
    owner: str
    digest: str
    source: Path | None = None

    @property
    def version(self) -> int:
        """The version that enters the content key."""
        return self.cls.version

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (self.cls.__doc__ or "").strip().split("\n")[0]


class Registry:
    """All plugins by name. Build one with `Registry.installed()`, or by hand in a test."""

    def __init__(self, plugins: Iterable[Plugin], broken: Iterable[Broken] = ()) -> None:
        self.broken = tuple(broken)
        self.tasks: dict[str, type[Task]] = {}
        self.architectures: dict[str, type[SequenceModel]] = {}
        self.analyses: dict[str, type[Analysis]] = {}
        self._plugins: dict[tuple[Kind, str], Plugin] = {}
        for plugin in sorted(plugins, key=lambda entry: (entry.kind, entry.name, entry.owner)):
            self._add(plugin)

    @classmethod
    def installed(cls, files: Iterable[Path] = ()) -> Registry:
        """Every plugin of the installed distributions, and those in loose `files`.

        Raises:
            PluginError: two owners claim one name.
        """
        plugins: list[Plugin] = []
        broken: list[Broken] = []
        for point in sorted(entry_points(group="emtkit"), key=lambda entry: entry.value):
            owner = point.dist.name if point.dist else point.value
            for name in _modules(point.value, owner, broken):
                _load(name, owner, None, plugins, broken)
        for path in files:
            _load(_loose(path), str(path), path, plugins, broken)
        return cls(plugins, broken)

    @classmethod
    def of(cls, *classes: type[Task] | type[SequenceModel] | type[Analysis]) -> Registry:
        """A registry of just these classes, each checked as an installed one would be."""
        return cls([_plugin(entry, entry.__module__, None) for entry in classes])

    def get(self, kind: Kind, name: str) -> Plugin | None:
        """The plugin of that kind and name, or None."""
        return self._plugins.get((kind, name))

    def names(self, kind: Kind) -> list[str]:
        """All names of one kind, sorted."""
        return [name for (found, name) in self._plugins if found == kind]

    def all(self) -> list[Plugin]:
        """Every plugin, by kind and name."""
        return list(self._plugins.values())

    def _add(self, plugin: Plugin) -> None:
        twin = self._plugins.get((plugin.kind, plugin.name))
        if twin is not None:
            raise PluginError(
                f"two owners offer the {plugin.kind} '{plugin.name}': {twin.owner} "
                f"({twin.cls.__module__}) and {plugin.owner} ({plugin.cls.__module__}); "
                "rename one of them or remove it"
            )
        self._plugins[plugin.kind, plugin.name] = plugin
        if issubclass(plugin.cls, Task):
            self.tasks[plugin.name] = plugin.cls
        elif issubclass(plugin.cls, SequenceModel):
            self.architectures[plugin.name] = plugin.cls
        else:
            self.analyses[plugin.name] = plugin.cls


def digest(module: ModuleType) -> str:
    """A digest of the module's file and of every module of its own package that it imports."""
    seen: dict[str, Path] = {}
    _collect(module.__name__, seen)
    if module.__file__ and module.__name__ not in seen:
        seen[module.__name__] = Path(module.__file__)
    total = hashlib.sha256()
    for name in sorted(seen):
        total.update(seen[name].read_bytes())
    return total.hexdigest()[:16]


def _modules(package: str, owner: str, broken: list[Broken]) -> list[str]:
    try:
        root = importlib.import_module(package)
    except Exception as error:  # whatever a stranger's package raises is its own reason
        broken.append(Broken(package, owner, _reason(error)))
        return []
    found = [package]
    for info in pkgutil.walk_packages(getattr(root, "__path__", []), f"{package}.", onerror=_quiet):
        if not any(part.startswith("_") for part in info.name.split(".")):
            found.append(info.name)
    return found


def _quiet(name: str) -> None:
    """A package that fails here fails again, with its reason, when it is loaded."""


def _load(
    name: str, owner: str, source: Path | None, plugins: list[Plugin], broken: list[Broken]
) -> None:
    try:
        module = importlib.import_module(name) if source is None else _execute(name, source)
        plugins.extend(_plugin(cls, owner, source) for cls in _offered(module))
    except Exception as error:  # isolated: one broken module must not take others with it
        broken.append(Broken(str(source or name), owner, _reason(error)))


def _offered(module: ModuleType) -> list[type[Task] | type[SequenceModel] | type[Analysis]]:
    manager = pluggy.PluginManager("emtkit")
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    # Without this call pluggy keeps silent about a misspelt hook.
    manager.check_pending()
    hooks = (manager.hook.emtkit_tasks, manager.hook.emtkit_architectures)
    return [cls for hook in (*hooks, manager.hook.emtkit_analyses) for out in hook() for cls in out]


def _plugin(
    cls: type[Task] | type[SequenceModel] | type[Analysis], owner: str, source: Path | None
) -> Plugin:
    kinds: Mapping[Kind, type] = {"task": Task, "architecture": SequenceModel, "analysis": Analysis}
    kind = next((kind for kind, base in kinds.items() if issubclass(cls, base)), None)
    if kind is None:
        raise PluginError(f"{cls.__qualname__} is not a Task, SequenceModel or Analysis")
    if not isinstance(cls.__dict__.get("name"), str):
        raise PluginError(f"{cls.__qualname__} has no `name`; it is what a study file says")
    params.schema(cls)
    return Plugin(kind, cls.name, cls, owner, digest(sys.modules[cls.__module__]), source)


def _loose(path: Path) -> str:
    return f"_emtkit_loose_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"


def _execute(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


@cache
def _imports(path: Path, package: str) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return frozenset(found)


def _collect(name: str, seen: dict[str, Path]) -> None:
    module = sys.modules.get(name)
    if name in seen or module is None or not module.__file__:
        return
    path = Path(module.__file__)
    seen[name] = path
    top = name.split(".")[0]
    for other in sorted(_imports(path, module.__package__ or "")):
        if other.split(".")[0] == top:
            _collect(other, seen)
