"""What plugin code does to its process is found, named and undone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np
import pytest
import torch

from emtkit.errors import PluginError
from emtkit.plugin.guard import ForbiddenError, Guard, Interrupted, Terminated, guarded
from emtkit.plugin.stream import Stream


class Unheard(BaseException):
    """Derived from nothing that `except Exception` catches."""


def leave(code: object) -> None:
    sys.exit(code)


def throw(error: BaseException) -> None:
    raise error


def replace(owner: object, name: str) -> None:
    setattr(owner, name, lambda *given, **named: 0.0)


DEEDS: dict[str, tuple[Callable[[], object], str]] = {
    "dtype": (lambda: torch.set_default_dtype(torch.float64), "default dtype from torch.float32"),
    "device": (lambda: torch.set_default_device("meta"), "default device from cpu to meta"),
    "threads": (lambda: torch.set_num_threads(7), "number of threads from"),
    "gradients": (lambda: torch.set_grad_enabled(False), "gradient mode from True to False"),
    "determinism": (lambda: torch.use_deterministic_algorithms(True), "deterministic algorithms"),
    "denormals": (lambda: torch.set_flush_denormal(True), "flushing of denormal numbers"),
    "products": (lambda: torch.set_float32_matmul_precision("medium"), "float32 products"),
    "errors": (lambda: np.seterr(all="raise"), "floating-point errors"),
    "folder": (lambda: os.chdir("/"), "the working folder from"),
    "signals": (lambda: signal.signal(signal.SIGINT, signal.SIG_IGN), "the handlers of signals"),
    "tanh": (lambda: replace(torch, "tanh"), r"changed torch\.tanh for"),
    "method": (lambda: replace(torch.Tensor, "tanh"), r"changed torch\.Tensor\.tanh for"),
    "operator": (lambda: replace(torch.Tensor, "__matmul__"), r"torch\.Tensor\.__matmul__ for"),
    "relu": (lambda: replace(torch.nn.functional, "relu"), r"torch\.nn\.functional\.relu for"),
    "mean": (lambda: replace(np, "mean"), r"changed numpy\.mean for"),
    "sorted": (lambda: replace(random, "random"), r"changed random\.random for"),
    "stream": (lambda: replace(Stream, "uniform"), r"emtkit\.plugin\.stream\.Stream\.uniform for"),
    "exit": (lambda: leave(0), r"raised SystemExit\(0\), which ends a process"),
    "hard exit": (lambda: os._exit(9), r"called os\._exit\(9\), which ends a process"),
    "interrupt": (lambda: throw(KeyboardInterrupt()), r"raised KeyboardInterrupt\(\)"),
    "base": (lambda: throw(Unheard("x")), r"raised Unheard\('x'\)"),
    "generator": (lambda: throw(GeneratorExit()), r"raised GeneratorExit\(\)"),
}


def deed_and_error(act: Callable[[], object]) -> None:
    act()
    raise KeyError("its own")


def wait_for_interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(5)


def surroundings() -> list[object]:
    stream = Stream(0, "test")
    return [
        (torch.ones(2) / 3).tolist(),
        torch.get_num_threads(),
        os.getcwd(),
        torch.get_default_dtype(),
        torch.tanh(torch.ones(1)),
        torch.ones(1).tanh(),
        stream.uniform((3,)).tolist(),
        np.mean(np.ones(3)),
        np.geterr(),
        signal.getsignal(signal.SIGINT),
    ]


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """Python's own handler, which is missing where a shell started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("deed", DEEDS)
def test_a_deed_is_named_and_undone(deed: str) -> None:
    act, named = DEEDS[deed]
    before = surroundings()
    with pytest.raises(ForbiddenError, match=named), Guard().calling("a plugin"):
        act()
    assert surroundings() == before


@pytest.mark.parametrize("deed", ["dtype", "tanh", "folder"])
def test_a_deed_before_an_error_is_undone_and_the_error_stays(deed: str) -> None:
    before = surroundings()
    guard = Guard()
    with pytest.raises(KeyError, match="its own"), guard.calling("a plugin"):
        deed_and_error(DEEDS[deed][0])
    assert surroundings() == before


def test_innocent_code_passes() -> None:
    guard = Guard()
    with guard.calling("a plugin"), torch.no_grad():
        torch.manual_seed(3)
        torch.nn.Linear(2, 2)(torch.zeros(1, 2)).tanh()
        warnings.filterwarnings("ignore", message="nothing")
    with guard.calling("a plugin"), np.errstate(all="raise"):
        torch.func.vmap(torch.tanh)(torch.zeros(2, 2))
    assert not [rule for rule in warnings.filters if rule[0] == "error" and rule[3] == ""]


def test_a_deed_is_found_beside_what_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stream, "_calls", 0, raising=False)
    guard = Guard()
    before = Stream.uniform
    for count, held in enumerate([1, np.zeros(2), np.zeros(2), torch.zeros(2)]):
        monkeypatch.setattr(sys.modules[Stream.__module__], "_counter", held, raising=False)
        with guard.calling("it"):
            pass
        with pytest.raises(ForbiddenError, match=r"Stream\.uniform"), guard.calling("it"):
            replace(Stream, "uniform")
        assert Stream.uniform is before, count


def test_a_guard_goes_on_until_modules_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Guard()
    assert guard.renewed() is guard
    replace(torch, "tanh")
    assert guard.renewed() is guard
    assert torch.tanh(torch.zeros(1)) == 0
    monkeypatch.setitem(sys.modules, "emtkit.loaded_later", ModuleType("emtkit.loaded_later"))
    assert guard.renewed() is not guard


def test_warnings_do_not_become_errors_for_others() -> None:
    with warnings.catch_warnings():
        warnings.resetwarnings()  # the tests' own rule makes errors of all
        with Guard().calling("a plugin"):
            warnings.simplefilter("error")
        warnings.warn("for others", UserWarning, stacklevel=1)


def test_signals_are_the_users_own() -> None:
    with pytest.raises(Interrupted), Guard().calling("a plugin"):
        wait_for_interrupt()
    with pytest.raises(Terminated), Guard().calling("a plugin"):
        raise Terminated(143)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_printed_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with Guard().calling("a plugin"):
        print("chatter")
    assert capsys.readouterr() == ("", "chatter\n")


def test_a_copy_of_the_process_does_not_go_on() -> None:
    code = (
        "import os\nfrom emtkit.plugin.guard import Guard\n"
        "with Guard().calling('a plugin'):\n    os.fork()\nprint('went on')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "went on\n"


def test_a_guarded_function_raises_for_its_plugin() -> None:
    assert guarded(lambda n: n + 1, "drawing 'x'")(1) == 2
    with pytest.raises(PluginError, match=r"drawing 'x': it raised SystemExit\(0\)"):
        guarded(leave, "drawing 'x'")(0)
