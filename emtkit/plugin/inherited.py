"""What a class says about its own methods is not true of a subclass that writes those anew."""

from collections.abc import Iterable, Mapping

Names = tuple[str, ...]
FACTS: Names = ("offers", "facts")


def forget_inherited(cls: type, base: type, statements: Mapping[Names, Names]) -> None:
    """Give `cls` the answers of `base` for what it inherits about a method that it has of its own.

    `statements` has the attributes that say something together, and the methods it is said about.
    A network that overrides `step` and inherits `simple_form` would train as its parent, and a task
    that overrides `sample` and inherits `recipe` would train on its parent's batches, in silence.
    What counts is which of the two comes first in the order of inheritance.
    """
    for said, methods in statements.items():
        if _place(cls, methods) < _place(cls, said):
            for name in said:
                type.__setattr__(cls, name, vars(base)[name])


def _place(cls: type, names: Iterable[str]) -> int:
    """Where in the order of inheritance the first of these is written."""
    return next(place for place, one in enumerate(cls.__mro__) if vars(one).keys() & {*names})
