"""Methods of one kind as the files of one folder: a file there is all that adding one takes."""

from __future__ import annotations

from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules
from typing import TypeVar

C = TypeVar("C")


def module_names(package: str) -> list[str]:
    """The modules in a folder of methods, `base` aside; none of them is imported."""
    found = iter_modules(import_module(package).__path__)
    return [info.name for info in found if info.name != "base"]


def final_classes(base: type[C]) -> list[type[C]]:
    """The final classes of every module in the folder of the abstract class `base`.

    Raises:
        TypeError: a module there holds none.
    """
    package = base.__module__.rpartition(".")[0]
    found: list[type[C]] = []
    for name in module_names(package):
        module = import_module(f"{package}.{name}")
        own = [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, base)
            and value.__module__ == module.__name__
            and not isabstract(value)
        ]
        if not own:
            raise TypeError(
                f"{module.__file__} holds no final {base.__name__}; in this folder each file does, "
                "aside from its `base`"
            )
        found += own
    return found
