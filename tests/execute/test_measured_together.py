"""Networks of one setting are measured together; whoever cannot be is measured alone."""

from __future__ import annotations

import pytest
import torch

from emtkit import Analysis, Findings, NotApplicable, Registry, Subject
from emtkit.execute.monitor import Quiet
from emtkit.execute.run import Options, run
from emtkit.store.store import Store
from emtkit.study.cells import Measure, PluginConfig, Row, evaluation_spec, finding_key
from emtkit.study.settings import Evaluation
from tests.inline_engine import InlineEngine
from tests.train import fakes

TOGETHER: list[int] = []


def first_weight(subject: Subject) -> float:
    return float(subject.model.get_parameter("W_hh")[0, 0])


class Weight(Analysis):
    """W_hh[0, 0], of any number of networks."""

    name = "weight"

    def measure(self, subject: Subject) -> Findings:
        return Findings({"weight": first_weight(subject)})

    def measure_many(self, subjects):
        TOGETHER.append(len(subjects))
        return [self.measure(subject) for subject in subjects]


class Choosy(Weight):
    """The same, but not of every network, and never of many of which it refuses one."""

    name = "choosy"

    def measure(self, subject: Subject) -> Findings:
        if first_weight(subject) > 0:
            raise NotApplicable("the first weight is positive")
        return super().measure(subject)

    measure_many = Weight.measure_many


class Forgetful(Weight):
    """Says nothing of the last network."""

    name = "forgetful"

    def measure(self, subject: Subject) -> Findings:
        return super().measure(subject)

    def measure_many(self, subjects):
        return super().measure_many(subjects)[:-1]


class Alone(Weight):
    """Knows only one network."""

    name = "alone"

    def measure(self, subject: Subject) -> Findings:
        return super().measure(subject)


class Rude(Alone):
    """Changes its process for some networks."""

    name = "rude"

    def measure(self, subject: Subject) -> Findings:
        if first_weight(subject) > 0:
            torch.set_default_dtype(torch.float64)
        return super().measure(subject)


def found(path, analysis: type[Analysis]) -> dict[str, list[str | float]]:
    """The statuses, and the numbers, of three networks on each of two tasks."""
    registry = Registry.of(fakes.Repeat, fakes.Tanh, analysis)
    chosen, rows = PluginConfig(analysis.name, 1, {}), []
    for seed in range(3):
        for gain in (1.0, 0.5):
            cell = fakes.cell(seed, task={"gain": gain}, steps=1)
            key = finding_key(cell.key, chosen, "end", ())
            spec = evaluation_spec(cell.key, Evaluation(sequences=4), 8, 4)
            measure = Measure(key, "it", chosen, "end", ())
            rows.append(Row("", "repeat_fake", "tanh_fake", cell, spec, (measure,)))
    with Store.open(path / f"{analysis.name}.sqlite", writer=True) as store:
        run(rows, registry, store, InlineEngine(registry), Quiet(), Options())
        keys = [row.measures[0].key for row in rows]
        known = store.findings_of(keys)
        weights = [store.weights(row.cell.key) for row in rows]
    told = [known[key] for key in keys]
    assert len(set(weights)) == 6
    return {
        "status": [one.status for one in told],
        "weight": [one.scalars.get("weight", 0.0) for one in told],
        "error": [one.error for one in told],
    }


@pytest.fixture
def weights(tmp_path):
    return found(tmp_path, Alone)["weight"]


def test_those_of_one_task_are_measured_together(tmp_path, weights):
    TOGETHER.clear()
    assert found(tmp_path, Weight)["weight"] == weights
    assert TOGETHER == [3, 3]


def test_what_does_not_apply_to_one_is_not_said_of_the_others(tmp_path, weights):
    told = found(tmp_path, Choosy)
    assert {"done", "not_applicable"} == set(told["status"])
    wanted = [0.0 if own > 0 else own for own in weights]
    assert told["weight"] == wanted
    assert told["error"] == ["" if own else "the first weight is positive" for own in wanted]


def test_findings_that_are_left_out_are_made_alone(tmp_path, weights):
    told = found(tmp_path, Forgetful)
    assert told["weight"] == weights
    assert set(told["status"]) == {"done"}


def test_a_changed_process_is_the_failure_of_the_network_that_changed_it(tmp_path, weights):
    told = found(tmp_path, Rude)
    assert told["status"] == ["failed" if own > 0 else "done" for own in weights]
    for own, error in zip(weights, told["error"], strict=True):
        assert ("torch's default dtype" in error) == (own > 0)
    assert torch.get_default_dtype() == torch.float32


def test_who_measures_anew_does_not_inherit_how_many_are_measured():
    assert Alone.measure_many is Analysis.measure_many
    assert Choosy.measure_many is Weight.measure_many
