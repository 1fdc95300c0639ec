"""Loss and gradient of a stack of small recurrent networks, as one emitted function.

One model after the other, and one block of 16 q sequences at a time, so that the history of a block
stays in cache. Inputs are given (`data`) or drawn (`draws`), targets given, or inputs again. The
weights of a model are matrices whose rows meet contiguous states:

    A = [W_uh | b | W_hh]   (H, I + n + H)    brings  [u_t ; 1 ; g_t-1]  to  h_t,  g_t = sigma(h_t)
    R = [b_r | W_r]         (O, n + H)        reads   [1 ; x_t],  x_t = g_t, or h_t if read early
    S = [W_r' | W_hh']      (H, O + H)        brings  [e_t ; d_t+1]  back to  d_t

with n = 1 where there is any bias, else 0. A vector row (one channel at one time) is q vectors.
"""

from typing import Any

from llvmlite import ir

from emtkit.train.native.data import Given, Recalled, StagedTargets
from emtkit.train.native.draws import Draw
from emtkit.train.native.network import LANES, Arguments, KernelPlan
from emtkit.train.native.vectors import BYTES, Code


def emit_gradients(builder: Any, plan: KernelPlan, a: Arguments) -> None:
    """The whole kernel; scratch comes zeroed, with the rows of ones set."""
    code = Code(builder)

    def model(m: Any) -> None:
        weights = code.at(a.weights, m, 4 * plan.parameters)
        transposed = code.at(a.transposed, m, 4 * plan.hidden * plan.back)
        scales = builder.add(
            a.scales, builder.mul(m, builder.mul(a.scored, code.whole(4 * plan.outputs)))
        )
        inputs = Draw(code, plan, a) if plan.drawn else Given(code, plan, a, m)
        targets = Recalled(code, plan, a) if plan.recalled else StagedTargets(code, plan, a, m)
        clear(code, a.sums, code.whole(plan.parameters))
        clear(code, a.cost, builder.mul(a.scored, code.whole(plan.width)))

        def block(n: Any) -> None:
            first = builder.mul(n, code.whole(LANES * plan.width))
            inputs.bring(first)
            targets.bring(first)
            forward(code, plan, a, weights)
            mask = code.at(a.mask, first, 4)
            compare(code, plan, a, weights, scales, mask, targets)
            backward(code, plan, a, transposed)
            correlate(code, plan, a)

        code.each(builder.sdiv(a.batch, code.whole(LANES * plan.width)), block)
        losses = builder.add(a.losses, builder.mul(m, builder.mul(a.scored, code.whole(8))))

        def total(n: Any) -> None:
            row = code.at(a.cost, n, plan.row)
            lanes = [code.sum_of_lanes(code.load(row, q)) for q in range(plan.width)]
            value = builder.fpext(lanes[0], ir.DoubleType())
            for other in lanes[1:]:
                value = builder.fadd(value, builder.fpext(other, ir.DoubleType()))
            half = ir.Constant(ir.DoubleType(), 0.5)
            code.store_scalar(builder.fmul(half, value), code.at(losses, n, 8))

        code.each(a.scored, total)
        gradient = code.at(a.gradient, m, 4 * plan.parameters)

        def add_up(n: Any) -> None:
            lanes = code.sum_of_lanes(code.load(code.at(a.sums, n, BYTES)))
            code.store_scalar(lanes, code.at(gradient, n, 4))

        code.each(code.whole(plan.parameters), add_up)

    code.each(a.models, model)


def forward(code: Code, plan: KernelPlan, a: Arguments, weights: Any) -> None:
    """The states of a block, driven steps and then the others."""

    def steps(begin: Any, count: Any, skip: int) -> None:
        def step(n: Any) -> None:
            t = code.builder.add(begin, n)
            source = code.at(code.at(a.states, t, plan.columns * plan.row), skip, plan.row)
            after = code.at(a.states, t, plan.columns * plan.row)
            post = code.at(after, 2 * plan.columns - plan.hidden, plan.row)
            pre = code.at(code.at(a.shown, t, plan.seen * plan.row), plan.ones, plan.row)

            def tile(first: Any, size: int) -> None:
                rows = code.at(code.at(weights, first, 4 * plan.columns), skip, 4)
                sums = code.product(
                    zeros(code, plan, size), rows, 4 * plan.columns, source, plan.columns - skip
                )
                for r in range(size):
                    for q in range(plan.width):
                        if plan.reads_early:
                            code.store(
                                sums[r][q], code.at(pre, first, plan.row), r * plan.width + q
                            )
                        value = code.activation(plan.activation, sums[r][q])
                        code.store(value, code.at(post, first, plan.row), r * plan.width + q)

            code.tiles(plan.hidden, plan.rows, tile)

        code.each(count, step)

    steps(code.whole(0), a.input_steps, 0)
    steps(a.input_steps, code.builder.sub(a.steps, a.input_steps), plan.inputs)


def readable(code: Code, plan: KernelPlan, a: Arguments, t: Any) -> tuple[Any, int]:
    """The address of [1 ; x_t] and the bytes from one step to the next."""
    if plan.reads_early:
        return code.at(a.shown, t, plan.seen * plan.row), plan.seen * plan.row
    after = code.at(a.states, t, plan.columns * plan.row)
    return code.at(after, plan.columns + plan.inputs, plan.row), plan.columns * plan.row


def compare(
    code: Code,
    plan: KernelPlan,
    a: Arguments,
    weights: Any,
    scales: Any,
    mask: Any,
    targets: StagedTargets | Recalled,
) -> None:
    """y = rho(R x); the cost grows by 2 w (y - target)^2, twice the loss, and e = dL / d(R x)."""
    builder = code.builder
    first_scored = builder.sub(a.steps, a.scored)
    readout = code.at(weights, plan.hidden * plan.columns, 4)

    def step(n: Any) -> None:
        t = builder.add(first_scored, n)
        states, _ = readable(code, plan, a, t)
        errors = code.at(a.deltas, builder.add(t, code.whole(1)), plan.back * plan.row)
        costs = code.at(a.cost, n, plan.row)
        step_scales = code.at(scales, n, 4 * plan.outputs)

        def tile(first: Any, size: int) -> None:
            rows = code.at(readout, first, 4 * plan.seen)
            sums = code.product(zeros(code, plan, size), rows, 4 * plan.seen, states, plan.seen)
            totals = [code.load(costs, q) for q in range(plan.width)]
            for r in range(size):
                scale = code.broadcast(code.at(code.at(step_scales, first, 4), r, 4))
                twice = builder.fadd(scale, scale)
                gap_of = targets.row(n, code.plus(first, r))
                for q in range(plan.width):
                    place = r * plan.width + q
                    value = code.activation(plan.readout, sums[r][q])
                    gap = gap_of(value, q)
                    if plan.ones:  # without a bias, padding says 0 and is asked for 0
                        gap = builder.fmul(gap, code.load(mask, q))
                    error = builder.fmul(twice, gap)
                    totals[q] = code.fma(error, gap, totals[q])
                    error = code.times_slope(plan.readout, error, value)
                    code.store(error, code.at(errors, first, plan.row), place)
            for q in range(plan.width):
                code.store(totals[q], costs, q)

        code.tiles(plan.outputs, plan.rows, tile)

    code.each(a.scored, step)


def backward(code: Code, plan: KernelPlan, a: Arguments, transposed: Any) -> None:
    """d_t for all steps: (W_r' e + W_hh' d) sigma', or W_r' e + sigma' (W_hh' d) if read early."""
    builder = code.builder

    def steps(last: Any, count: Any, scored: bool) -> None:
        def step(n: Any) -> None:
            t = builder.sub(last, n)
            before = code.at(a.deltas, t, plan.back * plan.row)
            here = code.at(before, plan.back, plan.row)
            after = code.at(a.states, t, plan.columns * plan.row)
            values = code.at(after, 2 * plan.columns - plan.hidden, plan.row)

            def tile(first: Any, size: int) -> None:
                rows = code.at(transposed, first, 4 * plan.back)

                def through(sums: list[list[Any]], skip: int, count: int) -> list[list[Any]]:
                    return code.product(
                        sums,
                        code.at(rows, skip, 4),
                        4 * plan.back,
                        code.at(here, skip, plan.row),
                        count,
                    )

                def sloped(sums: list[list[Any]]) -> list[list[Any]]:
                    for r in range(size):
                        for q in range(plan.width):
                            value = code.load(code.at(values, first, plan.row), r * plan.width + q)
                            sums[r][q] = code.times_slope(plan.activation, sums[r][q], value)
                    return sums

                sums = zeros(code, plan, size)
                if plan.reads_early:
                    sums = sloped(through(sums, plan.outputs, plan.hidden))
                    sums = through(sums, 0, plan.outputs) if scored else sums
                else:
                    skip = 0 if scored else plan.outputs
                    sums = sloped(through(sums, skip, plan.back - skip))
                out = code.at(code.at(before, plan.outputs, plan.row), first, plan.row)
                for r in range(size):
                    for q in range(plan.width):
                        code.store(sums[r][q], out, r * plan.width + q)

            code.tiles(plan.hidden, plan.rows, tile)

        code.each(count, step)

    silent = builder.sub(a.steps, a.scored)
    steps(builder.sub(a.steps, code.whole(1)), a.scored, True)
    steps(builder.sub(silent, code.whole(1)), silent, False)


def correlate(code: Code, plan: KernelPlan, a: Arguments) -> None:
    """The gradients: dA += sum_t d_t [u_t ; 1 ; g_t-1]', dR += sum_t e_t [1 ; x_t]'."""
    builder = code.builder
    deltas = code.at(a.deltas, plan.outputs, plan.row)
    delta_step, state_step = plan.back * plan.row, plan.columns * plan.row
    line = BYTES * plan.columns
    with builder.if_else(builder.icmp_signed("==", a.input_steps, a.steps)) as (always, partly):
        with always:
            outer(
                code, plan, (deltas, delta_step, plan.hidden),
                (a.states, state_step, plan.columns), a.steps, a.sums, line,
            )  # fmt: skip
        with partly:
            outer(
                code, plan, (deltas, delta_step, plan.hidden),
                (a.states, state_step, plan.inputs), a.input_steps, a.sums, line,
            )  # fmt: skip
            outer(
                code, plan, (deltas, delta_step, plan.hidden),
                (code.at(a.states, plan.inputs, plan.row), state_step, plan.seen),
                a.steps, code.at(a.sums, plan.inputs, BYTES), line,
            )  # fmt: skip
    first_scored = builder.sub(a.steps, a.scored)
    states, read_step = readable(code, plan, a, first_scored)
    errors = code.at(a.deltas, builder.add(first_scored, code.whole(1)), delta_step)
    outer(
        code, plan, (errors, delta_step, plan.outputs), (states, read_step, plan.seen),
        a.scored, code.at(a.sums, plan.hidden * plan.columns, BYTES), BYTES * plan.seen,
    )  # fmt: skip


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


def clear(code: Code, address: Any, vectors: Any) -> None:
    """Write zeros."""
    code.each(vectors, lambda n: code.store(code.splat(0.0), code.at(address, n, BYTES)))


def zeros(code: Code, plan: KernelPlan, rows: int) -> list[list[Any]]:
    """Sums to start from."""
    return [[code.splat(0.0)] * plan.width for _ in range(rows)]
