"""How a network that was built remembers: what analyses are judged on."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    *("register", "slot", "rotation", "cycle", "ring", "latch", "leaky", "magnitude"),
    *("superposed", "attention", "none"),
]
Moving = Literal["wave", "slot", "rotation", "shared", "none"]


@dataclass(frozen=True)
class Mechanism:
    """The mechanism of a network, certain by its construction.

    `kind`: what a memory does from one step to the next. The code of an item lies where the
    item's age says (`register`), stays where it was written (`slot`), turns by one operator
    (`rotation`); the state is on a stable cycle (`cycle`) or one of a ring of fixed points
    (`ring`); a new item takes the place of the last one, among stable fixed points (`latch`); items
    fade (`leaky`); all lie on one direction and differ in magnitude (`magnitude`); more items than
    units share directions (`superposed`); items stay in a context that is looked at (`attention`,
    of which everything here is said, not of the residual stream); or there is no memory (`none`).

    `exact`: the ages, in steps, of the items that follow from the memory without error.
    `linear`: R^2 with which an affine map of the memory gives the item of each age, 0 first, of
    independent inputs, once as many items have come; empty where it is not known in closed form.
    `used`: whether the outputs answer with what is held.

    `moving` is where the code of an item goes, as an analysis can see it; None of attention.

    Units that no output reads (distractors) are not counted as memory; they may hold recent items.
    """

    kind: Kind
    exact: tuple[int, ...] = ()
    linear: tuple[float, ...] = ()
    used: bool = True

    @property
    def moving(self) -> Moving | None:
        """Where codes go: `shared` where items of all ages lie in one place."""
        return _KINDS[self.kind].moving

    @property
    def superposed(self) -> bool:
        """Whether items share directions."""
        return _KINDS[self.kind].superposed

    @property
    def corrects(self) -> bool:
        """Whether errors of the state die out, and items do not."""
        return _KINDS[self.kind].corrects


@dataclass(frozen=True)
class _Known:
    """What all memories of a kind have in common; `moving` is None where items do not move."""

    moving: Moving | None
    superposed: bool = False
    corrects: bool = False


_KINDS: dict[Kind, _Known] = {
    "register": _Known("wave"),
    "cycle": _Known("wave", corrects=True),
    "superposed": _Known("wave", superposed=True),
    "slot": _Known("slot"),
    "ring": _Known("slot"),
    "rotation": _Known("rotation"),
    "latch": _Known("shared", corrects=True),
    "leaky": _Known("shared", superposed=True),
    "magnitude": _Known("shared", superposed=True, corrects=True),
    "attention": _Known(None),
    "none": _Known("none"),
}
