"""Philox4x32-10 as vector code, eight blocks side by side; see `emtkit.plugin._philox`."""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from emtkit.plugin._philox import INCREMENTS, LOW, MULTIPLIERS, ROUNDS
from emtkit.train.native.vectors import constant, in_all_lanes

OCTET = 8
"""Lanes of 64 bits, in which the product of two words is whole."""

_LANE = ir.IntType(64)
WHOLES = ir.VectorType(_LANE, OCTET)


class Philox:
    """The blocks of one draw, given its counter: two key words, the iteration, the first block.

    The numbers of all blocks have one upper word. Made outside of the loops that ask for words,
    because what all blocks share is made with it.
    """

    def __init__(self, builder: Any, counter: Sequence[Any]) -> None:
        self._builder = builder
        key0, key1, iteration, begin = counter
        first, second = INCREMENTS
        self._keys = [
            (self._key(key0, r * first), self._key(key1, r * second)) for r in range(ROUNDS)
        ]
        half = wholes(32)
        self._begin, c2 = splat(builder, begin), splat(builder, iteration)
        self._same = builder.lshr(self._begin, half), c2, builder.lshr(c2, half)

    def words(self, blocks: Sequence[Any]) -> list[list[Any]]:
        """The four words of each vector of blocks, which count from the draw's first one.

        What stands above the 32 bits of a word is left over. The vectors go through the rounds
        together, because one alone would wait for its products.
        """
        builder, half = self._builder, wholes(32)
        first, second = (wholes(multiplier) for multiplier in MULTIPLIERS)
        states = [[builder.add(self._begin, block), *self._same] for block in blocks]
        for k0, k1 in self._keys:
            products = [
                (builder.mul(first, self._word(c0)), builder.mul(second, self._word(c2)))
                for c0, _, c2, _ in states
            ]
            tops = [[builder.lshr(product, half) for product in pair] for pair in products]
            # key first: where the product is the same for all blocks, so is this sum
            mixed = [
                (builder.xor(builder.xor(top1, k0), c1), builder.xor(builder.xor(top0, k1), c3))
                for (top0, top1), (_, c1, _, c3) in zip(tops, states, strict=True)
            ]
            states = [[c0, p1, c2, p0] for (c0, c2), (p0, p1) in zip(mixed, products, strict=True)]
        return states

    def _key(self, word: Any, increment: int) -> Any:
        return splat(self._builder, self._builder.add(word, ir.Constant(_LANE, increment)))

    def _word(self, vector: Any) -> Any:
        """A factor seen to have 32 bits: then the product needs one instruction, the mask none."""
        return self._builder.and_(vector, wholes(LOW))


def wholes(value: int) -> Any:
    """A constant in all lanes."""
    return constant(WHOLES, value)


def splat(builder: Any, scalar: Any) -> Any:
    """A 64-bit number, whole or double, in all lanes."""
    return in_all_lanes(builder, scalar, OCTET)
