"""Methods of one kind, picked by name: each is a file of its own in the folder of that kind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import TypeVar

from emtkit.errors import PluginError, did_you_mean

Method = TypeVar("Method")


@dataclass(frozen=True)
class Methods:
    """The public modules of `package`; a method is called as its file, and its file holds it alone.

    A new method is one new file: the study file, the command line, the editor's schema and the docs
    read the folder. Listing the names imports none of them. `kind` says in errors what they are.
    """

    package: str
    kind: str

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all methods, sorted."""
        spec = find_spec(self.package)
        assert spec is not None
        found = iter_modules(spec.submodule_search_locations)
        return tuple(sorted(one.name for one in found if not one.name.startswith("_")))

    def load(self, name: str, base: type[Method]) -> Method:
        """The method of that name: the one class of its file that is a `base`.

        Raises:
            PluginError: there is no such method, or its file does not hold exactly one.
        """
        if name not in self.names:
            hint = did_you_mean(name, self.names)
            raise PluginError(f"there is no {self.kind} '{name}'; {hint}")
        module = import_module(f"{self.package}.{name}")
        own = [one for one in vars(module).values() if isinstance(one, type)]
        found = [one for one in own if issubclass(one, base) and one.__module__ == module.__name__]
        if len(found) != 1:
            raise PluginError(
                f"{module.__file__} holds {len(found)} classes that are a {base.__name__}; the "
                f"file of a {self.kind} holds exactly one"
            )
        return found[0]()
