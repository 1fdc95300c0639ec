"""The verdicts as a page shows them: one block per claim, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from emtkit.report.data.links import Link
from emtkit.report.inference.verdict import Verdict, expectation_text
from emtkit.report.tables.numbers import VerdictTexts
from emtkit.study.views import Claim

WORST_FIRST = (
    *("not supported", "no power", "unchecked"),
    *("inconclusive", "not testable", "supported"),
)
MARKS = {
    "supported": "✓",
    "unchecked": "○",
    "no power": "∅",
    "not supported": "✗",
    "inconclusive": "?",
    "not testable": "–",
}


@dataclass(frozen=True)
class Line:
    """One verdict as the page shows it."""

    verdict: Verdict
    mark: str
    where: str
    texts: VerdictTexts
    link: str

    @property
    def interval(self) -> str:
        """The interval, said to be that of a difference where it is."""
        compared = self.texts.interval and self.verdict.compared is not None
        return f"difference {self.texts.interval}" if compared else self.texts.interval


@dataclass(frozen=True)
class ClaimBlock:
    """One claim with its verdicts; `words` counts those that are not part of another."""

    claim: Claim
    expectation: str
    lines: tuple[Line, ...]
    combinations: int
    worst: str
    stated: str
    remarks: tuple[str, ...]
    words: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class Answer:
    """What a study answers: a sentence, its claims by verdict, and why no sentence is shown."""

    text: str
    words: tuple[tuple[str, str, int], ...]
    doubt: str


def answer_of(blocks: Sequence[ClaimBlock], sentence: str) -> Answer:
    """The study's own `sentence` where every claim is supported, else what its first claim says.

    A sentence was written for the results that its author had: it does not stand where they differ.
    """
    worst = [block.worst for block in blocks]
    words = tuple((word, mark, worst.count(word)) for word, mark in MARKS.items() if word in worst)
    if not blocks:
        return Answer("", (), "")
    if sentence and set(worst) == {"supported"}:
        return Answer(sentence, words, "")
    first = f"{blocks[0].worst.capitalize()}: {blocks[0].claim.text}"
    doubt = "The study's own answer is left out, as it rests on every claim." if sentence else ""
    return Answer(first, words, doubt)


def claim_blocks(verdicts: Sequence[Verdict], link: Link) -> list[ClaimBlock]:
    """A block per claim, in the order of the study."""
    blocks = []
    for _, group in groupby(verdicts, key=lambda one: one.claim.id):
        members = list(group)
        claim = members[0].claim
        counts = {word: sum(one.word == word for one in members) for word in MARKS}
        shown = [part for one in members for part in (one, *one.parts)]
        lines = tuple(
            Line(
                one,
                MARKS[one.word],
                one.where or ("over all combinations" if one.parts else ""),
                VerdictTexts.of(one),
                link(one.cells, one.claim.expect),
            )
            for one in shown
        )
        combinations = sum(not one.parts for one in shown)
        worst = next(word for word in WORST_FIRST if counts[word])
        words = tuple((word, MARKS[word], count) for word, count in counts.items() if count)
        expectation = expectation_text(claim.expect)
        # The combinations of one claim may have begun at different times.
        remarks = tuple(dict.fromkeys(text for one in members for text in one.remarks))
        stated = "; ".join(dict.fromkeys(filter(None, (one.stated for one in members))))
        blocks.append(
            ClaimBlock(claim, expectation, lines, combinations, worst, stated, remarks, words)
        )
    return blocks


def correction(verdicts: Sequence[Verdict]) -> str:
    """What was done to the p of the verdicts; empty where there is one at most."""
    parts = [part for one in verdicts for part in (one.parts or (one,))]
    count = sum(part.p is not None for part in parts)
    return f"p are corrected over the {count} comparisons of the study (Holm)." if count > 1 else ""
