"""What is printed can be read in every encoding, and says what it lacks in words."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtkit.text import in_ascii, spelled

LABELLED = """\
question: Are k·θ ≤ 90° and Φ² ≈ 1 — for “every” naïve network?
seeds: 2
training: {steps: 0}
tasks: [{use: k_delay, delay: 1}]
architectures: [{use: linear_rnn, hidden: 2}]
analyses: [spectrum]
tables:
  - name: angles
    rows: task.delay
    values: [{value: spectrum.radius, label: λ₁² ≥ 0}]
"""


def _printed(encoding: str, folder: object, *words: str) -> str:
    """What a command prints to a terminal of this encoding; bytes of another are an error."""
    done = subprocess.run(
        [sys.executable, "-m", "emtkit", *words],
        capture_output=True,
        cwd=str(folder),
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode(encoding)


def test_tables_and_pages_in_every_encoding(terminal):
    (terminal.folder / "study.yaml").write_text(LABELLED, encoding="utf-8")
    assert terminal.emtkit("run", "study.yaml").code == 0
    for encoding, squared in (("ascii", "^2"), ("cp1252", "²")):
        table = _printed(encoding, terminal.folder, "table", "study.yaml", "angles")
        assert f"lambda_1{squared} >= 0" in table
        head, line = (line for line in table.splitlines() if line.startswith("| "))
        assert len(head) == len(line)
        assert f"e_i{squared}" in _printed(encoding, terminal.folder, "show", "k_delay")


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["ascii", "cp437"]))
def test_every_text_has_a_spelling_in_every_encoding(text, encoding):
    said = spelled(text, encoding)
    assert said.encode(encoding).decode(encoding) == said
    assert len(said) >= len(text)


@given(st.characters(exclude_categories=["Cs"]))
def test_every_character_has_a_spelling(character):
    assert in_ascii(character).isascii()
    assert in_ascii(character)


@pytest.mark.parametrize(
    ("character", "spelling"),
    [
        ("θ", "theta"),
        ("Φ", "Phi"),
        ("²", "^2"),
        ("₁", "_1"),
        ("λ", "lambda"),
        ("é", "e"),
        ("≤", "<="),
        ("雪", "?"),
    ],
)
def test_spellings(character, spelling):
    assert in_ascii(character) == spelling
