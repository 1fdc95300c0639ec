"""Calls of plugin code: what it does to its process becomes its own failure, and is undone.

The guard holds against accidents, not against malice. It sees what a plugin may change for other
networks of the same process: settings of torch and numpy, the working folder, the handlers of
signals, and the functions of torch, numpy, Python and emtkit themselves.
"""

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pkgutil import resolve_name
from typing import Any, NoReturn, TypeVar

from emtkit.errors import PluginError

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NAMESPACES = (
    "torch torch.Tensor torch.nn torch.nn.Module torch.nn.functional torch.nn.init torch.linalg "
    "torch.special torch.fft torch.func torch.autograd numpy numpy.linalg numpy.random builtins "
    "math random time"
)


class Interrupted(KeyboardInterrupt):
    """The user's Ctrl-C; a plugin may raise KeyboardInterrupt itself."""


class Terminated(SystemExit):
    """A signal ends the command; a plugin may raise SystemExit itself."""


class ForbiddenError(Exception):
    """Plugin code tried to end its process, or changed it for everyone else in it."""


class _Exit(BaseException):
    """In the place of `os._exit`."""


EXIT = os._exit
"""What ends a process at once, whoever guards a call meanwhile."""


class Guard:
    """Runs plugin code; the process is afterwards what it was when the guard was made.

    `announce` receives what is about to be called, for a process that a call may end.
    """

    def __init__(self, announce: Callable[[str], None] | None = None) -> None:
        self._before = _Surroundings()
        self._announce = announce
        self._modules = len(sys.modules)

    def renewed(self) -> "Guard":
        """This guard with its process restored, or another where modules were loaded since."""
        self.restore()
        return self if len(sys.modules) == self._modules else Guard(self._announce)

    def restore(self) -> list[str]:
        """Undo what has changed since the guard was made; what that was."""
        return self._before.restore()

    @contextlib.contextmanager
    def calling(self, what: str) -> Iterator[None]:
        """Code of a plugin: `what` names it and the call. Its output goes to stderr.

        Raises:
            ForbiddenError: it raised what ends a process, or left the process changed.
        """
        if self._announce is not None:
            self._announce(what)
        process = os.getpid()
        try:
            with contextlib.redirect_stdout(sys.stderr), _marked_interrupts(), _caught_exits():
                yield
        except (Interrupted, Terminated):
            raise
        except Exception:
            self._before.restore()
            raise
        except BaseException as error:  # SystemExit, KeyboardInterrupt, or one of its own
            self._before.restore()
            given = ", ".join(map(repr, error.args))
            deed = f"raised {type(error).__name__}({given})"
            if isinstance(error, _Exit):
                deed = f"called os._exit({given})"
            raise ForbiddenError(f"it {deed}, which ends a process") from error
        finally:
            if os.getpid() != process:
                EXIT(0)  # a copy of the process, forked by the plugin: only one goes on
        if changes := self._before.restore():
            raise ForbiddenError(
                f"it changed {', and '.join(changes)} for every network of the process; this was "
                "undone, and its results are refused"
            )


def guarded(call: Callable[..., T], what: str, guard: Guard | None = None) -> Callable[..., T]:
    """A function of a plugin that is called under `guard`, or one of its own; `what` names it.

    Raises:
        PluginError: (when called) it ended its process, or changed it.
    """

    def guarded_call(*given: Any) -> T:
        try:
            with (guard or Guard()).calling(what):
                return call(*given)
        except ForbiddenError as error:
            raise PluginError(f"{what}: {error}") from error

    return guarded_call


@dataclass(frozen=True)
class _Setting:
    """Something that is set for a whole process."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]


class _Functions:
    """What a module or class has, to be compared after every call of a plugin: thousands."""

    def __init__(self, name: str, owner: Any) -> None:
        self.name, self.owner = name, owner
        self.known = _functions(owner)
        self._values = list(self.known.values())
        self._size = len(vars(owner))

    @property
    def has_changed(self) -> bool:
        """Whether any was replaced or removed, or one added to a class."""
        held = vars(self.owner)
        if list(map(held.get, self.known)) != self._values:
            return True
        return len(held) != self._size and bool(_added(self.owner, self.known))


class _Surroundings:
    """What plugin code finds in its process, as it was when this was made."""

    def __init__(self) -> None:
        self._settings = [(setting, setting.read()) for setting in _settings()]
        self._functions = [_Functions(name, owner) for name, owner in _namespaces()]
        self._views = [vars(one.owner).values() for one in self._functions]
        self._all = self._held()
        self._errors = _warnings_as_errors()

    def _held(self) -> list[Any]:
        """What all of them have, functions and the rest, to be compared at once, in C."""
        return list(chain.from_iterable(self._views))

    def _are_changed(self) -> bool:
        """Whether anything is not what it was; most often nothing is, and the answer is fast."""
        held = self._held()
        try:
            if held == self._all:
                return False
        except Exception:  # two arrays, of which neither equal nor different can be said
            pass
        changed = any(one.has_changed for one in self._functions)
        if not changed:
            self._all = held  # a counter, say
        return changed

    def restore(self) -> list[str]:
        """Undo every change; what was changed."""
        changes = []
        for setting, value in self._settings:
            if (now := setting.read()) != value:
                shown = "" if isinstance(now, list) else f" from {value} to {now}"
                changes.append(f"{setting.name}{shown}")
                setting.write(value)
        for one in self._functions if self._are_changed() else ():
            if one.has_changed:
                changes += [f"{one.name}.{name}" for name in _put_back(one.owner, one.known)]
        for rule in _warnings_as_errors():
            if rule not in self._errors:
                warnings.filters.remove(rule)  # type: ignore[attr-defined]
        return changes


def _settings() -> list[_Setting]:
    import numpy as np
    import torch

    def handlers() -> list[Any]:
        return [signal.getsignal(number) for number in _SIGNALS]

    def handle(given: list[Any]) -> None:
        for number, handler in zip(_SIGNALS, given, strict=True):
            signal.signal(number, handler)

    mkldnn: Any = torch.backends.mkldnn
    return [
        _Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
        _Setting("torch's default device", torch.get_default_device, torch.set_default_device),
        _Setting("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
        _Setting("torch's gradient mode", torch.is_grad_enabled, torch.set_grad_enabled),
        _Setting(
            "torch's deterministic algorithms",
            torch.are_deterministic_algorithms_enabled,
            torch.use_deterministic_algorithms,
        ),
        _Setting(
            "torch's flushing of denormal numbers", _flushes_denormal, torch.set_flush_denormal
        ),
        _Setting(
            "torch's precision of float32 products",
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
        ),
        _Setting("torch's use of oneDNN", lambda: mkldnn.enabled, torch._C._set_mkldnn_enabled),
        _Setting(
            "torch's autocast",
            lambda: torch.is_autocast_enabled("cpu"),
            lambda value: torch.set_autocast_enabled("cpu", value),
        ),
        _Setting("numpy's floating-point errors", np.geterr, lambda value: np.seterr(**value)),
        _Setting("the working folder", _folder, os.chdir),
        _Setting("the handlers of signals", handlers, handle),
    ]


def _flushes_denormal() -> bool:
    import torch

    return bool(torch.tensor(1e-310, dtype=torch.float64) * 1 == 0)


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


def _namespaces() -> list[tuple[str, Any]]:
    """Modules and classes whose functions the core uses, with their names."""
    found = [(name, resolve_name(name)) for name in _NAMESPACES.split()]
    for name, module in list(sys.modules.items()):
        if name.startswith("emtkit."):
            found.append((name, module))
            own = (one for one in vars(module).values() if isinstance(one, type))
            found += [(f"{name}.{c.__qualname__}", c) for c in own if c.__module__ == name]
    return found


def _functions(owner: Any) -> Mapping[str, Any]:
    """The callables of a module; of a class, everything that it defines itself."""
    if isinstance(owner, type):
        return {name: value for name, value in vars(owner).items() if not _is_pydantics(name)}
    return {n: value for n, value in vars(owner).items() if callable(value) and n[0] != "_"}


def _put_back(owner: Any, known: Mapping[str, Any]) -> list[str]:
    kind: Any = type(owner)
    held = vars(owner)
    changed = [
        name
        for name, value in known.items()
        if held.get(name) is not value and not _is_torchs_own(held.get(name), value)
    ]
    for name in changed:
        kind.__setattr__(owner, name, known[name])
    added = _added(owner, known)
    for name in added:
        kind.__delattr__(owner, name)
    return changed + added


def _added(owner: Any, known: Mapping[str, Any]) -> list[str]:
    """What a class has that it did not define."""
    if not isinstance(owner, type):
        return []
    return sorted(n for n in vars(owner).keys() - known.keys() if not _is_pydantics(n))


def _is_pydantics(name: str) -> bool:
    """Whether pydantic sets it, which completes a class when it is first used."""
    return name.startswith("__pydantic_") or name == "__signature__"


def _is_torchs_own(now: Any, before: Any) -> bool:
    """Whether torch itself wrapped a function of its own, as it does when it compiles."""
    import torch

    code = getattr(now, "__code__", None)
    inside = code is not None and code.co_filename.startswith(torch.__path__[0])
    return inside and getattr(now, "__wrapped__", None) is before


def _warnings_as_errors() -> list[Any]:
    return [rule for rule in warnings.filters if rule[0] == "error"]


@contextlib.contextmanager
def _marked_interrupts() -> Iterator[None]:
    """While plugin code runs, the user's Ctrl-C raises what no plugin raises by chance."""
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def _caught_exits() -> Iterator[None]:
    """While plugin code runs in this thread, `os._exit` raises in it."""
    process, thread, before = os.getpid(), threading.get_ident(), os._exit

    def leave(status: int = 0) -> NoReturn:
        if (os.getpid(), threading.get_ident()) == (process, thread):
            raise _Exit(status)
        EXIT(status)

    os._exit = leave
    try:
        yield
    finally:
        os._exit = before


def _interrupt(number: int, frame: object) -> None:
    raise Interrupted
