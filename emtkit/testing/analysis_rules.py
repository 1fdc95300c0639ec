"""Rules for analyses."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import chain
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import torch

from emtkit.errors import NotApplicable
from emtkit.plugin.analysis import Analysis, Control, Findings, Subject
from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.drawing import Drawing
from emtkit.plugin.scalars import info_of
from emtkit.store.content import pack, unpack
from emtkit.testing import values
from emtkit.testing.bench import (
    DRAWS,
    AnalysisBench,
    ComparisonBench,
    Pairing,
    build_case,
    resolved,
    small_parameters,
    subject,
    why_not,
)
from emtkit.testing.common_rules import built_at_random, globally_drawn, under_global_seed
from emtkit.testing.rule import Mistake, Skip, Steps

Bench = AnalysisBench | ComparisonBench


def builds_with_defaults(bench: Bench) -> Steps:
    """Without parameters it can be made."""
    bench.analysis()
    yield f"built {bench.cls.name} with its defaults"


def finds_a_network(bench: Bench) -> Steps:
    """At least one installed network on one installed task has what the analysis requires."""
    needs = ", ".join(kind.__name__ for kind in bench.cls.requires) or "no fact"
    yield f"looked for a {bench.cls.models.__name__} and a task that offer {needs}"
    if not bench.pairings:
        change = "check it together with the file of the task or model that offers the fact"
        yield Mistake("nothing installed has them", change)


def measures_untrained_networks(bench: Bench) -> Steps:
    """It gives findings, or says why it does not apply; scalars are finite or NaN with a reason."""
    yield "measured " + "; ".join(str(pair) for pair in bench.pairings)
    for pair in bench.pairings:
        try:
            findings = bench.analysis().measure(bench.subject(pair))
        except NotApplicable as reason:
            if not str(reason):
                yield Mistake("NotApplicable without a reason", "say why")
            continue
        if not isinstance(findings, Findings):
            found = f"`measure` returned a {type(findings).__name__}"
            yield Mistake(found, "return Findings(scalars, tables, arrays)")


def builds_with_random_parameters(bench: Bench) -> Steps:
    """Every valid setting builds, or is refused with a sentence."""
    yield f"built {DRAWS} settings drawn from the annotations"
    yield from (one for _, one in built_at_random(bench.cls) if isinstance(one, Mistake))


def equal_subjects_equal_findings(bench: Bench) -> Steps:
    """One network gives one answer, bit for bit."""
    yield "measured one network twice, with one analysis object"
    for pair in bench.pairings[:2]:
        work = partial(_measured, bench, pair, bench.analysis())
        first, second = (under_global_seed(0, work)[0] for _ in range(2))
        if first != second:
            change = "keep no state between calls; draw from `subject.stream` alone"
            yield Mistake(f"the findings of {pair} differ", change)


def many_equal_one(bench: AnalysisBench) -> Steps:
    """Networks measured together get the findings of each alone, bit for bit."""
    if bench.cls.measure_many is Analysis.measure_many:
        yield Skip("it measures networks one by one")
    yield "measured three networks together, in other orders, and each alone"
    change = "let no number depend on the other networks, not even on how many there are"
    for pair in bench.pairings:
        networks = [pair.network(seed) for seed in range(3)]
        try:
            alone = [_text(bench.analysis().measure(_subject(bench, pair, m))) for m in networks]
        except NotApplicable:
            continue
        for order in ((0, 1, 2), (2, 1), (1, 0, 2, 1)):
            given = [_subject(bench, pair, networks[at]) for at in order]
            found = bench.analysis().measure_many(given)
            if [_text(one) for one in found] != [alone[at] for at in order]:
                yield Mistake(f"the findings of {pair} are others", change)
                break


def no_global_randomness(bench: Bench) -> Steps:
    """Measuring neither reads nor moves a global generator."""
    yield "measured under two states of torch, numpy.random and random"
    work = partial(_measured, bench, bench.pairings[0])
    yield from globally_drawn(work, str.__eq__, "findings", "draw from `subject.stream`")


def leaves_the_network_alone(bench: Bench) -> Steps:
    """Weights, mode and dtype of the network are as they were."""
    yield "compared the network before and after measuring"
    change = "work on `copy.deepcopy(subject.model)`"
    for pair in bench.pairings[:2]:
        given = bench.subject(pair)
        before = {name: value.clone() for name, value in given.model.state_dict().items()}
        try:
            bench.analysis().measure(given)
        except NotApplicable:
            continue
        after = given.model.state_dict()
        for name, value in before.items():
            if value.dtype != after[name].dtype or not torch.equal(value, after[name]):
                yield Mistake(f"{name} of {pair} has changed", change)
        if given.model.training or any(p.requires_grad for p in given.model.parameters()):
            yield Mistake("the network was left in training mode, or tracks", change)


def findings_can_be_stored(bench: Bench) -> Steps:
    """Tables and arrays come back from the store as they went in; arrays are not infinite."""
    yield "wrote the findings as the store does and read them back"
    for _, findings in _findings(bench):
        json.dumps(dict(findings.scalars))
        again = unpack(pack(findings.tables, findings.arrays))
        for name, array in findings.arrays.items():
            if not np.array_equal(again.arrays[name], array, equal_nan=array.dtype.kind in "fc"):
                yield Mistake(f"array '{name}' came back changed", "use float64 or int64")
            if array.dtype.kind in "fc" and np.isinf(array).any():
                yield Mistake(f"array '{name}' holds infinity", "write NaN instead")
        for name, table in findings.tables.items():
            numbers = table.select_dtypes("number")
            if numbers.shape[1] and np.isinf(numbers.to_numpy(dtype=complex)).any():
                yield Mistake(f"table '{name}' holds infinity", "write NaN instead")


def drawings_draw(bench: AnalysisBench) -> Steps:
    """Every drawing draws from findings that come from the store, for a page and for a figure."""
    if not bench.cls.drawings:
        yield Skip("it has no drawings")
    from matplotlib.figure import Figure

    from emtkit.report.figures.plotted import plot_drawing
    from emtkit.report.page.plots import drawing_data

    yield f"drew {', '.join(bench.cls.drawings)} from stored findings"
    for pair, findings in _findings(bench):
        again = unpack(pack(findings.tables, findings.arrays))
        stored = Findings(findings.scalars, again.tables, again.arrays, findings.reasons)
        for name, draw in bench.cls.drawings.items():
            try:
                drawn = draw(stored)
            except NotApplicable:
                continue
            if not isinstance(drawn, Drawing):
                found = f"'{name}' of {pair} gave a {type(drawn).__name__}, which is not a Drawing"
                yield Mistake(found, "return `Drawing([Plot([Line(x, y)])])`")
                continue
            plot_drawing(drawn, Figure())
            json.dumps(drawing_data(drawn), allow_nan=False)


def scalars_are_declared(bench: Bench) -> Steps:
    """`scalars` says what every scalar means, so that a plan knows the columns."""
    yield "looked for every scalar in `scalars`, by default and one parameter changed at a time"
    change = 'write `scalars = {"radius": ScalarInfo("largest modulus of the eigenvalues")}`'
    usual = small_parameters(bench.cls)
    cases = [(pair, usual) for pair in bench.pairings]
    changed = values.one_by_one(bench.cls, usual, Random(1), 8)
    cases += [(pair, given) for given in changed for pair in bench.pairings[:2]]
    for name in sorted({name for case in cases for name in _scalars(bench, *case)}):
        if info_of(bench.cls.scalars, name) is None:
            yield Mistake(f"the scalar '{name}' is not declared", change)


def conditions_are_scalars(bench: AnalysisBench) -> Steps:
    """What `conditions` names, on both sides, are scalars that some setting of it finds."""
    missing = {*bench.cls.conditions, *chain.from_iterable(bench.cls.conditions.values())}
    if not missing:
        yield Skip("it declares no `conditions` (scalars under which others were measured)")
    yield "looked for the scalars of `conditions`, by default and one parameter changed at a time"
    usual = small_parameters(bench.cls)
    for given in (usual, *values.one_by_one(bench.cls, usual, Random(1), 8)):
        for pair in bench.pairings:
            missing -= _scalars(bench, pair, given)
        if not missing:
            return
    found = f"there is no scalar {', '.join(sorted(missing))}"
    yield Mistake(found, "write the names as `measure` does")


def answers_on_its_controls(bench: AnalysisBench) -> Steps:
    """Networks with a known answer get that answer."""
    if not bench.cls.controls:
        yield Skip("it declares no `controls` (networks with a known answer)")
    yield f"measured {len(bench.cls.controls)} networks with a known answer"
    for control in bench.cls.controls:
        if wrong := _control_mistake(bench, control):
            yield Mistake(wrong, "mend the analysis, or the control if theory says something else")


ANALYSIS_GATES: tuple[Callable[[AnalysisBench], Steps], ...] = (
    builds_with_defaults,
    finds_a_network,
    measures_untrained_networks,
)
ANALYSIS_RULES: tuple[Callable[[AnalysisBench], Steps], ...] = (
    builds_with_random_parameters,
    equal_subjects_equal_findings,
    many_equal_one,
    no_global_randomness,
    leaves_the_network_alone,
    findings_can_be_stored,
    drawings_draw,
    scalars_are_declared,
    conditions_are_scalars,
    answers_on_its_controls,
)


def _findings(bench: Bench) -> Iterator[tuple[Pairing, Findings]]:
    """What it finds in each network to which it applies."""
    for pair in bench.pairings:
        with suppress(NotApplicable):
            yield pair, bench.analysis().measure(bench.subject(pair))


def _scalars(bench: Bench, pair: Pairing, given: Mapping[str, Any]) -> set[str]:
    """The names of the scalars found with parameters `given`; none where it raises."""
    with suppress(Exception):  # which is for other rules to name
        return set(bench.analysis(given).measure(bench.subject(pair)).scalars)
    return set()


def _measured(bench: Bench, pair: Pairing, analysis: Any = None) -> str:
    """Everything that is said of a network, as text that is equal for equal bits."""
    try:
        findings = (analysis or bench.analysis()).measure(bench.subject(pair))
    except NotApplicable as reason:
        return f"not applicable: {reason}"
    return _text(findings)


def _subject(bench: AnalysisBench, pair: Pairing, network: SequenceModel) -> Subject:
    return subject(bench.cls, pair, network)


def _text(findings: Findings) -> str:
    tables = {k: t.to_json(double_precision=15) for k, t in findings.tables.items() if _real(t)}
    arrays = {name: array.tobytes().hex() for name, array in findings.arrays.items()}
    return repr((dict(findings.scalars), tables, arrays, dict(findings.reasons)))


def _real(table: pd.DataFrame) -> bool:
    return not any(np.iscomplexobj(table[column]) for column in table.columns)


def _control_mistake(bench: AnalysisBench, control: Control) -> str | None:
    registry = bench.company.registry
    case = build_case(registry.tasks[control.task["use"]], _rest(control.task))
    cls = registry.architectures[control.architecture["use"]]
    if case is None:
        return f"the task {dict(control.task)} refuses these parameters"
    pair = Pairing(case, cls, resolved(cls, _rest(control.architecture)))
    if reason := why_not(cls, case, pair.parameters):
        return f"{pair}: {reason}"
    try:
        findings = bench.analysis().measure(subject(bench.cls, pair, pair.network()))
    except NotApplicable as reason_:
        return f"{pair}: not applicable: {reason_}"
    value = findings.scalars.get(control.scalar)
    measured = f"{pair}: {control.scalar} = {value!r}"
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return f"{measured} ({findings.reasons.get(control.scalar, 'no such scalar')})"
    if control.equals is not None and value != control.equals:
        return f"{measured}, expected {control.equals!r}"
    if control.least is not None and float(value) < control.least:
        return f"{measured}, expected {control.least} or more"
    if control.most is not None and float(value) > control.most:
        return f"{measured}, expected {control.most} or less"
    return None


def _rest(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "use"}
