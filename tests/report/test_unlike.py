"""What else differs between networks that are compared is named; what is compared is not."""

from __future__ import annotations

import pandas as pd
import pytest

from emtkit.report.data.results import Results
from emtkit.report.data.unlike import ALSO, ONE_SETTING, PARTLY_TUNED, one_setting, unlike
from emtkit.report.figures.figure import draw_figure
from emtkit.report.inference.claims import verdicts_of
from emtkit.report.tables.numbers import verdict_lines
from emtkit.report.tables.table import draw_table
from emtkit.study.views import Claim, Figure, Table
from tests.report.frames import NAN, frame


def networks(name, seeds=4, **settings):
    own = {"architecture": [name], "task.density": [1.0, 0.1]}
    made = frame(own, seeds, lambda axes, seed: {"a.x": axes["task.density"] + 0.01 * seed})
    return made.assign(**settings, cell=[f"{name}{place}" for place in range(len(made))])


def together(*frames):
    return Results(pd.concat(frames, ignore_index=True))


LIKE = {"training.steps": 600, "training.batch": 64, "task.scored": "last", "train.parameters": 9}
ALIKE = together(networks("ssm", **LIKE), networks("relu", **LIKE))
OTHER = {**LIKE, "training.steps": 1500, "task.scored": "all", "train.parameters": 12}
DIFFERING = together(networks("ssm", **LIKE), networks("relu", seeds=6, **OTHER))
TEXTS = [
    "training.steps (600 against 1500)",
    "task.scored (last against all)",
    "seeds (0-3 against 0-5)",
    "train.parameters (9 against 12)",
]

TABLE = Table.model_validate(
    {"name": "t", "rows": ["architecture", "task.density"], "values": ["a.x"]}
)


def sides(results):
    return list(results.groups(range(len(results)), ["architecture"]).values())


def test_settings_seeds_and_parameters_that_differ_are_named():
    assert unlike(ALIKE, sides(ALIKE), {"architecture"}) == []
    assert unlike(DIFFERING, sides(DIFFERING), {"architecture"}) == TEXTS
    named = unlike(DIFFERING, sides(DIFFERING), {"architecture", "training.steps", "seed"})
    assert named == [TEXTS[1], TEXTS[3]]


def test_a_constructed_network_has_no_training_to_differ_in():
    exact = networks("exact", seeds=1, **{**LIKE, "training.steps": NAN, "training.batch": NAN})
    both = together(networks("ssm", **LIKE), exact)
    assert unlike(both, sides(both), {"architecture"}) == []


def test_parameters_of_tasks_that_are_compared_are_theirs():
    first = networks("ssm", **LIKE).assign(task="k_delay")
    second = networks("ssm", **OTHER).assign(task="hds")
    both = together(first, second)
    by_task = list(both.groups(range(len(both)), ["task"]).values())
    found = unlike(both, by_task, {"task"})
    assert not any(text.startswith("task.") for text in found)
    assert found[0].startswith("training.steps")


def test_many_values_are_a_span():
    steps = [100, 200, 400, 800, 1600]
    many = together(*(networks(f"n{n}", **{**LIKE, "training.steps": n}) for n in steps))
    assert unlike(many, sides(many), {"architecture"}) == ["training.steps (100 to 1600)"]


@pytest.mark.parametrize(("results", "said"), [(ALIKE, False), (DIFFERING, True)])
def test_tables_figures_and_claims_say_it(results, said):
    remarks = draw_table(results, TABLE).remarks
    assert [one for one in remarks if one.startswith(ALSO)] == (
        [f"{ALSO} {', '.join(TEXTS)}"] if said else []
    )
    figure = {"name": "f", "use": "line", "x": "task.density", "y": "a.x", "hue": "architecture"}
    notes = draw_figure(results, Figure.model_validate(figure)).notes
    assert any(note.startswith(ALSO) for note in notes) == said
    expect = {
        "value": "a.x",
        "where": {"architecture": "ssm", "task.density": 0.1},
        "below": {"where": {"architecture": "relu"}},
    }
    claim = Claim.model_validate({"id": "c", "text": "It is.", "expect": expect})
    (verdict,) = verdicts_of(results, [claim])
    also = [f"the sides also differ in {', '.join(TEXTS)}"] if said else []
    assert list(verdict.remarks) == [*also, ONE_SETTING]
    assert ("the sides also differ in" in next(iter(verdict_lines([verdict])))) == said


def test_architectures_compared_at_one_setting_are_said_to_be():
    tuned = {**LIKE, "training.tried": 4}
    for mine, theirs, said in (
        ({}, {}, [ONE_SETTING]),
        (tuned, {}, [PARTLY_TUNED]),
        (tuned, tuned, []),
        ({"training.steps": 0}, {}, []),
    ):
        both = together(networks("ssm", **{**LIKE, **mine}), networks("relu", **{**LIKE, **theirs}))
        assert one_setting(both, sides(both)) == said
        assert (ONE_SETTING in draw_table(both, TABLE).remarks) == (said == [ONE_SETTING])
    assert one_setting(ALIKE, sides(ALIKE)[:1]) == []
    exact = networks("exact", seeds=1, **{**LIKE, "training.steps": NAN})
    both = together(networks("ssm", **LIKE), exact)
    assert one_setting(both, sides(both)) == []
