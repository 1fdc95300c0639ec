"""One of several ways to do a thing, picked in a study file by its name."""

from abc import ABC
from collections.abc import Mapping
from functools import cache
from inspect import isabstract
from typing import Any, Self

from pydantic import ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from emtkit.methods.folder import final_classes
from emtkit.methods.settings import Settings


class Method(Settings, ABC):
    """A way to do a thing: `kind` is its name, every other field an option with its default.

    An abstract class says what all ways to do the thing have in common; each way is a final class
    in a file of its own beside it. In a study: its name, or a mapping with `kind` and options.
    """

    model_config = ConfigDict(defer_build=True)

    kind: str

    @classmethod
    def known(cls) -> Mapping[str, type[Self]]:
        """The final classes of an abstract one by their names."""
        return _known(cls)

    @classmethod
    def named(cls, kind: str) -> Self:
        """The method of that name with every option at its default."""
        found: Self = _known(cls)[kind]()
        return found

    def identity(self) -> Any:
        """See `Settings.identity`; the name alone where nothing else enters a key."""
        found = super().identity()
        return found["kind"] if len(found) == 1 else found

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Of an abstract class: the name of a method, or a mapping with its options."""
        if not isabstract(cls):
            return handler(source)
        known = cls.known()
        alone = [
            kind
            for kind, method in known.items()
            if not any(field.is_required() for field in method.model_fields.values())
        ]
        mappings = {kind: handler.generate_schema(method) for kind, method in known.items()}
        return core_schema.union_schema(
            [
                core_schema.no_info_after_validator_function(
                    cls.named, core_schema.literal_schema(alone)
                ),
                core_schema.tagged_union_schema(mappings, "kind"),
            ],
            mode="left_to_right",
        )


@cache
def _known(base: Any) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for method in final_classes(base):
        kind = method.model_fields["kind"].default
        if kind in found:
            raise TypeError(
                f"{found[kind].__module__} and {method.__module__} both name the kind '{kind}'"
            )
        found[kind] = method
    return found
