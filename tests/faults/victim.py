"""A coordinator to be killed: told on stdin what to run, it forks, so that torch loads only once.

A line in: {"store", "engine", "workers", "address", "limit", "segment", "seeds", "steps"}; lines
out: the pid of the fork, and later "<pid> <exit code> <message>".
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

import torch

from emtkit.errors import EmtkitError
from emtkit.execute.monitor import Quiet
from emtkit.execute.run import Options, run
from emtkit.store.store import Store
from tests.faults.bench import REGISTRY, study
from tests.inline_engine import InlineEngine


def go(asked: dict) -> None:
    if asked.get("limit"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked["limit"], asked["limit"]))
    if asked.get("clock"):
        began = time.time()
        time.time = lambda: 2 * began - 1000.0 * time.monotonic()
    engine = InlineEngine(REGISTRY)
    if asked["engine"] == "local":
        from emtkit.execute.engines.local import LocalEngine

        engine = LocalEngine(asked.get("workers", 2), REGISTRY.loose)
        print(json.dumps({"pids": engine.pids}), flush=True)
    elif asked["engine"] == "dask":
        from emtkit.execute.engines.dask import DaskEngine

        engine = DaskEngine(asked["address"], loose=REGISTRY.loose)
    options = Options(segment=asked.get("segment", 0.02))
    with Store.open(Path(asked["store"]), writer=True) as store:
        try:
            run(study(asked["seeds"], asked["steps"]), REGISTRY, store, engine, Quiet(), options)
        finally:
            engine.close()


def main() -> None:
    torch.set_num_threads(1)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            code, said = 0, ""
            try:
                go(json.loads(line))
            except EmtkitError as error:
                code, said = error.exit_code, str(error)
            except BaseException as error:
                code, said = 99, repr(error)
            print(json.dumps({"code": code, "said": said}), flush=True)
            os._exit(code)
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"ended": status}), flush=True)


if __name__ == "__main__":
    main()
