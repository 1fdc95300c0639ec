"""Captions in the reader's words: what a figure shows, over how many networks, and its bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emtkit.plugin.statistic import statistic_named
from emtkit.report.data.sides import short_name
from emtkit.report.figures.examples import Example
from emtkit.report.figures.panel import Chart
from emtkit.report.inference.aggregate import Aggregate
from emtkit.study.views import CHARTS, MAPS, Figure

Meanings = Mapping[str, str]
"""What columns mean, by their names."""


@dataclass(frozen=True)
class Account:
    """What a figure says of itself: `what` is drawn, in a sentence with a place for each of its
    columns (`{test.loss}`), and `how`: over how many networks, and what its bars are."""

    what: str
    how: str


def chart_account(spec: Figure, found: Sequence[Aggregate], what_each: str = "network") -> Account:
    """What a chart or a map shows, of these numbers; `what_each` gave one of them."""
    if spec.use in MAPS.names:
        value = _label(spec, str(spec.value))
        number = _statistic(spec).format(value)
        if spec.less is not None:
            number += " less that of the other networks"
        ys = _label(spec, spec.y[0])
        what = f"{number} as colour, over {_label(spec, str(spec.x))} and {ys}"
        return Account(_sentence(what + _apart(spec)), _sentence(_count(found, "field", what_each)))
    chart = CHARTS.load(spec.use, Chart)
    columns = _joined([_label(spec, column) for column in spec.y])
    number = _statistic(spec).format(columns)
    what = chart.shows.format(statistic=number, column=columns, x=_label(spec, str(spec.x)))
    several = any(one.n > 1 for one in found)
    parts = [_count(found, chart.mark, what_each)]
    if chart.has_bars and any(one.estimate and one.estimate.bounded and one.n > 1 for one in found):
        method = statistic_named(spec.stat, spec.of).method
        parts.append(f"bars are 95 % intervals over {', '.join(spec.over)} ({method})")
    parts.append(chart.details if several else "")
    return Account(_sentence(what + _apart(spec)), _sentence("; ".join(filter(None, parts))))


def drawing_account(spec: Figure, examples: Sequence[Example]) -> Account:
    """What an analysis's own drawing shows, of these networks."""
    label, _, drawing = spec.use.partition(".")
    choice, count = spec.cells, len(examples)
    what = f"{drawing.replace('_', ' ')} of {'one network' if count == 1 else 'single networks'}"
    what += f", as {label} measured {'it' if count == 1 else 'them'}"
    chosen = {
        "first": "the first by seed",
        "best": f"the best by {choice.by}",
        "all": "every one that was measured",
    }[choice.select]
    plural = f"network: {examples[0].title}," if count == 1 else f"{count} networks, one per panel,"
    return Account(_sentence(what), _sentence(f"{plural} {chosen}"))


def caption_of(spec: Figure, account: Account, meanings: Meanings) -> str:
    """The author's caption, else what is drawn, with the meaning of what has no label."""
    if spec.caption:
        return spec.caption
    columns = [*spec.y, *filter(None, (spec.value,))]
    unsaid = [name for name in columns if name in meanings and name not in spec.labels]
    return " ".join([account.what, *(f"{name}: {meanings[name]}." for name in unsaid)])


def _label(spec: Figure, column: str) -> str:
    return spec.labels.get(column, column)


def _statistic(spec: Figure) -> str:
    """The statistic of a column, in words: `mean of {}`."""
    if spec.stat == "best":
        by = f" (best by {_label(spec, spec.by)})" if spec.by else ""
        return f"best network's {{}}{by}"
    if spec.of is not None:
        return f"mean of {{}} in the best of {spec.of} runs"
    if spec.stat == "share":
        return "share of networks with {}"
    return statistic_named(spec.stat).noun.removeprefix("a ") + " of {}"


def _apart(spec: Figure) -> str:
    """What distinguishes colours and panels."""
    parts = [f", a colour for each {_label(spec, spec.hue)}"] if spec.hue else []
    facets = [spec.labels.get(axis, short_name(axis)) for axis in spec.facet]
    return "".join([*parts, *([f", a panel for each {_joined(facets)}"] if facets else [])])


def _count(found: Sequence[Aggregate], mark: str, what: str) -> str:
    """How many networks, or pairs of them, each mark stands for."""
    counts = sorted({one.n for one in found if one.value is not None})
    if not counts:
        return f"no {what} gave a number"
    if counts == [1]:
        return f"each {mark} is one {what}"
    span = f"{counts[-1]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"each {mark} stands for {span} {what}s"


def _joined(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
