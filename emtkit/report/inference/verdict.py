"""A verdict on a claim, and the claim's expectation in words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from emtkit.plugin.statistic import Estimate
from emtkit.report.data.results import level_text, where_text
from emtkit.study.quantity import Quantity
from emtkit.study.roles import Role
from emtkit.study.views import Claim, Expect

Word = Literal[
    "supported", "unchecked", "no power", "not supported", "inconclusive", "not testable"
]


@dataclass(frozen=True)
class Control:
    """What one control shows of a claim, or of one of its combinations.

    `satisfied`: whether its networks meet the expectation; None where they cannot say, and `cause`
    why. `value` is theirs, `compared` what it was compared with.
    """

    name: str
    role: Role
    satisfied: bool | None
    value: float | str | None = None
    compared: float | str | None = None
    cause: str = ""
    cells: tuple[str, ...] = ()

    @property
    def fails(self) -> bool:
        """Whether it takes the power from the claim's test."""
        return self.satisfied is (self.role == "negative")


@dataclass(frozen=True)
class Verdict:
    """What the results show about a claim, as a whole or of one of its combinations (`levels`).

    `value` is the estimate as a number or a text; for a comparison `estimate` is that of the
    difference, `value - compared`. `p` is corrected. `cause` says why where the verdict is not
    plain. `parts` are the verdicts of the combinations under a summary. `given` says how many cells
    met the claim's condition, `stated` whether the claim was there before its results, `remarks`
    what else differs between two sides that are compared.
    """

    claim: Claim
    word: Word
    levels: tuple[tuple[str, Any], ...] = ()
    value: float | str | None = None
    compared: float | str | None = None
    estimate: Estimate | None = None
    p: float | None = None
    n: int = 0
    total: int = 0
    cause: str = ""
    cells: tuple[str, ...] = ()
    parts: tuple["Verdict", ...] = ()
    controls: tuple[Control, ...] = ()
    given: str = ""
    stated: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The combination as a phrase; empty where the claim has only one."""
        return where_text(dict(self.levels))


def held_against(verdict: Verdict, controls: Sequence[Control]) -> Verdict:
    """The verdict after its controls: what they meet too, or should meet and do not, has no power.

    What is supported without a negative control that could say no is unchecked.
    """
    found = replace(verdict, controls=tuple(controls))
    counted = ("negative", "positive") if verdict.word == "supported" else ("positive",)
    failing = [one for one in controls if one.fails and one.role in counted]
    if verdict.word in ("supported", "not supported") and failing:
        met = {"negative": "meets the expectation, too", "positive": "does not meet it"}
        causes = [f"the {one.role} control {one.name} {met[one.role]}" for one in failing]
        return replace(found, word="no power", cause=_joined(*causes, verdict.cause))
    if verdict.word == "supported":
        silent = [one for one in controls if one.role == "negative" and one.satisfied is None]
        said = [f"control {one.name}: {one.cause}" for one in silent]
        if not any(one.role == "negative" and one.satisfied is False for one in controls):
            cause = _joined(*(said or ["no negative control"]), verdict.cause)
            return replace(found, word="unchecked", cause=cause)
    return found


def summary(claim: Claim, parts: Sequence[Verdict], share: float) -> Verdict:
    """One verdict over combinations: at least `share` of those that apply must be supported.

    What is undecided could still go either way; the verdict is given when neither matters.
    """
    applying = [part for part in parts if not part.cause.startswith("not applicable")]
    words: Counter[str] = Counter(part.word for part in applying)
    base = Verdict(
        claim,
        "inconclusive",
        cause=_counts_text(words, len(applying)),
        n=min((part.n for part in applying), default=0),
        total=max((part.total for part in applying), default=0),
        cells=tuple(dict.fromkeys(cell for part in parts for cell in part.cells)),
        parts=tuple(parts),
        controls=_most_telling(applying),
        remarks=tuple(dict.fromkeys(text for part in applying for text in part.remarks)),
    )
    given = dict.fromkeys(part.given for part in parts)
    base = replace(base, given=next(iter(given)) if len(given) == 1 else "")
    if len(applying) == 1:
        (part,) = applying
        return replace(part, levels=(), parts=tuple(parts))
    needed = share * len(applying) - 1e-9
    if not applying or words["not testable"] == len(applying):
        return replace(base, word="not testable", cause=parts[0].cause)
    holding = 0
    worth: tuple[Word, ...] = ("supported", "unchecked", "no power")
    for word in worth:
        # Each is worth less than the one before, and those before count for it.
        holding += words[word]
        if holding >= needed:
            return replace(base, word=word)
    if len(applying) - words["not supported"] < needed:
        return replace(base, word="not supported")
    if words["not testable"]:
        return replace(base, word="not testable")
    return base


def expectation_text(expect: Expect) -> str:
    """The testable side of a claim as a phrase: `median of spectrum.radius below 0.9`."""
    side = next(side for side in ("below", "above", "equals") if getattr(expect, side) is not None)
    word = {"equals": "equal to"}.get(side, side)
    bound = expect.other
    if bound is None:
        target = level_text(expect.bound)
    elif (bound.column, bound.statistic) == (expect.column, expect.statistic):
        target = f"that with {where_text(bound.where)}"
    else:
        target = _quantity_text(bound)
    tolerance = f" within {level_text(expect.tolerance)}" if expect.tolerance else ""
    return f"{_quantity_text(expect)} {word} {target}{tolerance}"


def _quantity_text(quantity: Quantity) -> str:
    where = f" with {where_text(quantity.where)}" if quantity.where else ""
    if quantity.share is not None:
        return f"{quantity.share}{where}"
    by = f" by {quantity.by}" if quantity.by else ""
    if quantity.of is not None:
        return f"expected best of {quantity.of} of {quantity.value}{by}{where}"
    return f"{quantity.stat} of {quantity.value}{by}{where}"


def _most_telling(parts: Sequence[Verdict]) -> tuple[Control, ...]:
    """Each control once: of a combination whose test it fails, if there is one."""
    found: dict[tuple[str, Role], Control] = {}
    for control in (control for part in parts for control in part.controls):
        at = control.name, control.role
        if at not in found or (control.fails and not found[at].fails):
            found[at] = control
    return tuple(found.values())


def _counts_text(words: Counter[str], total: int) -> str:
    """How the combinations of a claim fell: `11 of 12 supported, 1 inconclusive`."""
    order = (
        *("supported", "unchecked", "no power"),
        *("not supported", "inconclusive", "not testable"),
    )
    counted = [(word, words[word]) for word in order if words[word]]
    first, *rest = [f"{count} {word}" for word, count in counted] or ["none supported"]
    head, _, tail = first.partition(" ")
    return ", ".join([f"{head} of {total} {tail}", *rest])


def _joined(*texts: str) -> str:
    return "; ".join(dict.fromkeys(filter(None, texts)))
