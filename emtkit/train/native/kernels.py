"""Loss and gradient of a stack of small recurrent networks, as one emitted function.

One model after the other, and one block of 16 q sequences at a time, so that the history of a block
stays in cache. The weights of a model are matrices whose rows meet contiguous states:

    A = [W_uh | b | W_hh]   (H, I + n + H)    brings  [u_t ; 1 ; g_t-1]  to  h_t,  g_t = sigma(h_t)
    R = [b_r | W_r]         (O, n + H)        reads   [1 ; x_t],  x_t = g_t, or h_t when `early`
    S = [W_r' | W_hh']      (H, O + H)        brings  [e_t ; d_t+1]  back to  d_t

with n = 1 where there is any bias, else 0. A vector row (one channel at one time) is q vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from emtkit.train.native.vectors import BYTES, LANES, Code


@dataclass(frozen=True)
class Plan:
    """What a kernel is compiled for; `width` is q, `rows` and `tile` are register tiles.

    `sigma` and `rho` are kinds of activation, see `vectors`; `early`: 1 if the readout sees the
    state before the activation. The result depends on all but `rows` and `tile`.
    """

    hidden: int
    inputs: int
    outputs: int
    ones: int
    sigma: int
    early: int
    rho: int
    width: int
    rows: int
    tile: int

    @property
    def columns(self) -> int:
        """The width of A."""
        return self.inputs + self.ones + self.hidden

    @property
    def reads(self) -> int:
        """The width of R."""
        return self.ones + self.hidden

    @property
    def back(self) -> int:
        """The width of S."""
        return self.outputs + self.hidden

    @property
    def parameters(self) -> int:
        """The sizes of A and R together."""
        return self.hidden * self.columns + self.outputs * self.reads

    @property
    def row(self) -> int:
        """Bytes of a vector row."""
        return BYTES * self.width


@dataclass(frozen=True)
class Arguments:
    """The run-time arguments, as LLVM integers, in the order of the call: addresses and counts."""

    models: Any
    batch: Any  # sequences, a multiple of the block
    steps: Any
    driven: Any
    scored: Any
    weights: Any  # M P: A, then R
    transposed: Any  # M H (O + H): S
    inputs: Any  # M addresses of (B s I)
    targets: Any  # M addresses of (B K O), or 0 where the target is the input `delays` ago
    delays: Any  # M
    scales: Any  # M K O
    mask: Any  # B: 1 for a sequence, 0 for padding
    states: Any  # scratch, T + 1 times `columns` rows: [u_t ; 1 ; g_t-1]
    shown: Any  # scratch, T times `reads` rows: [1 ; h_t], when `early`
    deltas: Any  # scratch, T + 1 times `back` rows: [e_t ; d_t+1], from t = -1 on
    staged: Any  # scratch, K times O rows: the targets of a block
    sums: Any  # scratch, P vectors: the gradient, lane by lane
    cost: Any  # scratch, one row: the loss, lane by lane
    silence: Any  # scratch, I rows of zeros: the target before the first input
    gradient: Any  # M P, out
    losses: Any  # M, float64, out


def emit_gradients(builder: Any, plan: Plan, a: Arguments) -> None:
    """The whole kernel; scratch comes zeroed, with the rows of ones set."""
    code = Code(builder)

    def model(m: Any) -> None:
        weights = code.at(a.weights, m, 4 * plan.parameters)
        transposed = code.at(a.transposed, m, 4 * plan.hidden * plan.back)
        scales = builder.add(
            a.scales, builder.mul(m, builder.mul(a.scored, code.whole(4 * plan.outputs)))
        )
        inputs = code.load_whole(code.at(a.inputs, m, 8))
        targets = code.load_whole(code.at(a.targets, m, 8))
        delay = code.load_whole(code.at(a.delays, m, 8))

        def wanted(n: Any, t: Any) -> Any:
            """The address of the target of scored step n, at time t."""
            past = builder.sub(t, delay)
            source = code.at(a.states, past, plan.columns * plan.row)
            before = builder.icmp_signed("<", past, code.whole(0))
            delayed = builder.select(before, a.silence, source)
            given = builder.icmp_signed("!=", targets, code.whole(0))
            staged = code.at(a.staged, n, plan.outputs * plan.row)
            return builder.select(given, staged, delayed)

        code.each(
            code.whole(plan.parameters),
            lambda n: code.store(code.splat(0.0), code.at(a.sums, n, BYTES)),
        )

        def block(n: Any, carried: list[Any]) -> list[Any]:
            first = builder.mul(n, code.whole(LANES * plan.width))
            pack(code, plan, inputs, first, a.driven, plan.inputs, a.states, plan.columns)
            with builder.if_then(builder.icmp_signed("!=", targets, code.whole(0))):
                pack(code, plan, targets, first, a.scored, plan.outputs, a.staged, plan.outputs)
            for q in range(plan.width):
                code.store(code.splat(0.0), a.cost, q)
            forward(code, plan, a, weights)
            mask = code.at(a.mask, first, 4)
            compare(code, plan, a, weights, scales, mask, wanted)
            backward(code, plan, a, transposed)
            correlate(code, plan, a)
            for q in range(plan.width):
                lanes = code.sum_of_lanes(code.load(a.cost, q))
                carried = [builder.fadd(carried[0], builder.fpext(lanes, ir.DoubleType()))]
            return carried

        blocks = builder.sdiv(a.batch, code.whole(LANES * plan.width))
        total = code.loop(blocks, [ir.Constant(ir.DoubleType(), 0.0)], block)[0]
        code.store_scalar(total, code.at(a.losses, m, 8))
        gradient = code.at(a.gradient, m, 4 * plan.parameters)

        def add_up(n: Any) -> None:
            lanes = code.sum_of_lanes(code.load(code.at(a.sums, n, BYTES)))
            code.store_scalar(lanes, code.at(gradient, n, 4))

        code.each(code.whole(plan.parameters), add_up)

    code.each(a.models, model)


def forward(code: Code, plan: Plan, a: Arguments, weights: Any) -> None:
    """The states of a block, driven steps and then the others."""

    def steps(begin: Any, count: Any, skip: int) -> None:
        def step(n: Any) -> None:
            t = code.builder.add(begin, n)
            source = code.at(code.at(a.states, t, plan.columns * plan.row), skip, plan.row)
            after = code.at(a.states, t, plan.columns * plan.row)
            post = code.at(after, 2 * plan.columns - plan.hidden, plan.row)
            pre = code.at(code.at(a.shown, t, plan.reads * plan.row), plan.ones, plan.row)

            def tile(first: Any, size: int) -> None:
                rows = code.at(code.at(weights, first, 4 * plan.columns), skip, 4)
                sums = code.product(
                    zeros(code, plan, size), rows, 4 * plan.columns, source, plan.columns - skip
                )
                for r in range(size):
                    for q in range(plan.width):
                        if plan.early:
                            code.store(
                                sums[r][q], code.at(pre, first, plan.row), r * plan.width + q
                            )
                        value = code.activation(plan.sigma, sums[r][q])
                        code.store(value, code.at(post, first, plan.row), r * plan.width + q)

            code.tiles(plan.hidden, plan.rows, tile)

        code.each(count, step)

    steps(code.whole(0), a.driven, 0)
    steps(a.driven, code.builder.sub(a.steps, a.driven), plan.inputs)


def readable(code: Code, plan: Plan, a: Arguments, t: Any) -> tuple[Any, int]:
    """The address of [1 ; x_t] and the bytes from one step to the next."""
    if plan.early:
        return code.at(a.shown, t, plan.reads * plan.row), plan.reads * plan.row
    after = code.at(a.states, t, plan.columns * plan.row)
    return code.at(after, plan.columns + plan.inputs, plan.row), plan.columns * plan.row


def compare(
    code: Code,
    plan: Plan,
    a: Arguments,
    weights: Any,
    scales: Any,
    mask: Any,
    wanted: Callable[[Any, Any], Any],
) -> None:
    """y = rho(R x); the loss grows by w (y - target)^2, and e = dL / d(R x)."""
    builder = code.builder
    first_scored = builder.sub(a.steps, a.scored)
    readout = code.at(weights, plan.hidden * plan.columns, 4)

    def step(n: Any) -> None:
        t = builder.add(first_scored, n)
        states, _ = readable(code, plan, a, t)
        errors = code.at(a.deltas, builder.add(t, code.whole(1)), plan.back * plan.row)
        targets = wanted(n, t)
        step_scales = code.at(scales, n, 4 * plan.outputs)

        def tile(first: Any, size: int) -> None:
            rows = code.at(readout, first, 4 * plan.reads)
            sums = code.product(zeros(code, plan, size), rows, 4 * plan.reads, states, plan.reads)
            for r in range(size):
                scale = code.broadcast(code.at(code.at(step_scales, first, 4), r, 4))
                twice = builder.fadd(scale, scale)
                for q in range(plan.width):
                    place = r * plan.width + q
                    value = code.activation(plan.rho, sums[r][q])
                    target = code.load(code.at(targets, first, plan.row), place)
                    gap = builder.fmul(builder.fsub(value, target), code.load(mask, q))
                    cost = code.fma(builder.fmul(scale, gap), gap, code.load(a.cost, q))
                    code.store(cost, a.cost, q)
                    error = code.times_slope(plan.rho, builder.fmul(twice, gap), value)
                    code.store(error, code.at(errors, first, plan.row), place)

        code.tiles(plan.outputs, plan.rows, tile)

    code.each(a.scored, step)


def backward(code: Code, plan: Plan, a: Arguments, transposed: Any) -> None:
    """d_t for all steps: (W_r' e + W_hh' d) sigma', or W_r' e + sigma' (W_hh' d) when `early`."""
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
                            sums[r][q] = code.times_slope(plan.sigma, sums[r][q], value)
                    return sums

                sums = zeros(code, plan, size)
                if plan.early:
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


def correlate(code: Code, plan: Plan, a: Arguments) -> None:
    """The gradients: dA += sum_t d_t [u_t ; 1 ; g_t-1]', dR += sum_t e_t [1 ; x_t]'."""
    builder = code.builder
    deltas = code.at(a.deltas, plan.outputs, plan.row)
    delta_step, state_step = plan.back * plan.row, plan.columns * plan.row
    line = BYTES * plan.columns
    with builder.if_else(builder.icmp_signed("==", a.driven, a.steps)) as (always, partly):
        with always:
            outer(
                code, plan, (deltas, delta_step, plan.hidden),
                (a.states, state_step, plan.columns), a.steps, a.sums, line,
            )  # fmt: skip
        with partly:
            outer(
                code, plan, (deltas, delta_step, plan.hidden),
                (a.states, state_step, plan.inputs), a.driven, a.sums, line,
            )  # fmt: skip
            outer(
                code, plan, (deltas, delta_step, plan.hidden),
                (code.at(a.states, plan.inputs, plan.row), state_step, plan.reads),
                a.steps, code.at(a.sums, plan.inputs, BYTES), line,
            )  # fmt: skip
    first_scored = builder.sub(a.steps, a.scored)
    states, read_step = readable(code, plan, a, first_scored)
    errors = code.at(a.deltas, builder.add(first_scored, code.whole(1)), delta_step)
    outer(
        code, plan, (errors, delta_step, plan.outputs), (states, read_step, plan.reads),
        a.scored, code.at(a.sums, plan.hidden * plan.columns, BYTES), BYTES * plan.reads,
    )  # fmt: skip


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


def pack(
    code: Code,
    plan: Plan,
    source: Any,
    first: Any,
    steps: Any,
    channels: int,
    target: Any,
    columns: int,
) -> None:
    """Sequences of `source` (B, steps, channels) from `first` on -> lanes of `target`.

    Row (t, c) goes to vector row t * columns + c. Squares of 16 sequences by 16 numbers are
    turned in registers; the last square of a sequence overlaps the one before.
    """
    builder = code.builder
    size = builder.mul(steps, code.whole(channels))
    row_bytes = builder.mul(size, code.whole(4))
    ahead = builder.mul(row_bytes, code.whole(LANES * plan.width))  # the next block of sequences

    def place(n: Any) -> Any:
        wide = code.whole(channels)
        start = code.at(target, builder.udiv(n, wide), columns * plan.row)
        return code.at(start, builder.urem(n, wide), plan.row)

    def group(g: Any) -> None:
        lane = code.at(first, g, LANES)
        rows = builder.add(source, builder.mul(lane, row_bytes))

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


def zeros(code: Code, plan: Plan, rows: int) -> list[list[Any]]:
    """Sums to start from."""
    return [[code.splat(0.0)] * plan.width for _ in range(rows)]
