"""One warm process from which coordinators are forked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


class Victims:
    """Forks a coordinator per `start`; the pid is for the test to kill."""

    def __init__(self) -> None:
        root = Path(__file__).parents[2]
        paths = [str(root), str(root / "plugins"), os.environ.get("PYTHONPATH", "")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.victim"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=root,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        )

    def start(self, store: Path, engine: str = "inline", seeds: int = 4, steps: int = 40, **more):
        asked = {"store": str(store), "engine": engine, "seeds": seeds, "steps": steps, **more}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return self.hear("pid")

    def hear(self, word: str):
        """The next message that says `word`; what was said meanwhile is kept by `last`."""
        while True:
            self.last = json.loads(self.process.stdout.readline())
            if word in self.last:
                return self.last[word]

    def result(self):
        """Exit code and message of a run that comes to its own end."""
        code = self.hear("code")
        said = self.last["said"]
        self.hear("ended")
        return code, said

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


@pytest.fixture(scope="module")
def victims():
    found = Victims()
    yield found
    found.close()
