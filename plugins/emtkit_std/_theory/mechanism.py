"""How a network that was built remembers: what analyses are judged on."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    *("register", "slot", "rotation", "cycle", "ring", "leaky", "magnitude", "superposed"),
    *("attention", "none"),
]


@dataclass(frozen=True)
class Mechanism:
    """The mechanism of a network, certain by its construction.

    `kind`: what a memory does from one step to the next. The code of an item lies where the
    item's age says (`register`), stays where it was written (`slot`), turns by one operator
    (`rotation`); the state is on a stable cycle (`cycle`) or one of a ring of fixed points
    (`ring`); items fade (`leaky`); all lie on one direction and differ in magnitude (`magnitude`);
    more items than units share directions (`superposed`); items stay in a context that is looked at
    (`attention`, of which everything here is said, not of the residual stream); or there is no
    memory (`none`).

    `exact`: the ages, in steps, of the items that follow from the memory without error.
    `linear`: R^2 with which an affine map of the memory gives the item of each age, 0 first, of
    independent inputs, once as many items have come; empty where it is not known in closed form.
    `used`: whether the outputs answer with what is held.

    Units that no output reads (distractors) are not counted as memory; they may hold recent items.
    """

    kind: Kind
    exact: tuple[int, ...] = ()
    linear: tuple[float, ...] = ()
    used: bool = True
