"""Every snippet of the author's guide is run, in its order, in an empty folder.

A block ```` ```python file=NAME ```` is written to NAME; one without a file is executed. A block
```` ```console ```` holds commands after `$ ` and lines that they must print, in this order, with
`...` for what is left out and any number for a number. `exit=N` is the expected exit code, and
`run` marks what trains (left to the slow suite).
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from emtkit.cli.main import cli

GUIDE = Path(__file__).parents[1] / "plugins" / "README.md"
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    language: str
    options: dict[str, str]
    text: str


@dataclass(frozen=True)
class Command:
    words: list[str]
    expected: list[str]


def snippets() -> list[Snippet]:
    found = []
    for language, options, text in FENCE.findall(GUIDE.read_text(encoding="utf-8")):
        pairs = [option.partition("=") for option in options.split()]
        found.append(Snippet(language, {name: value for name, _, value in pairs}, text))
    return found


def commands(text: str) -> list[Command]:
    found: list[Command] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Command(shlex.split(line[2:]), []))
        else:
            found[-1].expected.append(line)
    return found


def spelled(line: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "#", " ".join(line.split()))


def check_output(command: Command, output: str) -> None:
    printed = iter([spelled(line) for line in output.splitlines()])
    for line in command.expected:
        if line.strip() not in {"...", ""}:
            assert any(spelled(line) in other for other in printed), f"{line}\n---\n{output}"


def in_process(words: list[str]) -> tuple[int, str]:
    result = CliRunner().invoke(cli, words[1:], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value, result.output


def in_a_process(words: list[str]) -> tuple[int, str]:
    start = {
        "emtkit": [sys.executable, "-c", "from emtkit.cli.main import main; main()"],
        "pytest": [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
    }[words[0]]
    path = os.pathsep.join(part for part in sys.path if part)
    ended = subprocess.run(
        [*start, *words[1:]],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        timeout=300,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def follow(train: bool) -> int:
    """Do what the guide says; the answer is how many commands were run."""
    done = 0
    for snippet in snippets():
        if "file" in snippet.options:
            Path(snippet.options["file"]).write_text(snippet.text, encoding="utf-8")
        elif snippet.language == "python":
            exec(compile(snippet.text, "snippet", "exec"), {})
        elif snippet.language == "toml":
            assert tomllib.loads(snippet.text)["project"]["entry-points"]["emtkit"]
        elif snippet.language == "console" and (train or "run" not in snippet.options):
            for command in commands(snippet.text):
                separate = command.words[0] != "emtkit" or "run" in snippet.options
                code, output = (in_a_process if separate else in_process)(command.words)
                assert code == int(snippet.options.get("exit", 0)), output
                check_output(command, output)
                done += 1
    return done


def test_the_guide_up_to_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert follow(train=False) == 6


@pytest.mark.slow
def test_the_whole_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert follow(train=True) == 14
    assert (tmp_path / "results" / "pulses" / "report.html").is_file()
