"""Sums of outer products, which weight gradients are."""

from typing import Any

from emtkit.train.native.plan import KernelPlan
from emtkit.train.native.vectors import BYTES, Code


def outer(
    code: Code,
    plan: KernelPlan,
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
