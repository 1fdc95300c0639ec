"""Every training that differs from a given one in a single field, made from the annotations.

A field that is new is varied without a word here; one whose kind is not known here fails loudly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ValidationError

from emtkit.methods.method import Method
from emtkit.study.settings import Training


@dataclass(frozen=True)
class Variation:
    """`training` with another value at `path`, whose first part is a field of `Training`."""

    path: tuple[str, ...]
    value: object
    training: Training

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}={self.value}"


def variations(training: Training) -> Iterator[Variation]:
    """Each field, and each option of each method and record in it, with another value."""
    for name, field in Training.model_fields.items():
        now = getattr(training, name)
        made = list(values(field.annotation, field.metadata, now, (name,)))
        fitting: dict[tuple[object, ...], Variation] = {}
        for path, value in made:
            raw = {**training.model_dump(by_alias=True), name: value}
            other = Training.model_validate(raw) if _fits(Training, raw) else training
            kind = value.get("kind") if isinstance(value, dict) else value
            one = kind if isinstance(kind, str) else type(value)  # one number is enough
            if getattr(other, name) != now:
                fitting.setdefault((*path, one), Variation(path, value, other))
        missing = {path for path, _ in made} - {found.path for found in fitting.values()}
        if missing or not fitting:
            raise AssertionError(f"no other value was found for {missing or name}")
        yield from fitting.values()


def values(
    annotation: Any, marks: list[Any], now: object, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Other values than `now` of an annotation, and which option each changes."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from values(parts[0], [*marks, *parts[1:]], now, path)
    elif origin in (Union, UnionType):
        for part in parts:
            if part is NoneType and now is not None:
                yield path, None
            elif part is not NoneType:
                yield from values(part, marks, now, path)
    elif origin is Literal:
        yield from ((path, value) for value in parts if value != now)
    elif origin is tuple:
        yield from _tuples(parts, now, path)
    elif annotation is bool:
        yield path, not now
    elif annotation in (int, float):
        yield from ((path, value) for value in numbers(annotation, marks, now))
    elif annotation is str:
        yield path, "accuracy" if now != "accuracy" else "loss"
    elif isinstance(annotation, type) and issubclass(annotation, Method):
        for kind, method in annotation.known().items():
            held = now if isinstance(now, method) else None
            if held is None:
                yield path, _whole(method, {"kind": kind})
            yield from _options(method, held, path, kind)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        held = now if isinstance(now, annotation) else None
        if held is None:
            yield path, _whole(annotation, {})
        yield from _options(annotation, held, path)
    else:
        raise AssertionError(f"{'.'.join(path)}: no other value is known of {annotation}")


def numbers(kind: type, marks: list[Any], now: object) -> list[float]:
    """Numbers other than `now` within the bounds that `marks` give."""
    flat = [part for mark in marks for part in getattr(mark, "metadata", None) or [mark]]
    base = now if isinstance(now, int | float) else 1
    tried = [base / 2, 0.5, 0.25, base * 2, 1] if kind is float else [base + 1, 1, 2]
    found: list[float] = []
    for value in dict.fromkeys(kind(number) for number in tried):
        low = all(
            value >= mark.ge if isinstance(mark, Ge) else value > mark.gt
            for mark in flat
            if isinstance(mark, Ge | Gt)
        )
        high = all(
            value <= mark.le if isinstance(mark, Le) else value < mark.lt
            for mark in flat
            if isinstance(mark, Le | Lt)
        )
        if low and high and value != now:
            found.append(value)
    if not found:
        raise AssertionError(f"no number other than {now} lies within {flat}")
    return found


def _tuples(
    parts: tuple[Any, ...], now: object, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    held = now if isinstance(now, tuple) else ()
    if parts[-1] is Ellipsis:
        found = next(value for _, value in values(parts[0], [], None, path))
        yield path, (found,) if held != (found,) else (found, found)
        return
    for place, part in enumerate(parts):
        one = held[place] if held else None
        for _, value in values(part, [], one, path):
            yield path, (*held[:place], value, *held[place + 1 :])


def _options(
    model: type[BaseModel], held: BaseModel | None, path: tuple[str, ...], kind: str = ""
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The record with one option after the other changed; with a second where it needs one."""
    given = {"kind": kind} if kind else {}
    whole = held.model_dump(by_alias=True) if held is not None else _whole(model, given)
    others = {
        field.alias or name: [
            value
            for _, value in values(
                field.annotation, field.metadata, whole.get(field.alias or name, field.default), ()
            )
        ]
        for name, field in model.model_fields.items()
        if name != "kind"
    }
    for key, found in others.items():
        inner = (*path, *((kind,) if kind else ()), key)
        company = [{}, *({k: v} for k, more in others.items() if k != key for v in more)]
        for value in found:
            tried = ({**whole, **second, key: value} for second in company)
            yield inner, next((raw for raw in tried if _fits(model, raw)), {**whole, key: value})


def _fits(model: type[BaseModel], raw: dict[str, Any]) -> bool:
    try:
        model.model_validate(raw)
    except ValidationError:
        return False
    return True


def _whole(model: type[BaseModel], given: dict[str, Any]) -> dict[str, Any]:
    """A mapping with every option that has no default."""
    needed = {
        field.alias or name: next(iter(values(field.annotation, field.metadata, None, (name,))))[1]
        for name, field in model.model_fields.items()
        if field.is_required() and name not in given
    }
    return {**given, **needed}
