"""Sixteen-lane vector code for numba: what the intrinsics of `kernels` are made of.

Everything is emitted as LLVM vector instructions on `<16 x float>`, with explicit fused
multiply-adds and no licence to reorder. A machine of 8 or 4 lanes splits each vector and computes
the same bits. Addresses are integers in bytes; nothing is bounds-checked here.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from emtkit.train.native.network import LANES

BYTES = 4 * LANES

_UNROLLED = 64  # multiply-adds: shorter products are written out instead of looped over

_WORD = ir.IntType(64)
_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)

# Minimax fit of tanh(x) / x on |x| <= 8 as P(x^2) / Q(x^2), relative error 2e-8 before rounding
# and 3.2e-7 after; past 8, where tanh is 1 - 2.3e-7, the argument is clamped.
_CLAMP = 8.0
_TANH_P = (1.0, 0.1297922283, 2.985860687e-3, 9.878650417e-6, -1.470419342e-8, 2.350854407e-11)
_TANH_Q = (1.0, 0.4631253779, 2.40279194e-2, 2.372030722e-4)


class Code:
    """A builder of vector instructions at one place of a function."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def whole(self, value: int) -> Any:
        """An integer constant."""
        return ir.Constant(_WORD, value)

    def at(self, address: Any, index: Any, step: int) -> Any:
        """address + index * step; `index` may be a plain integer."""
        if isinstance(index, int):
            return self.builder.add(address, self.whole(index * step)) if index else address
        return self.builder.add(address, self.builder.mul(index, self.whole(step)))

    def plus(self, index: Any, more: int) -> Any:
        """index + more; `index` may be a plain integer."""
        return index + more if isinstance(index, int) else self.at(index, more, 1)

    def splat(self, value: float) -> Any:
        """A vector constant."""
        return constant(_VECTOR, value)

    def load(self, address: Any, index: int = 0) -> Any:
        """The `index`-th vector from `address` on."""
        pointer = self.builder.inttoptr(self.at(address, index, BYTES), _VECTOR.as_pointer())
        return self.builder.load(pointer, align=4)

    def store(self, value: Any, address: Any, index: int = 0) -> None:
        """Write the `index`-th vector from `address` on."""
        pointer = self.builder.inttoptr(self.at(address, index, BYTES), _VECTOR.as_pointer())
        self.builder.store(value, pointer, align=4)

    def broadcast(self, address: Any) -> Any:
        """The float at `address` in all lanes."""
        return in_all_lanes(self.builder, self.load_scalar(address), LANES)

    def shuffle(self, left: Any, right: Any, lanes: Sequence[int]) -> Any:
        """The given lanes of the two vectors laid end to end."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), [_lane(n) for n in lanes])
        return self.builder.shuffle_vector(left, right, mask)

    def fma(self, left: Any, right: Any, added: Any) -> Any:
        """left * right + added, rounded once; vectors of one kind, floats or doubles."""
        vector = left.type
        kind = ir.FunctionType(vector, [vector] * 3)
        name = f"llvm.fma.v{vector.count}f{32 if vector.element == _FLOAT else 64}"
        return self.builder.call(self._declared(name, kind), [left, right, added])

    def _declared(self, name: str, kind: Any) -> Any:
        module = self.builder.module
        return module.globals.get(name) or ir.Function(module, kind, name)

    def polynomial(self, coefficients: Sequence[float], variable: Any) -> Any:
        """sum_n c_n x^n by Horner's rule."""
        value = self.splat(coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            value = self.fma(value, variable, self.splat(coefficient))
        return value

    def activation(self, kind: str, x: Any) -> Any:
        """sigma(x) of `kind`; not-a-number stays what it is, so that divergence shows."""
        if kind == "linear":
            return x
        if kind == "relu":
            negative = self.builder.fcmp_ordered("<", x, self.splat(0.0))
            return self.builder.select(negative, self.splat(0.0), x)
        high, low = self.splat(_CLAMP), self.splat(-_CLAMP)
        x = self.builder.select(self.builder.fcmp_ordered(">", x, high), high, x)
        x = self.builder.select(self.builder.fcmp_ordered("<", x, low), low, x)
        square = self.builder.fmul(x, x)
        top = self.builder.fmul(x, self.polynomial(_TANH_P, square))
        return self.builder.fdiv(top, self.polynomial(_TANH_Q, square))

    def times_slope(self, kind: str, gradient: Any, value: Any) -> Any:
        """gradient * sigma'(x), given value = sigma(x)."""
        if kind == "linear":
            return gradient
        if kind == "relu":
            positive = self.builder.fcmp_ordered(">", value, self.splat(0.0))
            return self.builder.select(positive, gradient, self.splat(0.0))
        slope = self.fma(self.builder.fneg(value), value, self.splat(1.0))
        return self.builder.fmul(gradient, slope)

    def sum_of_lanes(self, vector: Any) -> Any:
        """The sum as a scalar, by halves: lane n with n + 8, then n + 4, n + 2, n + 1."""
        width = LANES
        while width > 1:
            width //= 2
            low = self.shuffle(vector, vector, range(width))
            high = self.shuffle(vector, vector, range(width, 2 * width))
            vector = self.builder.fadd(low, high)
        return self.builder.extract_element(vector, _lane(0))

    def turned(self, square: list[Any]) -> list[Any]:
        """Sixteen vectors as the rows of a matrix -> its columns, by four rounds of exchange."""
        half = LANES // 2
        while half:
            kept = [n if not n & half else n - half + LANES for n in range(LANES)]
            given = [n + half if not n & half else n + LANES for n in range(LANES)]
            new = list(square)
            for r in range(LANES):
                if not r & half:
                    new[r] = self.shuffle(square[r], square[r + half], kept)
                    new[r + half] = self.shuffle(square[r], square[r + half], given)
            square = new
            half //= 2
        return square

    def load_scalar(self, address: Any) -> Any:
        """The float at `address`."""
        return self.builder.load(self.builder.inttoptr(address, _FLOAT.as_pointer()), align=4)

    def load_whole(self, address: Any) -> Any:
        """The 64-bit integer at `address`."""
        return self.builder.load(self.builder.inttoptr(address, _WORD.as_pointer()), align=8)

    def prefetch(self, address: Any) -> None:
        """Ask for the cache line at `address`, which need not exist."""
        byte = ir.IntType(8).as_pointer()
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = self._declared("llvm.prefetch.p0", kind)
        read, into_second_level, data = (ir.Constant(number, n) for n in (0, 2, 1))
        pointer = self.builder.inttoptr(address, byte)
        self.builder.call(function, [pointer, read, into_second_level, data])

    def store_scalar(self, value: Any, address: Any) -> None:
        """Write one float or double."""
        pointer = self.builder.inttoptr(address, value.type.as_pointer())
        self.builder.store(value, pointer, align=4)

    def loop(
        self,
        count: Any,
        carried: Sequence[Any],
        body: Callable[[Any, list[Any]], Sequence[Any]],
    ) -> list[Any]:
        """For n in 0 .. count - 1: carried = body(n, carried); gives the last carried values."""
        builder = self.builder
        before = builder.block
        head = builder.append_basic_block("head")
        inside = builder.append_basic_block("inside")
        after = builder.append_basic_block("after")
        builder.branch(head)
        builder.position_at_end(head)
        n = builder.phi(_WORD)
        values = [builder.phi(value.type) for value in carried]
        builder.cbranch(builder.icmp_signed("<", n, count), inside, after)
        builder.position_at_end(inside)
        new = body(n, list(values))
        following = builder.add(n, self.whole(1))
        last = builder.block
        builder.branch(head)
        n.add_incoming(self.whole(0), before)
        n.add_incoming(following, last)
        for phi, start, value in zip(values, carried, new, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(value, last)
        builder.position_at_end(after)
        return values

    def each(self, count: Any, body: Callable[[Any], None]) -> None:
        """For n in 0 .. count - 1: body(n)."""

        def step(n: Any, _: list[Any]) -> list[Any]:
            body(n)
            return []

        self.loop(count, [], step)

    def tiles(self, count: int, width: int, tile: Callable[[Any, int], None]) -> None:
        """Cover 0 .. count - 1: tile(first, width) for whole tiles, then one for the rest."""
        whole, rest = divmod(count, width)
        if whole == 1:
            tile(0, width)
        elif whole:
            self.each(self.whole(whole), lambda n: tile(self.at(self.whole(0), n, width), width))
        if rest:
            tile(count - rest, rest)

    def product(
        self, sums: list[list[Any]], weights: Any, row_bytes: int, states: Any, count: int
    ) -> list[list[Any]]:
        """sums[r][q] + sum_k W[r, k] x[k][q] over k = 0 .. count - 1, in this order.

        `weights` is the address of W[0, 0], rows `row_bytes` apart; `states` of x[0].
        """
        width = len(sums[0])

        def step(k: Any, carried: list[Any]) -> list[Any]:
            source = self.at(states, k, BYTES * width)
            vectors = [self.load(source, q) for q in range(width)]
            column = self.at(weights, k, 4)
            for r in range(len(sums)):
                weight = self.broadcast(self.at(column, r, row_bytes))
                for q in range(width):
                    place = r * width + q
                    carried[place] = self.fma(weight, vectors[q], carried[place])
            return carried

        flat = [vector for row in sums for vector in row]
        if count * len(flat) <= _UNROLLED:
            for k in range(count):
                flat = step(k, flat)
        else:
            flat = self.loop(self.whole(count), flat, step)
        return [flat[r * width : (r + 1) * width] for r in range(len(sums))]


def constant(kind: Any, value: float) -> Any:
    """A constant in all lanes of a vector."""
    return ir.Constant(kind, [ir.Constant(kind.element, value)] * kind.count)


def in_all_lanes(builder: Any, scalar: Any, lanes: int) -> Any:
    """A number in all lanes of a vector."""
    kind = ir.VectorType(scalar.type, lanes)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, _lane(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [_lane(0)] * lanes)
    return builder.shuffle_vector(first, first, mask)


def _lane(n: int) -> Any:
    return ir.Constant(ir.IntType(32), n)
