"""Methods of one kind as the files of one folder: a file there is all that adding one takes."""

from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from inspect import isabstract
from pkgutil import iter_modules
from types import ModuleType
from typing import TypeVar

from emtkit.errors import PluginError, did_you_mean

Base = TypeVar("Base")


@dataclass(frozen=True)
class Methods:
    """The modules of `package`, `base` aside; a method is called as its file, which holds it alone.

    The study file, the command line, the editor's schema and the docs read the folder; listing the
    names imports none of them. `kind` says in errors what they are.
    """

    package: str
    kind: str

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all methods, sorted."""
        return tuple(sorted(module_names(self.package)))

    def load(self, name: str, base: type[Base]) -> Base:
        """The method of that name: the one final class of its file that is a `base`.

        Raises:
            PluginError: there is no such method, or its file does not hold exactly one.
        """
        if name not in self.names:
            hint = did_you_mean(name, self.names)
            raise PluginError(f"there is no {self.kind} '{name}'; {hint}")
        module = import_module(f"{self.package}.{name}")
        found = _final(module, base)
        if len(found) != 1:
            raise PluginError(
                f"{module.__file__} holds {len(found)} classes that are a {base.__name__}; the "
                f"file of a {self.kind} holds exactly one"
            )
        return found[0]()


def module_names(package: str) -> list[str]:
    """The public modules in a folder of methods, `base` aside; none of them is imported."""
    spec = find_spec(package)
    assert spec is not None
    found = iter_modules(spec.submodule_search_locations)
    return [info.name for info in found if info.name != "base" and info.name[0] != "_"]


def final_classes(base: type[Base]) -> list[type[Base]]:
    """The final classes of every module in the folder of the abstract class `base`.

    Raises:
        TypeError: a module there holds none.
    """
    package = base.__module__.rpartition(".")[0]
    found: list[type[Base]] = []
    for name in module_names(package):
        module = import_module(f"{package}.{name}")
        own = _final(module, base)
        if not own:
            raise TypeError(
                f"{module.__file__} holds no final {base.__name__}; in this folder each file does, "
                "aside from its `base`"
            )
        found += own
    return found


def _final(module: ModuleType, base: type[Base]) -> list[type[Base]]:
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module.__name__
        and not isabstract(value)
    ]
