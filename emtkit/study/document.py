"""Strict YAML: one plain value, and the place of every key and value in the file.

What JSON cannot express is refused with its place: custom tags, merge keys, dates as dates,
duplicate keys, keys that are not text, NaN. Numbers are those of YAML 1.2 (`1e-3` is one), booleans
only `true` and `false`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from emtkit.errors import Place, Problem, StudyError
from emtkit.study.yaml_nodes import Builder, Trail, compose, mistake, plain

MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Document:
    """A parsed file: its plain value, and the places of keys and values.

    `value` is made of dict, list, str, int, float, bool and None; `path` is None where there is
    no file.
    """

    name: str
    value: object
    path: Path | None
    _values: Mapping[Trail, Place]
    _keys: Mapping[Trail, Place]

    def has(self, path: Trail) -> bool:
        """Whether the file has a value at `path`."""
        return path in self._values

    def place(self, path: Trail, *, key: bool = False) -> Place:
        """The place of the value (or the key) at `path`; the nearest parent's if there is none."""
        first, second = (self._keys, self._values) if key else (self._values, self._keys)
        for length in range(len(path), -1, -1):
            found = first.get(path[:length]) or second.get(path[:length])
            if found is not None:
                return found
        return Place(self.name, 1, 1)


def read_document(path: Path | str) -> Document:
    """Read a study file.

    Raises:
        StudyError: it cannot be read, is too large, or is not strict YAML; all places are given.
    """
    name = str(path)
    start, file = Place(name, 1, 1), Path(path)
    try:
        if not file.is_file():
            kind = "is not a file" if file.exists() else "does not exist"
            raise mistake(start, f"the study {kind}", "give the path of a YAML file")
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        size = max(len(raw), file.stat().st_size)
    except (OSError, ValueError) as error:
        text = f"the study cannot be read: {error}"
        raise mistake(start, text, "give a readable file") from None
    if len(raw) > MAX_BYTES:
        hint = f"a study has at most {MAX_BYTES:,}; is this another file?"
        raise mistake(start, f"the study has {size:,} bytes", hint)
    return replace(parse_document(raw, name), path=file)


def parse_document(raw: bytes, name: str) -> Document:
    """Parse the bytes of a study file that is called `name`.

    Raises:
        StudyError: with every mistake of form that was found.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        place = Place(name, line, column)
        hint = "a study is a YAML text file, saved as UTF-8"
        raise mistake(place, "the file is not UTF-8 text", hint) from None
    root = compose(text, name)
    builder = Builder(name)
    value = None if root is None else builder.build(root, (), 0)
    if builder.problems:
        raise StudyError(builder.problems)
    if value is None:
        hint = "it needs `tasks:` and `architectures:`"
        raise mistake(Place(name, 1, 1), "the study is empty", hint)
    return Document(name, value, None, builder.values, builder.keys)


def from_value(value: Mapping[str, object], name: str = "<study>") -> Document:
    """A document from a dict, as a notebook has it; every place reads `<study>:1:1`.

    Tuples become lists, and numpy's numbers plain ones.

    Raises:
        StudyError: it holds something that a study file cannot say.
    """
    problems: list[Problem] = []
    found = plain(value, name, problems)
    if problems:
        raise StudyError(problems)
    return Document(name, found, None, {}, {})
