"""Two pieces of every kernel: sequences turned into lanes, and sums of outer products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emtkit.train.native.plan import Plan
from emtkit.train.native.vectors import BYTES, LANES, Code


@dataclass(frozen=True)
class Sequences:
    """Where sequences (steps, channels) begin, and the bytes from one to the next."""

    address: Any
    apart: Any
    steps: Any
    channels: int


def pack(code: Code, plan: Plan, source: Sequences, first: Any, target: Any, columns: int) -> None:
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


def outer(
    code: Code,
    plan: Plan,
    left: tuple[Any, int, int],
    right: tuple[Any, int, int],
    steps: Any,
    sums: Any,
    line: int,
) -> None:
    """sums[r, k] += sum_t left_t[r] right_t[k], lane by lane; sides are (address, step, rows).

    The sum over the block is made apart and then added, so that rounding errors grow with the
    length of a block and the number of blocks, not with their product.
    """

    def band(top: Any, height: int) -> None:
        def tile(first: Any, size: int) -> None:
            upper, lower = code.at(left[0], top, plan.row), code.at(right[0], first, plan.row)

            def step(t: Any, carried: list[Any]) -> list[Any]:
                above, beside = code.at(upper, t, left[1]), code.at(lower, t, right[1])
                for q in range(plan.width):
                    others = [code.load(beside, k * plan.width + q) for k in range(size)]
                    for r in range(height):
                        own = code.load(above, r * plan.width + q)
                        for k in range(size):
                            place = r * size + k
                            carried[place] = code.fma(own, others[k], carried[place])
                return carried

            totals = code.loop(steps, [code.splat(0.0)] * (height * size), step)
            corner = code.at(code.at(sums, top, line), first, BYTES)
            for r in range(height):
                for k in range(size):
                    place = code.at(corner, r, line)
                    old = code.load(place, k)
                    code.store(code.builder.fadd(old, totals[r * size + k]), place, k)

        code.tiles(right[2], plan.tile, tile)

    code.tiles(left[2], plan.tile, band)
