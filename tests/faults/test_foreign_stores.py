"""Stores made by someone else: a wrong type anywhere is a sentence, never a traceback or a hang."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from emtkit.store.codec import name_of, seal
from tests.conftest import Terminal
from tests.faults.test_fuzz import no_hang

WRONG = (
    None,
    True,
    -1,
    1.5,
    9e99,
    "x",
    "\x1b[2J",
    [],
    [1],
    {},
    {"a": [1]},
    {"float": "x"},
    10**400,
)
RAW: tuple[Any, ...] = ("", "{", "NaN", "[" * 5000, '"\\ud800"', b"\xff", 9e99, -1, 2**62)
COLUMNS = {
    "cells": "key identity scalars reasons tier seconds digest error parts provenance",
    "findings": "key cell identity scalars reasons seconds digest error parts provenance",
    "blobs": "owner kind step digest data",
    "progress": "run study state started updated counts",
    "provenance": "key text",
    "attempts": "cell number outcome text seconds",
}
JSON = {"identity", "scalars", "reasons", "parts", "text", "counts"}
COMMANDS = (
    ("table", "study.yaml"),
    ("report", "study.yaml"),
    ("plan", "study.yaml"),
    ("verify",),
    ("watch", "study.yaml"),
    ("export", "study.yaml", "--out", "out"),
)
STUDY = """\
tasks: [{use: k_delay, delay: 1}]
architectures: [elman]
analyses: [spectrum]
training: {steps: 1}
seeds: 2
tables: [{name: losses, rows: architecture, over: seed, values: [{value: test.loss}]}]
figures: [{name: loss, use: line, x: architecture, y: test.loss}]
"""


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    terminal = Terminal(tmp_path_factory.mktemp("foreign"))
    (terminal.folder / "study.yaml").write_text(STUDY)
    words = ("run", "study.yaml", "-j", "1", "--store", "whole.sqlite")
    assert terminal.emtkit(*words).code == 0
    with closing(sqlite3.connect(terminal.folder / "whole.sqlite")) as store:
        store.execute("INSERT INTO attempts SELECT key, 1, 'lost', 'x', 1.0 FROM cells")
        store.execute("UPDATE progress SET state = 'running'")
        store.commit()
    return terminal


def replaced(value: Any, wrong: Any) -> Iterator[Any]:
    """`value` with `wrong` in the place of itself, and of each of its parts."""
    yield wrong
    parts = value.items() if isinstance(value, dict) else ()
    for key, part in parts:
        for inner in replaced(part, wrong):
            yield {**value, key: inner}


def cases(store: sqlite3.Connection) -> Iterator[tuple[str, str, Any]]:
    for table, columns in COLUMNS.items():
        for column in columns.split():
            yield from ((table, column, raw) for raw in RAW)
            if column in JSON and (table, column) != ("attempts", "text"):
                (text,) = store.execute(f"SELECT {column} FROM {table}").fetchone()
                for wrong in WRONG:
                    for value in replaced(json.loads(text), wrong):
                        yield table, column, json.dumps(value)


def resealed(store: sqlite3.Connection, table: str) -> None:
    """Make every seal right again, as whoever wrote the store would."""
    if table == "provenance":
        for key, text in store.execute("SELECT key, text FROM provenance").fetchall():
            new = name_of(str(text).encode("utf-8", "replace"))
            store.execute("UPDATE provenance SET key = ? WHERE key = ?", (new, key))
            for other in ("cells", "findings"):
                store.execute(f"UPDATE {other} SET provenance = ?", (new,))
    for rows in ("cells", "findings"):
        for number, *row, _ in store.execute(f"SELECT rowid, * FROM {rows}").fetchall():
            query = f"UPDATE {rows} SET seal = ? WHERE rowid = ?"
            store.execute(query, (seal(row), number))


def spoil(path: Path, table: str, column: str, value: Any) -> None:
    with closing(sqlite3.connect(path)) as store:
        store.text_factory = lambda text: text.decode("utf-8", "replace")
        rows = "rowid = 1" if table in ("cells", "findings", "attempts") else "1"
        store.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {rows}", (value,))
        resealed(store, table)
        store.commit()


@pytest.mark.parametrize("tries", [1, pytest.param(400, marks=pytest.mark.slow)])
def test_a_wrong_type_anywhere_is_a_sentence(terminal, monkeypatch, tries):
    monkeypatch.setattr("emtkit.execute.progress.SILENCE", 0.5)
    whole, path = terminal.folder / "whole.sqlite", terminal.folder / "bad.sqlite"
    with closing(sqlite3.connect(whole)) as store:
        known = [
            ("provenance", "text", "[1]"),
            ("progress", "updated", 9e99),
            ("progress", "updated", "x"),
            ("cells", "reasons", "null"),
            ("findings", "seconds", b"x"),
        ]
        drawn = list(cases(store))
    for table, column, value in [*known, *random.Random(tries).sample(drawn, tries)]:
        shutil.copy(whole, path)
        spoil(path, table, column, value)
        for words in COMMANDS:
            with no_hang():
                said = terminal.emtkit(*words, "--store", "bad.sqlite")
            what = f"{words[0]} with {table}.{column} = {value!r:.60}: {said.err}"
            assert said.code in (0, 1, 2, 4), what
            assert not set(said.out + said.err) & set("\x1b\x07"), what
