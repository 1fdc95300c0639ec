from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emtkit.errors import Place, Problem, StudyError
from emtkit.study.document import MAX_BYTES, from_value, parse_document, read_document


def refused(raw: bytes) -> str:
    with pytest.raises(StudyError) as caught:
        parse_document(raw, "s.yaml")
    return str(caught.value)


def test_scalars_are_those_of_yaml_1_2():
    text = b"""
numbers: [1e-3, 010, -.5, 0x1f, 0o17, +3, 1., 6.02E+23, 9007199254740993]
booleans: [true, false]
texts: [True, yes, off, 2020-01-01, 1:30, 1_000, '1', "null", e5, '<<', 0x, .]
nulls: [null, ~, ]
"""
    value = parse_document(text, "s.yaml").value
    assert value == {
        "numbers": [0.001, 10, -0.5, 31, 15, 3, 1.0, 6.02e23, 9007199254740993],
        "booleans": [True, False],
        "texts": [
            *("True", "yes", "off", "2020-01-01", "1:30", "1_000"),
            *("1", "null", "e5", "<<", "0x", "."),
        ],
        "nulls": [None, None],
    }
    assert [type(x) for x in value["numbers"]] == [
        *(float, int, float, int, int, int, float, float, int)
    ]


def test_keys_and_values_know_their_places():
    document = parse_document(b"a:\n  b: [1,  22]\n", "s.yaml")
    assert document.place(("a", "b", 1)) == Place("s.yaml", 2, 11)
    assert document.place(("a", "b"), key=True) == Place("s.yaml", 2, 3)
    # What is not there is told at its nearest parent.
    assert document.place(("a", "missing", "deep")) == Place("s.yaml", 2, 3)


def test_aliases_mean_their_anchor():
    document = parse_document(b"a: &x [1, 2]\nb: *x\n", "s.yaml")
    assert document.value == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (
            b"a: 1\nb: 2\na: 3\n",
            "s.yaml:3:1 a: the key 'a' appears twice\n  it appears first at s.",
        ),
        (b"x: {a: 1, a: 2}", "s.yaml:1:11 x.a: the key 'a' appears twice"),
        (b"a:\n\tb: 1\n", "s.yaml:2:1: this is not YAML: "),
        (b"a:\n\tb: 1\n", "indent with spaces, not with tabs"),
        (b"a: !!python/object:os.system x", "s.yaml:1:4 a: the tag !!python/object:os.system is"),
        (b"a: !!int 3", "s.yaml:1:4 a: the tag !!int is refused"),
        (b"a: !thing {b: 1}", "s.yaml:1:4 a: the tag !thing is refused"),
        (b"a: .nan", "s.yaml:1:4 a: .nan is not a finite number"),
        (b"a: [1, -.inf]", "s.yaml:1:8 a[1]: -.inf is not a finite number"),
        (b"a: 1e999", "s.yaml:1:4 a: 1e999 is not a finite number"),
        (b"a: &x {b: 1}\nc:\n  <<: *x\n", "s.yaml:3:3 c: the merge key `<<` is refused"),
        (b"? [a, b]\n: c\n", "s.yaml:1:3: a list or a mapping is used as a key"),
        (b"1: a\n", "s.yaml:1:1: the key '1' reads as integer\n  keys are text"),
        (b"true: a\n", "s.yaml:1:1: the key 'true' reads as boolean"),
        (b"a: 1\n---\nb: 2\n", "s.yaml:2:1: this is not YAML: expected a single document"),
        (b"a: [1, 2\n", "s.yaml:2:1: this is not YAML: while parsing a flow sequence"),
        (b"a: b: c\n", "s.yaml:1:5: this is not YAML: mapping values are not allowed here"),
        (b"a: *x\n", "s.yaml:1:4: this is not YAML: found undefined alias 'x'"),
        (b"", "s.yaml:1:1: the study is empty"),
        (b"# nothing but a comment\n", "s.yaml:1:1: the study is empty"),
        (b"a: 1\nb: \xff\n", "s.yaml:2:4: the file is not UTF-8 text"),
        ("a: 1\n".encode("utf-16"), "s.yaml:1:1: the file is not UTF-8 text"),
        (b"a: 1\nb: x\x00y\n", "s.yaml:2:5: the character 0 is not allowed in YAML"),
        (b'a: "\\0"', "s.yaml:1:4 a: the text holds the control character '\\x00'"),
        (b'a: "\\e[31m"', "control character '\\x1b'"),
        (b'a: "\\ud800"', "control character '\\ud800'"),
        (b'a: "\\U00110000"', "this is not YAML"),
        (b"%YAML 3.0\n---\na: 1", "this is not YAML: found incompatible YAML document"),
        (b"a: &x [*x]", "nested more than 20 levels deep"),
        (b"a: &x [*x, *x]", "nested more than 20 levels deep"),
        (b"[" * 5000, "s.yaml:1:22: this is not YAML: nested more than 20 levels deep"),
        (b"{a: " * 5000, "nested more than 20 levels deep"),
        (b"- " * 5000, "nested more than 20 levels deep"),
        (b"[" + b"1," * 30000 + b"]", "more than 20000 values"),
        (b"a: " + b"9" * 5000, "s.yaml:1:4 a: 999"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_place(raw: bytes, told: str):
    assert told in refused(raw)


def test_an_alias_bomb_is_refused_in_no_time():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 12):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    started = time.perf_counter()
    told = refused("\n".join(lines).encode())
    assert "aliases expand the file to more than 20000 values" in told
    assert told.startswith("s.yaml:")
    assert time.perf_counter() - started < 5


def test_mistakes_of_form_are_told_together():
    told = refused(b"a: .inf\nb: 1\nb: 2\nc: !x y\n")
    assert [line.split()[0] for line in told.splitlines() if line.startswith("s.yaml")] == [
        *("s.yaml:1:4", "s.yaml:3:1", "s.yaml:4:4")
    ]


def test_a_file_is_read_and_named(tmp_path: Path):
    path = tmp_path / "study.yaml"
    path.write_bytes("\ufefftasks: [é]\n".encode())
    document = read_document(path)
    assert document.value == {"tasks": ["é"]}
    assert document.place(("tasks",)).file == str(path)


def test_a_huge_file_is_refused_unread(tmp_path: Path):
    path = tmp_path / "huge.yaml"
    with path.open("wb") as stream:
        stream.truncate(100_000_000)  # sparse: takes no room
    started = time.perf_counter()
    with pytest.raises(StudyError, match=r"huge.yaml:1:1: the study has 100,000,000 bytes\n"):
        read_document(path)
    assert time.perf_counter() - started < 1
    path.write_bytes(b"a: " + b"x" * MAX_BYTES)
    with pytest.raises(StudyError, match="a study has at most 1,000,000"):
        read_document(path)


def test_what_is_no_file_is_refused(tmp_path: Path):
    with pytest.raises(StudyError, match="does not exist"):
        read_document(tmp_path / "none.yaml")
    with pytest.raises(StudyError, match="is not a file"):
        read_document(tmp_path)
    with pytest.raises(StudyError):
        read_document("a\0b")
    with pytest.raises(StudyError):
        read_document("a" * 5000)
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(StudyError, match="is not a file"):
        read_document(tmp_path / "pipe.yaml")


def test_a_notebooks_dict_is_a_document():
    value = {"a": (1, np.int64(2), np.float64(0.5)), "b": {"c": None, "d": True}}
    document = from_value(value)
    assert document.value == {"a": [1, 2, 0.5], "b": {"c": None, "d": True}}
    assert str(document.place(("b", "c"))) == "<study>:1:1"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": [1, float("nan")]}, "<study>:1:1 a[1]: nan is not a finite number"),
        ({"a": object()}, "<study>:1:1 a: a object cannot be in a study"),
        ({"a": {1: 2}}, "<study>:1:1 a: a key is not text"),
        ({"a": np.ones(2)}, "a ndarray cannot be in a study"),
        ({"a": "\x1b"}, "the text holds a control character"),
    ],
)
def test_what_a_notebook_cannot_say(value: dict[str, object], told: str):
    with pytest.raises(StudyError) as caught:
        from_value(value)
    assert told in str(caught.value)


def test_a_list_that_holds_itself_ends():
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(StudyError, match="nested more than 20 levels deep"):
        from_value({"a": endless})


YAMLISH = st.text(st.sampled_from("ab:-[]{},'\"&*!#|>%@`?~ \n\t01.e<\\u"), max_size=60).map(
    str.encode
)
ANY = st.one_of(st.binary(max_size=80), st.text(max_size=60).map(str.encode), YAMLISH)


def problems_of(raw: bytes) -> tuple[Problem, ...]:
    try:
        parse_document(raw, "s.yaml")
    except StudyError as error:
        return error.problems
    return ()


@settings(max_examples=150, deadline=None)
@given(ANY)
def test_any_bytes_give_a_document_or_a_study_error(raw: bytes):
    for problem in problems_of(raw):
        assert problem.place.line >= 1
        assert problem.place.column >= 1
