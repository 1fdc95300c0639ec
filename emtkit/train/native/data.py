"""Data of a block: given sequences turned into lanes, or for targets inputs asked for again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emtkit.train.native.network import LANES, Arguments, KernelPlan
from emtkit.train.native.vectors import BYTES, Code

Gap = Callable[[Any, int], Any]
"""y - target, given y and which of the vectors of its row it is."""


@dataclass(frozen=True)
class Sequences:
    """Where sequences (steps, channels) begin, and the bytes from one to the next."""

    address: Any
    apart: Any
    steps: Any
    channels: int


class Given:
    """The inputs of model `m`."""

    def __init__(self, code: Code, plan: KernelPlan, a: Arguments, m: Any) -> None:
        self._code, self._plan, self._states = code, plan, a.states
        address = code.load_whole(code.at(a.inputs, m, 8))
        self._inputs = Sequences(address, a.input_stride, a.input_steps, plan.inputs)

    def bring(self, first: Any) -> None:
        """The block of sequences from `first` on -> inputs in the states."""
        pack(self._code, self._plan, self._inputs, first, self._states, self._plan.columns)


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


def pack(
    code: Code, plan: KernelPlan, source: Sequences, first: Any, target: Any, columns: int
) -> None:
    """Sequences of `source` from `first` on -> lanes of `target`.

    Row (t, c) goes to vector row t * columns + c. Squares of 16 sequences by 16 numbers are
    turned in registers; the last square of a sequence overlaps the one before.
    """
    builder = code.builder
    size = builder.mul(source.steps, code.whole(source.channels))
    row_bytes = source.apart
    ahead = builder.mul(row_bytes, code.whole(LANES * plan.width))  # the next block of sequences

    def place(n: Any) -> Any:
        wide = code.whole(source.channels)
        start = code.at(target, builder.udiv(n, wide), columns * plan.row)
        return code.at(start, builder.urem(n, wide), plan.row)

    def group(g: Any) -> None:
        lane = code.at(first, g, LANES)
        rows = builder.add(source.address, builder.mul(lane, row_bytes))

        def square(n: Any) -> None:
            start = builder.mul(n, code.whole(LANES))
            last = builder.sub(size, code.whole(LANES))
            start = builder.select(builder.icmp_signed("<", start, last), start, last)
            corner = code.at(rows, start, 4)
            vectors = []
            for _ in range(LANES):
                vectors.append(code.load(corner))
                code.prefetch(builder.add(corner, ahead))
                corner = builder.add(corner, row_bytes)
            for k, vector in enumerate(code.turned(vectors)):
                where = place(builder.add(start, code.whole(k)))
                code.store(vector, code.at(where, g, BYTES))

        def single(r: Any) -> None:
            line = builder.add(rows, builder.mul(r, row_bytes))

            def number(n: Any) -> None:
                value = code.load_scalar(code.at(line, n, 4))
                code.store_scalar(value, code.at(code.at(place(n), g, BYTES), r, 4))

            code.each(size, number)

        with builder.if_else(builder.icmp_signed("<", size, code.whole(LANES))) as (few, many):
            with few:
                code.each(code.whole(LANES), single)
            with many:
                squares = builder.sdiv(builder.add(size, code.whole(LANES - 1)), code.whole(LANES))
                code.each(squares, square)

    code.each(code.whole(plan.width), group)
