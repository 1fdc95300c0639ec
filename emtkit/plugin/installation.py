"""What is installed, as a digest: whatever could change the plugins, or what they say, changes it.

Nothing is imported to find it out, so it takes milliseconds where loading plugins takes seconds.
It sees the distributions that offer plugins, every file of their packages and of emtkit's, and
what each folder of `sys.path` has to import. What plugins import from elsewhere (another source
tree) is known only once they are loaded: `outside`.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import all_suffixes
from importlib.metadata import entry_points
from importlib.util import find_spec
from types import ModuleType
from typing import Any

Stamp = tuple[int, int, int]

_IMPORTABLE = tuple(all_suffixes())


@dataclass(frozen=True)
class Installation:
    """`digest` of all that is installed; `newest` is when the last file was written, in ns."""

    digest: str
    newest: int


def installation() -> Installation:
    """The installation as it is now."""
    points = sorted(
        (point.name, point.value, *((point.dist.name, point.dist.version) if point.dist else ()))
        for point in entry_points(group="emtkit")
    )
    packages = {"emtkit", *(point[1].partition(":")[0].partition(".")[0] for point in points)}
    files = {path: stamp(path) for name in sorted(packages) for path in _files(name)}
    facts = {
        "python": [sys.version, sys.prefix, sys.flags.optimize],
        "points": points,
        "packages": sorted(packages),
        "files": files,
        "folders": [(path, found) for path in _search_path() if (found := _offer(path))],
    }
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return Installation(digest, max((found[1] for found in files.values() if found), default=0))


def stamp(path: str | os.PathLike[str]) -> Stamp | None:
    """Size of a file and when it was changed, in ns; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    # The time of change of the entry itself: a file moved here keeps only that of its content.
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def outside() -> dict[str, Stamp | None]:
    """Files of the modules loaded now that lie neither in Python's library nor beside packages
    that were installed (whose folders change with them).
    """
    settled = tuple(installed_folders())
    found = {
        path
        for module in list(sys.modules.values())
        if isinstance(module, ModuleType)
        and isinstance(path := vars(module).get("__file__"), str)
        and os.path.isabs(path)
        and not path.startswith(settled)
    }
    return {path: stamp(path) for path in sorted(found)}


def installed_folders() -> list[str]:
    """Folders of Python's own library and of installed packages, each with its last slash."""
    settled = [f"{os.path.dirname(os.__file__)}{os.sep}"]
    return settled + [f"{path}{os.sep}" for path in _search_path() if _holds_distributions(path)]


def folders() -> list[tuple[str, Stamp | None]]:
    """Every folder where Python looks for modules, and when it was changed."""
    return [(path, stamp(path)) for path in _search_path()]


def _search_path() -> list[str]:
    return [os.path.abspath(entry) for entry in sys.path]


def _files(package: str) -> Iterator[str]:
    """Every file of a package or module that Python could load."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):  # its parent or its finder is broken: loading says why
        return
    if spec is None:
        return
    if spec.submodule_search_locations is None:
        yield from [spec.origin] if spec.origin else []
        return
    for root in spec.submodule_search_locations:
        for folder, below, names in os.walk(root, followlinks=True):
            below[:] = sorted(set(below) - {"__pycache__"})
            yield from (os.path.join(folder, n) for n in sorted(names) if n.endswith(_IMPORTABLE))


def _offer(path: str) -> Any:
    """What a folder of `sys.path` has to import; of an archive, its stamp.

    Where distributions are installed, that is whatever was put there since. In a source tree or in
    the folder where the command is given, files that no import sees come and go.
    """
    if _holds_distributions(path):
        return stamp(path)
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if _is_importable(entry))
    except NotADirectoryError:
        return stamp(path)
    except OSError:
        return None


def _is_importable(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(_IMPORTABLE) or (
        entry.name.isidentifier() and os.path.exists(os.path.join(entry.path, "__init__.py"))
    )


def _holds_distributions(path: str) -> bool:
    try:
        return any(name.endswith(".dist-info") for name in os.listdir(path))
    except OSError:
        return False
