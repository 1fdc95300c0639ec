"""From YAML text to plain values; what JSON cannot express is refused."""

import re
from collections.abc import Mapping
from math import isfinite
from numbers import Integral, Real

from yaml.composer import Composer
from yaml.error import Mark, MarkedYAMLError, YAMLError
from yaml.events import CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from emtkit.errors import Place, Problem, StudyError

Trail = tuple[str | int, ...]
"""The way from the root to a value: keys and positions."""

MAX_DEPTH = 20
MAX_NODES = 20_000
MAX_DIGITS = 300

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
# Resolved tags hold a space, which no tag written in a file can: written tags never pass for them.
_TEXT, _LIST, _MAP = "plain text", "plain list", "plain map"
_NULL, _BOOL, _INT, _FLOAT, _MERGE = (
    f"plain {kind}" for kind in ("null", "boolean", "integer", "float", "merge")
)


def compose(text: str, name: str) -> Node | None:
    """The tree of nodes of one YAML document, or None of an empty one.

    Raises:
        StudyError: the text is not YAML, or nested too deep, or too long.
    """
    try:
        return _Loader(text).get_single_node()
    except ReaderError as error:
        before = text[: error.position]
        place = Place(name, before.count("\n") + 1, error.position - before.rfind("\n"))
        what = f"the character {error.character!r} is not allowed in YAML"
        raise mistake(place, what, "a study is plain text; remove the character") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name, 1, 1)
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise mistake(place, f"this is not YAML: {what}", _yaml_hint(what)) from None
    except (YAMLError, ValueError) as error:
        raise mistake(Place(name, 1, 1), f"this is not YAML: {error}", _yaml_hint("")) from None


class Builder:
    """Turns nodes into plain values; continues after a mistake, so that all are found.

    `values` and `keys` hold the places, `problems` the mistakes.
    """

    def __init__(self, name: str) -> None:
        self.problems: list[Problem] = []
        self.values: dict[Trail, Place] = {}
        self.keys: dict[Trail, Place] = {}
        self._name = name
        self._ended = False

    def build(self, node: Node, path: Trail, depth: int) -> object:
        """The plain value of `node`, whose path is `path`."""
        if self._ended:
            return None
        self.values[path] = self._place(node)
        # Aliases are expanded here: a bomb of them ends at one of these two limits.
        if len(self.values) > MAX_NODES:
            self._ended = True
            what = f"aliases expand the file to more than {MAX_NODES} values"
            self._say(node, path, what, "aliases of aliases multiply; write the values out")
        elif depth > MAX_DEPTH:
            self._ended = True
            self._say(node, path, f"nested more than {MAX_DEPTH} levels deep", "a study is flatter")
        elif isinstance(node, MappingNode) and node.tag == _MAP:
            return self._mapping(node, path, depth)
        elif isinstance(node, SequenceNode) and node.tag == _LIST:
            entries = enumerate(node.value)
            return [self.build(entry, (*path, position), depth + 1) for position, entry in entries]
        elif isinstance(node, ScalarNode):
            return self._scalar(node, path)
        else:
            self._refuse_tag(node, path)
        return None

    def _mapping(self, node: MappingNode, path: Trail, depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            here = (*path, key)
            if key in found:
                hint = f"it appears first at {self.keys[here]}; keep one of them"
                self._say(key_node, here, f"the key '{_short(key)}' appears twice", hint)
                continue
            self.keys[here] = self._place(key_node)
            found[key] = self.build(value_node, here, depth + 1)
        return found

    def _key(self, node: Node, path: Trail) -> str | None:
        if not isinstance(node, ScalarNode):
            self._say(node, path, "a list or a mapping is used as a key", "keys are text")
            return None
        if node.tag in {_NULL, _BOOL, _INT, _FLOAT}:
            text = _short(str(node.value))
            what = f"the key '{text}' reads as {node.tag.removeprefix('plain ')}"
            self._say(node, path, what, f'keys are text; put it into quotes: "{text}"')
            return None
        key = self._scalar(node, path)
        return key if isinstance(key, str) else None

    def _scalar(self, node: ScalarNode, path: Trail) -> object:
        text = str(node.value)
        if control := _CONTROL.search(text):
            what = f"the text holds the control character {control.group()!r}"
            self._say(node, path, what, "remove it")
        elif node.tag == _TEXT:
            return text
        elif node.tag == _BOOL:
            return text == "true"
        elif node.tag == _INT and len(text) <= MAX_DIGITS:
            return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))
        elif node.tag == _FLOAT and _is_finite(text):
            return float(text)
        elif node.tag in {_INT, _FLOAT}:
            what = f"{_short(text)} is not a finite number"
            self._say(node, path, what, "NaN, infinity and endless numbers are refused")
        elif node.tag == _MERGE:
            self._say(node, path, "the merge key `<<` is refused", "write the keys out")
        elif node.tag != _NULL:
            self._refuse_tag(node, path)
        return None

    def _refuse_tag(self, node: Node, path: Trail) -> None:
        tag = str(node.tag).replace("tag:yaml.org,2002:", "!!")
        self._say(node, path, f"the tag {_short(tag)} is refused", "a study has plain values only")

    def _place(self, node: Node) -> Place:
        return Place(self._name, node.start_mark.line + 1, node.start_mark.column + 1)

    def _say(self, node: Node, path: Trail, text: str, hint: str) -> None:
        self.problems.append(Problem(self._place(node), spelled(path), text, hint))


def plain(value: object, name: str, problems: list[Problem], path: Trail = ()) -> object:
    """`value` from a notebook as a study file would have it; what cannot be is a problem."""

    def say(text: str) -> None:
        hint = "a study holds dict, list, str, int, float, bool and None"
        problems.append(Problem(Place(name, 1, 1), spelled(path), text, hint))

    if len(path) > MAX_DEPTH:
        say(f"nested more than {MAX_DEPTH} levels deep")
    elif isinstance(value, str) and _CONTROL.search(value):
        say("the text holds a control character")
    elif value is None or isinstance(value, bool | str):
        return value
    elif isinstance(value, Integral):
        return int(value)
    elif isinstance(value, Real) and isfinite(value):
        return float(value)
    elif isinstance(value, list | tuple):
        return [plain(entry, name, problems, (*path, i)) for i, entry in enumerate(value)]
    elif isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(entry, name, problems, (*path, key)) for key, entry in value.items()}
    elif isinstance(value, Mapping):
        say("a key is not text")
    elif isinstance(value, Real):
        say(f"{value} is not a finite number")
    else:
        say(f"a {type(value).__name__} cannot be in a study")
    return None


def mistake(place: Place, text: str, hint: str) -> StudyError:
    """The error of a file that cannot be read on."""
    return StudyError([Problem(place, "", text, hint)])


def spelled(path: Trail) -> str:
    """A path as a reader writes it: `tasks[0].grid.delay`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else _short(step)
    return text


_FORMS = {
    _NULL: re.compile(r"~|null|"),
    _BOOL: re.compile(r"true|false"),
    _INT: re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+"),
    _FLOAT: re.compile(
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    ),
    _MERGE: re.compile(r"<<"),
}
_STARTS = frozenset("~ntf<+-.0123456789")


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's stages up to nodes, which counts depth and nodes while it composes."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._depth = 0
        self._count = 0

    def resolve(self, kind: type[Node], value: str | None, implicit: object) -> str:
        """The tag of a node that bears none: quoted text is text, the rest follows YAML 1.2."""
        if kind is not ScalarNode:
            return _MAP if kind is MappingNode else _LIST
        plain_style = isinstance(implicit, tuple) and implicit[0]
        if not plain_style or value is None or (value and value[0] not in _STARTS):
            return _TEXT
        return next((tag for tag, form in _FORMS.items() if form.fullmatch(value)), _TEXT)

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        """Compose one node, unless it lies too deep or is one too many."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._count += 1
        self._depth += 1
        what = f"more than {MAX_NODES} values" if self._count > MAX_NODES else ""
        if self._depth > MAX_DEPTH + 1 and isinstance(event, CollectionStartEvent):
            # Stopped here, not in the builder: composing recurses, and Python's stack is short.
            what = f"nested more than {MAX_DEPTH} levels deep"
        if what:
            mark = event.start_mark if isinstance(event.start_mark, Mark) else None
            raise MarkedYAMLError(problem=what, problem_mark=mark)
        node = Composer.compose_node(self, parent, index)
        self._depth -= 1
        return node


def _yaml_hint(what: str) -> str:
    if "'\\t'" in what:
        return "indent with spaces, not with tabs"
    if "levels deep" in what or "more than" in what:
        return "a study is short and flat; is this another file?"
    if "another document" in what:
        return "a study is one document; remove the second `---`"
    return "check indentation, colons, brackets and quotes near this place"


def _is_finite(text: str) -> bool:
    return text[-1] not in "fFnN" and len(text) <= MAX_DIGITS and isfinite(float(text))


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
