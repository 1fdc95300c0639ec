"""Records of a study file: strict and frozen; a record of training says of each field what it is.

A field of training is *per row*, *shared by a stack* or *outside the key* (`Scope`). Keys of
networks and of stacks derive from that alone, so that a new field is declared in one place.
"""

from enum import Enum
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
MAX_STEPS = 1_000_000
"""Time steps of a sequence: the states of 100 units over as many take 0.4 GB, for one sequence."""
Horizon = Annotated[int, Field(ge=1, le=MAX_STEPS)]


class Scope(Enum):
    """Which networks may differ in a field of training and still train as one program.

    `ROW`: rows of a stack. `STACK`: stacks only. `OUTSIDE`: the field decides no weight (or its
    last digits only, as the tier does), so that it enters no network's key and is no axis.
    """

    ROW = "per row"
    STACK = "shared by a stack"
    OUTSIDE = "outside the key"


class Since(Enum):
    """`LATER`: the field came when networks were stored already, and its default trains as before.

    At its default it enters no key. Fields of training and parameters of plugins say it alike.
    """

    LATER = "later"


class Settings(BaseModel):
    """Strict and frozen: an unknown key or a wrong type is a mistake, never a guess.

    The text below a field is its description, shown by editors and the documentation.
    """

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    def identity(self) -> Any:
        """What of these settings enters a key, as JSON: every field by the name a file gives it."""
        values = vars(self)
        return {
            key: _plain(values[name])
            for name, key, silent in _fields(type(self))
            if not (silent and values[name] == silent[0])
        }


class ScopedSettings(Settings):
    """Settings whose fields each declare a `Scope`, as `Annotated[int, Scope.ROW]`.

    Raises:
        TypeError: a class leaves a field undeclared, or declares it twice.
    """

    @classmethod
    def __pydantic_init_subclass__(cls) -> None:  # type: ignore[override]  # it has no options
        for name, field in cls.model_fields.items():
            declared = [mark for mark in field.metadata if isinstance(mark, Scope)]
            if len(declared) != 1:
                options = ", ".join(f"Scope.{scope.name} ({scope.value})" for scope in Scope)
                raise TypeError(
                    f"{cls.__name__}.{name} declares {len(declared)} scopes; it needs one of "
                    f"{options}, as in `{name}: Annotated[int, Scope.ROW]`"
                )

    @classmethod
    def fields_of(cls, *scopes: Scope) -> tuple[str, ...]:
        """The fields that declare one of `scopes`."""
        return _scoped(cls, scopes)

    def identity_of(self, *scopes: Scope) -> dict[str, Any]:
        """The part of `identity` that the fields of `scopes` make."""
        whole, kept = self.identity(), self.fields_of(*scopes)
        return {name: value for name, value in whole.items() if name in kept}


@cache
def _scoped(cls: type[Settings], scopes: tuple[Scope, ...]) -> tuple[str, ...]:
    fields = cls.model_fields.items()
    return tuple(name for name, field in fields if not {*scopes}.isdisjoint(field.metadata))


@cache
def _fields(cls: type[Settings]) -> tuple[tuple[str, str, tuple[Any, ...]], ...]:
    """Name, name in a file, and the default (alone in a tuple) at which a field enters no key."""
    return tuple(
        (name, field.alias or name, (field.default,) if Since.LATER in field.metadata else ())
        for name, field in cls.model_fields.items()
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.identity()
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
