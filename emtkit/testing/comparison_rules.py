"""Rules for comparisons; what they share with analyses is in `analysis_rules`."""

from collections.abc import Callable

import torch

from emtkit.errors import NotApplicable
from emtkit.plugin.analysis import Findings
from emtkit.testing import analysis_rules
from emtkit.testing.bench import ComparisonBench, Pairing
from emtkit.testing.rewritten import rewritten
from emtkit.testing.rule import Mistake, Skip, Steps

CLOSE = 1e-6
"""Relative difference up to which two numbers count as equal: of rounding, in float64."""


def nothing_is_kept(bench: ComparisonBench) -> Steps:
    """What was seen of a network can be compared again, with the same findings."""
    yield "compared what was seen of two networks twice"
    change = "keep no state between calls, and change nothing of what `observe` returned"
    for pair in bench.pairings:
        comparison = bench.comparison()
        try:
            seen = [comparison.observe(bench.subject(pair, seed)) for seed in (0, 1)]
            first, second = (dict(comparison.compare(*seen).scalars) for _ in range(2))
        except NotApplicable:
            continue
        if repr(first) != repr(second):
            yield Mistake(f"the findings of {pair} differ", change)


def equals_itself(bench: ComparisonBench) -> Steps:
    """A network compared with itself gives the numbers of `identity`."""
    yield "compared every network with itself"
    wanted = bench.cls.identity
    if not wanted:
        yield Mistake("`identity` is empty", 'write for instance `identity = {"distance": 0.0}`')
    for pair in bench.pairings:
        findings = _compared(bench, pair, (0, 0))
        for name, value in wanted.items() if findings else ():
            found = findings.scalars.get(name) if findings else None
            if not _close(found, value):
                said = f"{name} = {found!r} for {pair} and itself, where `identity` says {value!r}"
                yield Mistake(said, "correct `identity`, or the number")


def symmetric_where_declared(bench: ComparisonBench) -> Steps:
    """Exchanging the two networks changes no scalar, where `symmetric` says so."""
    if not bench.cls.symmetric:
        yield Skip("it does not claim to be symmetric")
    yield "compared two networks both ways"
    for pair in bench.pairings:
        forth, back = _compared(bench, pair, (0, 1)), _compared(bench, pair, (1, 0))
        if forth is None or back is None:
            continue
        for name, value in forth.scalars.items():
            if not _close(back.scalars.get(name), value):
                said = f"{name} of {pair} is {value!r} one way, {back.scalars.get(name)!r} back"
                yield Mistake(said, "write `symmetric = False`, or take the mean of both ways")


def unchanged_where_declared(bench: ComparisonBench) -> Steps:
    """Coordinates of the state that `unchanged_by` names change no scalar."""
    if not bench.cls.unchanged_by:
        yield Skip("it does not claim that any coordinates of the state do not matter")
    yield f"wrote one of two networks in other coordinates: {', '.join(bench.cls.unchanged_by)}"
    for pair in bench.pairings:
        before, size = _compared(bench, pair, (0, 1)), _width(pair)
        if before is None:
            continue
        for change in bench.cls.unchanged_by:
            network = rewritten(pair.network(), change, size)
            try:
                seen = bench.subject_of(pair, network), bench.subject(pair, 1)
                after = bench.comparison().measure(*seen)
            except NotApplicable:
                continue
            for name, value in before.scalars.items():
                if not _close(after.scalars.get(name), value):
                    said = f"'{change}' changes {name} of {pair} from {value!r}"
                    said += f" to {after.scalars.get(name)!r}"
                    yield Mistake(said, f"leave '{change}' out of `unchanged_by`, or see to it")


COMPARISON_GATES: tuple[Callable[[ComparisonBench], Steps], ...] = (
    analysis_rules.builds_with_defaults,
    analysis_rules.finds_a_network,
    analysis_rules.measures_untrained_networks,
)
COMPARISON_RULES: tuple[Callable[[ComparisonBench], Steps], ...] = (
    analysis_rules.builds_with_random_parameters,
    analysis_rules.equal_subjects_equal_findings,
    nothing_is_kept,
    analysis_rules.no_global_randomness,
    analysis_rules.leaves_the_network_alone,
    analysis_rules.findings_can_be_stored,
    analysis_rules.scalars_are_declared,
    equals_itself,
    symmetric_where_declared,
    unchanged_where_declared,
)


def _compared(bench: ComparisonBench, pair: Pairing, seeds: tuple[int, int]) -> Findings | None:
    """The findings of the networks of two seeds; None where it does not apply."""
    try:
        return bench.comparison().measure(*(bench.subject(pair, seed) for seed in seeds))
    except NotApplicable:
        return None


def _width(pair: Pairing) -> int:
    """How many numbers the state of a network has."""
    batch = pair.sample(1)
    with torch.no_grad():
        trace = pair.network().trace(batch.inputs[:, : batch.input_steps], batch.steps)
    return trace.states.shape[-1]


def _close(found: object, wanted: object) -> bool:
    """Whether two scalars are equal up to rounding; two that are undefined are."""
    if not isinstance(found, float) or not isinstance(wanted, float):
        return found == wanted
    if found != found or wanted != wanted:
        return found != found and wanted != wanted
    return abs(found - wanted) <= CLOSE * max(abs(found), abs(wanted), 1.0)
