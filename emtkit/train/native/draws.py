"""Inputs that are drawn, where the kernel reads them: numbers made with sequences in lanes.

Number n = t I + i of sequence b is word (b T I + n) % 4 of block (b T I + n) // 4 of the draw, as
in `Stream.sparse_uniform`. So eight sequences are eight blocks side by side, and the words that
they give are rows of the states, which need not be turned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from emtkit.plugin._philox import LOW
from emtkit.train.native.network import Arguments, KernelPlan, Words
from emtkit.train.native.philox import OCTET, WHOLES, Philox, splat, wholes
from emtkit.train.native.vectors import Code, constant

_WORD, _FLOAT, _DOUBLE = ir.IntType(32), ir.FloatType(), ir.DoubleType()
_WORDS, _FLOATS, _DOUBLES = (ir.VectorType(kind, OCTET) for kind in (_WORD, _FLOAT, _DOUBLE))
_BYTES = 4 * OCTET  # of an octet of words or of numbers

_BELOW_ONE = 1.0 - 2.0**-24  # the largest float32 below 1
_BASE, _BASE_BITS = 2.0**52, 0x4330000000000000  # last bits of such a double: a whole number


@dataclass(frozen=True)
class _Group:
    """Octets of sequences that are drawn together: where, from what number, below what limit on."""

    target: Any
    kept: Any
    starts: list[Any]
    limits: list[Any]


class Draw:
    """The draw of one row; made outside of the loop over blocks, for what they share."""

    def __init__(self, code: Code, plan: KernelPlan, a: Arguments) -> None:
        self._code, self._plan, self._a = code, plan, a
        builder = code.builder
        self._octets = min(4, 2 * plan.width)  # enough that no product is waited for
        self._philox = Philox(
            builder, [code.load_whole(code.at(a.counter, n, 8)) for n in range(4)]
        )
        self._size = builder.mul(a.steps, code.whole(plan.inputs))
        limit = builder.load(builder.inttoptr(a.limit, _DOUBLE.as_pointer()), align=8)
        factor = builder.fdiv(ir.Constant(_DOUBLE, 1.0), limit)
        self._factor = splat(builder, factor)
        self._less = splat(builder, builder.fmul(factor, ir.Constant(_DOUBLE, -_BASE)))
        upwards = builder.module.declare_intrinsic("llvm.ceil", [_DOUBLE])
        self._limit = splat(builder, builder.call(upwards, [limit]))

    def bring(self, first: Any) -> None:
        """The block of sequences from `first` on -> inputs in the states."""
        code, builder, octets = self._code, self._code.builder, self._octets
        mode = self._a.mode
        taken = builder.icmp_signed("==", mode, code.whole(Words.TAKE.value))
        keep = builder.icmp_signed("==", mode, code.whole(Words.KEEP.value))

        def draw(g: Any) -> None:
            group = self._group(code.at(first, g, OCTET * octets), g)
            with builder.if_else(taken) as (take, make):
                with take:
                    self._take(group)
                with make:
                    self._make(group, keep)

        code.each(code.whole(2 * self._plan.width // octets), draw)

    def _group(self, first: Any, g: Any) -> _Group:
        code, builder = self._code, self._code.builder
        lanes = ir.Constant(WHOLES, [ir.Constant(WHOLES.element, n) for n in range(OCTET)])
        begins = [code.at(first, o, OCTET) for o in range(self._octets)]
        return _Group(
            target=code.at(self._a.states, g, _BYTES * self._octets),
            kept=code.at(self._a.words, builder.mul(first, self._size), 4),
            starts=[
                builder.mul(builder.add(splat(builder, b), lanes), splat(builder, self._size))
                for b in begins
            ],
            limits=[self._limits(begin) for begin in begins],
        )

    def _limits(self, begin: Any) -> Any:
        """The limits of an octet: 2^52 + L, or 2^52 for a sequence that is padding."""
        code, builder = self._code, self._code.builder
        mask = builder.inttoptr(code.at(self._a.mask, begin, 4), _FLOATS.as_pointer())
        there = builder.fpext(builder.load(mask, align=4), _DOUBLES)
        return code.fma(self._limit, there, constant(_DOUBLES, _BASE))

    def _make(self, group: _Group, keep: Any) -> None:
        """All numbers of a group from new words."""
        code, builder, philox = self._code, self._code.builder, self._philox
        blocks = [builder.lshr(start, wholes(2)) for start in group.starts]

        def after(j: Any) -> list[Any]:
            return [builder.add(block, splat(builder, j)) for block in blocks]

        def use(j: Any, words: Sequence[Sequence[Any]]) -> None:
            """The last block may end past the sequence: what is too much is written over."""
            last = builder.sub(self._size, code.whole(1))
            for k in reversed(range(4)):
                n = code.at(builder.shl(j, code.whole(2)), k, 1)
                n = builder.select(builder.icmp_signed("<", n, last), n, last)
                octets = [four[k] for four in words]
                with builder.if_then(keep):
                    self._keep(octets, n, group)
                self._store(octets, n, group)

        def whole(j: Any) -> None:
            use(j, philox.words(after(j)))

        def parted(j: Any, before: list[Any]) -> list[Any]:
            following = philox.words(after(code.at(j, 1, 1)))
            eights = [[*before[4 * o : 4 * o + 4], *four] for o, four in enumerate(following)]
            use(j, [self._moved(*pair) for pair in zip(group.starts, eights, strict=True)])
            return [word for four in following for word in four]

        count = builder.lshr(code.at(self._size, 1, 3), code.whole(2))
        if self._plan.inputs % 4 == 0:
            code.each(count, whole)
            return
        rest = builder.and_(self._size, code.whole(3))
        with builder.if_else(builder.icmp_signed("==", rest, code.whole(0))) as (even, odd):
            with even:
                code.each(count, whole)
            with odd:
                first = [word for four in philox.words(blocks) for word in four]
                code.loop(count, first, parted)

    def _moved(self, start: Any, words: list[Any]) -> list[Any]:
        """Of eight words the four from word start % 4 on, lane by lane."""
        builder = self._code.builder
        for bit in (1, 2):
            here = builder.icmp_unsigned("==", builder.and_(start, wholes(bit)), wholes(0))
            pairs = zip(words, words[bit:], strict=False)
            words = [builder.select(here, near, far) for near, far in pairs]
        return words[:4]

    def _take(self, group: _Group) -> None:
        """All numbers of a group from the words that were kept."""
        code, builder = self._code, self._code.builder

        def row(n: Any) -> None:
            words = [builder.load(place, align=4) for place in self._places(n, group)]
            self._store([builder.zext(word, WHOLES) for word in words], n, group)

        code.each(self._size, row)

    def _keep(self, octets: list[Any], n: Any, group: _Group) -> None:
        builder = self._code.builder
        for words, place in zip(octets, self._places(n, group), strict=True):
            builder.store(builder.trunc(words, _WORDS), place, align=4)

    def _places(self, n: Any, group: _Group) -> list[Any]:
        """Where the words of number n are kept."""
        code = self._code
        row = code.at(group.kept, n, _BYTES * self._octets)
        addresses = [code.at(row, o, _BYTES) for o in range(self._octets)]
        return [code.builder.inttoptr(address, _WORDS.as_pointer()) for address in addresses]

    def _store(self, octets: list[Any], n: Any, group: _Group) -> None:
        """Words -> numbers -> row n of the inputs."""
        code, builder, plan = self._code, self._code.builder, self._plan
        wide = code.whole(plan.inputs)
        row = code.at(group.target, builder.udiv(n, wide), plan.columns * plan.row)
        row = code.at(row, builder.urem(n, wide), plan.row)
        for o, (words, limit) in enumerate(zip(octets, group.limits, strict=True)):
            place = builder.inttoptr(code.at(row, o, _BYTES), _FLOATS.as_pointer())
            builder.store(self._number(words, limit), place, align=4)

    def _number(self, words: Any, limit: Any) -> Any:
        """w / L, rounded, at most the largest number below 1; 0 where w is not below the limit L.

        w comes as 2^52 + w, which costs less than a conversion; (2^52 + w) f - 2^52 f, rounded
        once, is w f rounded.
        """
        builder = self._code.builder
        bits = builder.or_(builder.and_(words, wholes(LOW)), wholes(_BASE_BITS))
        based = builder.bitcast(bits, _DOUBLES)
        quotient = self._code.fma(based, self._factor, self._less)
        number, most = builder.fptrunc(quotient, _FLOATS), constant(_FLOATS, _BELOW_ONE)
        number = builder.select(builder.fcmp_ordered(">", number, most), most, number)
        inside = builder.fcmp_ordered("<", based, limit)
        return builder.select(inside, number, constant(_FLOATS, 0.0))
