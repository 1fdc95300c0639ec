"""What outputs are held against: targets that are given, or inputs that are asked for again."""

from collections.abc import Callable
from typing import Any

from emtkit.train.native.given import Sequences, pack
from emtkit.train.native.plan import Arguments, KernelPlan
from emtkit.train.native.vectors import Code

Gap = Callable[[Any, int], Any]
"""y - target, given y and which of the vectors of its row it is."""


class StagedTargets:
    """The targets of model `m`, turned into lanes block by block."""

    def __init__(self, code: Code, plan: KernelPlan, a: Arguments, m: Any) -> None:
        self._code, self._plan, self._staged = code, plan, a.staged
        address = code.load_whole(code.at(a.targets, m, 8))
        self._targets = Sequences(address, a.target_stride, a.scored, plan.outputs)

    def bring(self, first: Any) -> None:
        """The block of sequences from `first` on."""
        pack(self._code, self._plan, self._targets, first, self._staged, self._plan.outputs)

    def row(self, n: Any, output: Any) -> Gap:
        """The gaps of an output at scored step n."""
        code, plan = self._code, self._plan
        row = code.at(code.at(self._staged, n, plan.outputs * plan.row), output, plan.row)
        return lambda value, q: code.builder.fsub(value, code.load(row, q))


class Recalled:
    """Inputs of the same sequence, plus or minus, where the states have them; nothing to turn."""

    def __init__(self, code: Code, plan: KernelPlan, a: Arguments) -> None:
        self._code, self._plan, self._again, self._signs = code, plan, a.again, a.signs

    def bring(self, first: Any) -> None:
        """They are there with the inputs."""

    def row(self, n: Any, output: Any) -> Gap:
        """The gaps of an output at scored step n; exact, since a sign is 1."""
        code = self._code
        place = code.at(code.at(code.whole(0), n, self._plan.outputs), output, 1)
        row = code.load_whole(code.at(self._again, place, 8))
        sign = code.broadcast(code.at(self._signs, place, 4))
        return lambda value, q: code.fma(code.load(row, q), sign, value)
