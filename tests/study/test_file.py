"""Every kind of mistake in a study file: its place, what is wrong, what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emtkit.errors import PluginError, StudyError, did_you_mean
from emtkit.plugin.registry import Registry
from emtkit.study.document import parse_document
from emtkit.study.math_text import math_mistake
from emtkit.study.plan import Plan, plan_study
from emtkit.study.settings import Training
from tests.study.fakes import registry

REGISTRY = registry()

WHOLE = """\
question: Does it?
seeds: {first: 4, count: 2}
training: {steps: 6, batch: 8, lr: 3e-2, schedule: {kind: cosine, from: 0.5}, snapshots: [3]}
evaluation: {sequences: 16, at: [5]}
tasks:
  - use: echo
    grid: {delay: [3, 5], density: [1.0, 0.5]}
  - recall
architectures:
  - {use: plain, hidden: 2}
  - {use: plain, hidden: 3, label: wide}
  - attend
  - exact
analyses: [delays, {use: radius, at: snapshots}, {use: radius, of: jacobian, label: local}]
exclude: [{tasks: {delay: 5}, architectures: {use: attend}}]
tables:
  - {name: losses, rows: [task, architecture, task.delay], columns: task.density,
     values: [test.loss, {value: local.radius, stat: best, by: test.loss, format: .3f}]}
figures:
  - {name: radius, use: line, x: task.density, y: local.radius, hue: architecture,
     facet: task.delay, where: {task: echo}}
  - {name: curve, use: delays.curve, cells: {select: best, by: test.loss}}
claims:
  - {id: falls, text: It falls., source: abstract,
     expect: {value: radius.radius, where: {task.density: 0.5, iteration: 3},
              below: {where: {task.density: 1, iteration: 3}}}}
"""


def planned(text: str, folder: Path) -> Plan:
    path = folder / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return plan_study(path, REGISTRY)


def told(text: str, folder: Path) -> list[str]:
    with pytest.raises(StudyError) as caught:
        planned(text, folder)
    assert caught.value.exit_code == 2
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def test_a_whole_study_is_read(tmp_path: Path):
    study = planned(WHOLE, tmp_path).study
    assert (study.name, study.question) == ("s", "Does it?")
    (grid,) = study.grids
    assert list(grid.seeds) == [4, 5]
    assert [entry.label for entry in grid.architectures] == ["plain", "wide", "attend", "exact"]
    assert [entry.at for entry in grid.analyses] == ["end", "snapshots", "end"]
    assert [table.name for table in study.tables.values()] == ["losses"]
    assert [figure.name for figure in study.figures.values()] == ["radius", "curve"]
    assert [claim.id for claim in study.claims.values()] == ["falls"]


def test_two_lines_are_a_study(tmp_path: Path):
    plan = planned("tasks: [echo]\narchitectures: [plain]\n", tmp_path)
    assert len(plan.rows) == 1
    assert plan.rows[0].cell.seed == 0


BASE = "tasks: [echo]\narchitectures: [plain]\n"
AXES = "tasks: [{use: echo, grid: {delay: [3, 5]}}]\narchitectures: [plain]\n"

MISTAKES = {
    "unknown key": (BASE + "tabels: []\n", "s.yaml:3:1 tabels: unknown key 'tabels'", "'tables'"),
    "unknown task": (
        "tasks: [ecko]\narchitectures: [plain]",
        "s.yaml:1:9 tasks[0].use: unknown task 'ecko'",
        "did you mean 'echo'? allowed: echo, recall",
    ),
    "file in place of an architecture": (
        "tasks: [echo]\narchitectures:\n  - {use: file, path: mine.pt}\n",
        "s.yaml:3:11 architectures[0].use: unknown architecture 'file'",
        "a network from a file names both: {use: gru, checkpoint: mine.pt}",
    ),
    "unknown architecture": (
        "tasks: [echo]\narchitectures:\n  - use: plane\n",
        "s.yaml:3:10 architectures[0].use: unknown architecture 'plane'",
        "did you mean 'plain'?",
    ),
    "unknown analysis": (
        BASE + "analyses: [{use: radios}]",
        "s.yaml:3:18 analyses[0].use: unknown analysis 'radios'",
        "did you mean 'radius'?",
    ),
    "unknown parameter": (
        "tasks: [{use: echo, densty: 0.5}]\narchitectures: [plain]",
        "s.yaml:1:21 tasks[0].densty: echo has no parameter 'densty'",
        "did you mean 'density'? allowed: amplitude, delay, density, weights",
    ),
    "unknown parameter on an axis": (
        "tasks: [{use: echo, grid: {densty: [0.5]}}]\narchitectures: [plain]",
        "s.yaml:1:28 tasks[0].grid.densty: echo has no parameter 'densty'",
        "did you mean 'density'?",
    ),
    "wrong type": (
        "tasks: [echo]\narchitectures: [{use: plain, hidden: true}]",
        "s.yaml:2:38 architectures[0].hidden: plain.hidden = true: Input should be a valid integer",
        "'hidden' is int, at least 1",
    ),
    "number in quotes": (
        "tasks: [{use: echo, delay: '3'}]\narchitectures: [plain]",
        's.yaml:1:28 tasks[0].delay: echo.delay = "3"',
        "'delay' is",
    ),
    "out of range": (
        "tasks: [{use: echo, grid: {delay: [3, -5]}}]\narchitectures: [plain]",
        "s.yaml:1:39 tasks[0].grid.delay[1]: echo.delay = -5: Input should be greater than or",
        "'delay' is",
    ),
    "wrong word": (
        "tasks: [{use: echo, amplitude: loud}]\narchitectures: [plain]",
        's.yaml:1:32 tasks[0].amplitude: echo.amplitude = "loud"',
        "'uniform' or 'constant'",
    ),
    "refused by its constructor": (
        "tasks: [{use: echo, amplitude: constant}]\narchitectures: [plain]",
        "s.yaml:1:9 tasks[0]: echo refuses its parameters: constant amplitude with density 1",
        "change them",
    ),
    "duplicate key": (BASE + "tasks: [recall]", "s.yaml:3:1 tasks: the key 'tasks' appears", "1:1"),
    "missing tasks": (
        "architectures: [plain]",
        "s.yaml:1:1: 'tasks' is missing",
        "write for instance `tasks: [name]`",
    ),
    "no list": ("tasks: echo\narchitectures: [plain]", 's.yaml:1:8 tasks: "echo" is no', "[name]"),
    "empty list": ("tasks: []\narchitectures: [plain]", "s.yaml:1:8 tasks: [] is not a list", "["),
    "no mapping": (
        "[echo, plain]",
        "s.yaml:1:1: the study is not a mapping",
        "its keys are question",
    ),
    "missing use": (
        "tasks: [{delay: 3}]\narchitectures: [plain]",
        "s.yaml:1:9 tasks[0].use: 'use' is missing",
        "`use` names the plugin",
    ),
    "empty grid": (
        "tasks: [{use: echo, grid: {}}]\narchitectures: [plain]",
        "s.yaml:1:27 tasks[0].grid: {} does not name an axis",
        "parameter: [value, value]",
    ),
    "empty axis": (
        "tasks: [{use: echo, grid: {delay: []}}]\narchitectures: [plain]",
        "s.yaml:1:35 tasks[0].grid.delay: the axis 'delay' is empty",
        "at least one value",
    ),
    "axis no list": (
        "tasks: [{use: echo, grid: {delay: 3}}]\narchitectures: [plain]",
        "s.yaml:1:35 tasks[0].grid.delay: 3 is not a list",
        "write a list, `delay: [3]`",
    ),
    "value twice on an axis": (
        "tasks: [{use: echo, grid: {density: [1, 0.5, 1.0]}}]\narchitectures: [plain]",
        "s.yaml:1:46 tasks[0].grid.density[2]: the value 1.0 appears twice",
        "keep one",
    ),
    "fixed and on an axis": (
        "tasks: [{use: echo, delay: 2, grid: {delay: [3, 4]}}]\narchitectures: [plain]",
        "s.yaml:1:38 tasks[0].grid.delay: the parameter 'delay' appears twice",
        "it appears first at s.yaml:1:21",
    ),
    "zip of unequal lengths": (
        "tasks: [{use: echo, zip: {delay: [3, 5], density: [0.5]}}]\narchitectures: [plain]",
        "s.yaml:1:26 tasks[0].zip: `zip` has lists of unequal length: delay has 2, density has 1",
        "use `grid` to cross them",
    ),
    "exclude removes nothing": (
        BASE + "exclude: [{tasks: {delay: 4}}]",
        "s.yaml:3:11 exclude[0]: this rule excludes nothing: tasks.delay=4",
        "no combination meets all its conditions",
    ),
    "exclude by an unknown parameter": (
        BASE + "exclude: [{tasks: {dealy: 3}}]",
        "s.yaml:3:11 exclude[0]: this rule excludes nothing: tasks.dealy=3",
        "did you mean 'delay'?",
    ),
    "exclude removes all": (
        BASE + "exclude: [{tasks: echo}]",
        "s.yaml:3:10 exclude: nothing is left to plan",
        "loosen the rules",
    ),
    "exclude by an unknown family": (
        BASE + "exclude: [{task: echo}]",
        "s.yaml:3:12 exclude[0].task: unknown key 'task'",
        "did you mean 'tasks'?",
    ),
    "reserved label": (
        BASE + "analyses: [{use: radius, label: test}]",
        "s.yaml:3:33 analyses[0].label: the label 'test' is reserved",
        "these words name columns",
    ),
    "label with a dot": (
        BASE + "analyses: [{use: radius, label: a.b}]",
        's.yaml:3:33 analyses[0].label: "a.b" cannot label an analysis',
        "letters, digits",
    ),
    "duplicate label": (
        "tasks: [echo]\narchitectures:\n  - plain\n  - {use: plain, hidden: 3}\n",
        "s.yaml:4:5 architectures[1]: the label 'plain' appears twice",
        "it appears first at s.yaml:3:5; give one of them its own `label`",
    ),
    "an analysis with axes": (
        BASE + "analyses: [{use: radius, grid: {of: [recurrent]}}]",
        "s.yaml:3:26 analyses[0].grid: an analysis has no `grid`",
        "one entry for each setting",
    ),
    "at in a task": (
        "tasks: [{use: echo, at: end}]\narchitectures: [plain]",
        "s.yaml:1:21 tasks[0].at: `at` belongs to analyses",
        "remove it",
    ),
    "unknown at": (
        BASE + "analyses: [{use: radius, at: always}]",
        's.yaml:3:30 analyses[0].at: at: "always" is unknown',
        "allowed: end, snapshots",
    ),
    "snapshots without any": (
        BASE + "analyses: [{use: radius, at: snapshots}]",
        "s.yaml:3:30 analyses[0].at: 'radius' measures snapshots, and training takes none",
        "training: {snapshots: [100, 200]}",
    ),
    "unknown training key": (
        BASE + "training: {stepps: 3}",
        "s.yaml:3:12 training.stepps: unknown key 'stepps'",
        "did you mean 'steps'?",
    ),
    "training out of range": (
        BASE + "training: {schedule: {kind: cosine, from: 2}}",
        "s.yaml:3:43 training.schedule.from: 2 is wrong: it should be less than or equal to 1",
        "",
    ),
    "training axis out of range": (
        BASE + "training: {grid: {lr: [0.1, -1]}}",
        "s.yaml:3:29 training.grid.lr[1]: -1 is wrong: it should be greater than 0",
        "",
    ),
    "unknown kind of schedule": (
        BASE + "training: {schedule: {kind: cosin}}",
        's.yaml:3:22 training.schedule: {"kind": "cosin"} is wrong: it needs a known `kind`',
        "did you mean 'cosine'? allowed: constant, cosine, step",
    ),
    "unknown name of an optimiser": (
        BASE + "training: {optimizer: rmsprob}",
        's.yaml:3:23 training.optimizer: "rmsprob" is wrong: it should be ',
        "did you mean 'rmsprop'? allowed: adam, adamw, muon, rmsprop, sgd",
    ),
    "name of a schedule that needs options": (
        BASE + "training: {schedule: step}",
        's.yaml:3:22 training.schedule: "step" is wrong: it should be ',
        "or a mapping {kind: constant | cosine | step, ...}",
    ),
    "unknown option of an optimiser": (
        BASE + "training: {optimizer: {kind: sgd, momentun: 0.9}}",
        "s.yaml:3:35 training.optimizer.momentun: unknown key 'momentun'",
        "did you mean 'momentum'?",
    ),
    "nesterov without momentum": (
        BASE + "training: {optimizer: {kind: sgd, nesterov: true}}",
        "s.yaml:3:23 training.optimizer: `nesterov` needs a `momentum` above 0",
        "",
    ),
    "stop on both sides": (
        BASE + "training: {stop: {below: 1, above: 2}}",
        "s.yaml:3:18 training.stop: `stop` needs `below` or `above`, one of them",
        "above: 0.99",
    ),
    "snapshot beyond training": (
        BASE + "training: {steps: 5, snapshots: [2, 6]}",
        "s.yaml:3:37 training.snapshots[1]: the snapshot at 6 lies beyond the 5 steps",
        "earlier",
    ),
    "curriculum without horizons": (
        BASE + "training: {curriculum: {kind: loss_gated}}",
        "s.yaml:3:24 training.curriculum: a curriculum lengthens horizons, and the task 'echo'",
        "a grid of its own",
    ),
    "curriculum beyond its max": (
        "tasks: [recall]\narchitectures: [plain]\n"
        "training: {curriculum: {kind: loss_gated, start: 9, max: 5}}",
        "s.yaml:3:24 training.curriculum: the curriculum starts at 9 outputs, beyond its max of 5",
        "`start` is at most `max`",
    ),
    "evaluation": (
        BASE + "evaluation: {sequences: 0}",
        "s.yaml:3:25 evaluation.sequences: 0 is wrong: it should be greater than or equal to 1",
        "",
    ),
    "seeds": (BASE + "seeds: 1.5", "s.yaml:3:8 seeds: 1.5 is not a number of seeds", "seeds: 16"),
    "too many": (
        BASE + "seeds: 1000000000",
        "s.yaml:1:1: the grid 'main' asks for 1,000,000,000 networks",
        "at most 200,000",
    ),
    "plugin file": (
        BASE + "plugins: [./none.py]",
        's.yaml:3:11 plugins[0]: the plugin file "./none.py" does not exist',
        "relative to the study's folder",
    ),
    "grids without a name": (
        BASE + "grids: [{seeds: 2}]",
        "s.yaml:3:9 grids[0].name: a grid needs a `name`",
        "a name is text",
    ),
    "two grids of one name": (
        BASE + "grids: [{name: a}, {name: a, seeds: 3}]",
        "s.yaml:3:27 grids[1].name: the grid 'a' appears twice",
        "rename",
    ),
    "unknown key in a grid": (
        BASE + "grids: [{name: a, tables: []}]",
        "s.yaml:3:19 grids[0].tables: unknown key 'tables'",
        "allowed: analyses",
    ),
    "label of two meanings": (
        BASE + "grids:\n- {name: a, analyses: [{use: radius, label: x}]}\n"
        "- {name: b, analyses: [{use: delays, label: x}]}",
        "s.yaml:5:24 grids[1].analyses[0]: the label 'x' means 'radius' elsewhere",
        "give one of them",
    ),
    "table misses an axis": (
        AXES + "tables: [{name: t, rows: [architecture], values: [test.loss]}]",
        "s.yaml:3:10 tables[0]: 'task.delay' varies, and the table 't' does not say",
        "put it into rows, columns, where or over",
    ),
    "table misses the seed": (
        BASE + "seeds: 2\ntables: [{name: t, rows: [task], over: [], values: [test.loss]}]",
        "s.yaml:4:10 tables[0]: 'seed' varies",
        "put it into",
    ),
    "table with an unknown axis": (
        BASE + "tables: [{name: t, rows: [task, architecure], values: [test.loss]}]",
        "s.yaml:3:33 tables[0].rows[1]: 'architecure' is not an axis",
        "did you mean 'architecture'?",
    ),
    "table with an unknown parameter": (
        BASE + "tables: [{name: t, rows: task.dealy, values: [test.loss]}]",
        "s.yaml:3:26 tables[0].rows[0]: no task has 'task.dealy'",
        "did you mean 'task.delay'?",
    ),
    "table of an unknown analysis": (
        BASE + "analyses: [radius]\ntables: [{name: t, rows: task, values: [radios.x]}]",
        "s.yaml:4:41 tables[0].values[0].value: there is no column 'radios.x'",
        "did you mean 'radius'?",
    ),
    "table of a value that is not there": (
        BASE + "tables: [{name: t, rows: task, values: [test.loss], where: {task.delay: [3, 4]}}]",
        "s.yaml:3:73 tables[0].where.task.delay: no network has task.delay = 4",
        "its values are 3",
    ),
    "two tables of one name": (
        BASE + "tables:\n- {name: t, rows: task, values: [test.loss]}\n"
        "- {name: t, rows: task, values: [test.loss]}",
        "s.yaml:4:10 tables[0].name: 't' names more than one of the tables",
        "a name of its own",
    ),
    "table with a wrong statistic": (
        BASE + "tables: [{name: t, rows: task, values: [{value: test.loss, stat: avg}]}]",
        "s.yaml:3:66 tables[0].values[0].stat: \"avg\" is wrong: it should be 'agreement', "
        "'auroc', 'best'",
        "",
    ),
    "table with a misspelt statistic": (
        BASE + "tables: [{name: t, rows: task, values: [{value: test.loss, stat: trimed}]}]",
        "s.yaml:3:66 tables[0].values[0].stat: \"trimed\" is wrong: it should be 'agreement', "
        "'auroc', 'best'",
        "did you mean 'trimmed'?",
    ),
    "figure of a misspelt kind": (
        BASE + "figures: [{name: f, use: heatmpa, x: task, y: test.loss}]",
        "s.yaml:3:11 figures[0]: `use` is a kind of figure or <analysis label>.<drawing>",
        "did you mean 'heatmap'?",
    ),
    "figure misses an axis": (
        AXES + "figures: [{name: f, use: line, x: architecture, y: test.loss}]",
        "s.yaml:3:11 figures[0]: 'task.delay' varies, and the figure 'f' does not say",
        "put it into x, hue, facet, where or over",
    ),
    "figure by an unknown drawing": (
        BASE + "analyses: [delays]\nfigures: [{name: f, use: delays.curv}]",
        "s.yaml:4:26 figures[0].use: 'delays' has no drawing 'curv'",
        "did you mean 'curve'?",
    ),
    "claim with two sides": (
        BASE + "claims: [{id: c, text: x, expect: {value: test.loss, below: 1, above: 0}}]",
        "s.yaml:3:35 claims[0].expect: give exactly one of `below`, `above`, `equals`",
        "",
    ),
    "claim about an unknown column": (
        BASE + "claims: [{id: c, text: x, expect: {value: loss, below: 1}}]",
        "s.yaml:3:43 claims[0].expect.value: there is no column 'loss'",
        "allowed: grid, task",
    ),
    "claim compared with nothing": (
        BASE + "claims: [{id: c, text: x, expect: {value: test.loss, below: {wher: {}}}}]",
        "s.yaml:3:62 claims[0].expect.below.wher: unknown key 'wher'",
        "did you mean 'where'?",
    ),
    "formula in a title": (
        BASE + "figures:\n - {name: f, use: line, x: seed, y: test.loss, title: 'Loss $\\rhoo$'}",
        r's.yaml:4:55 figures[0].title: "Loss $\\rhoo$" cannot be drawn: Unknown symbol: \rhoo',
        "a formula is between two `$`",
    ),
    "formula in a label": (
        BASE + "figures: [{name: f, use: line, x: seed, y: test.loss, labels: {seed: $$}}]",
        's.yaml:3:70 figures[0].labels.seed: "$$" cannot be drawn',
        r"a dollar sign is `\$`",
    ),
    "horizon without end": (
        BASE + "evaluation: {horizon: 100000000}",
        "s.yaml:3:23 evaluation.horizon: 100000000 is wrong",
        "",
    ),
    "claim without an expectation": (
        BASE + "claims: [{id: c, text: x}]",
        "s.yaml:3:10 claims[0]: 'expect' is missing",
        "allowed keys: control, expect, given, id, match, positive, source, text",
    ),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_has_place_text_and_hint(kind: str, tmp_path: Path):
    text, head, hint = MISTAKES[kind]
    found = told(text, tmp_path)
    assert found[0].startswith(head)
    assert hint in found[0].removeprefix(head)


@pytest.mark.parametrize(
    "kind", [kind for kind in MISTAKES if kind not in {"two tables of one name", "no list"}]
)
def test_one_mistake_is_told_once(kind: str, tmp_path: Path):
    assert len(told(MISTAKES[kind][0], tmp_path)) == 1


def test_five_mistakes_are_told_at_once(tmp_path: Path):
    text = """\
question: Five mistakes in one file
seeds: many
tasks:
  - {use: ecko, delay: 3}
  - {use: echo, label: two, densty: 0.5}
architectures:
  - {use: plain, hidden: 0}
tables:
  - {name: t, rows: [architecture], values: [{value: test.loss, stat: bets}]}
"""
    found = told(text, tmp_path)
    assert [problem.split()[0] for problem in found] == [
        "s.yaml:2:8",
        "s.yaml:4:11",
        "s.yaml:5:29",
        "s.yaml:7:26",
        "s.yaml:9:71",
    ]


def test_broken_modules_are_quoted_when_a_name_is_unknown(tmp_path: Path):
    loose = tmp_path / "mine.py"
    loose.write_text("import nothing_like_this\n")
    path = tmp_path / "s.yaml"
    path.write_text("plugins: [./mine.py]\ntasks: [mine]\narchitectures: [plain]\n")
    with pytest.raises(PluginError, match=r"mine\.py does not load") as caught:
        plan_study(path)
    assert "could not be loaded" in str(caught.value)
    assert "No module named 'nothing_like_this'" in str(caught.value)


def test_a_bug_in_a_plugin_is_no_mistake_of_the_study(tmp_path: Path):
    loose = tmp_path / "mine.py"
    loose.write_text(
        "from emtkit import hookimpl\nfrom tests.study.fakes import Echo\n"
        "class Mine(Echo):\n"
        "    '''Broken.'''\n"
        "    name = 'mine'\n"
        "    def __init__(self, *, delay: int = 3) -> None:\n"
        "        raise KeyError('oops')\n"
        "@hookimpl\ndef emtkit_tasks():\n    return [Mine]\n"
    )
    path = tmp_path / "s.yaml"
    path.write_text("plugins: [./mine.py]\ntasks: [mine]\narchitectures: [exact]\n")

    own = Registry.installed([loose])
    both = Registry([*own.all(), *(p for p in REGISTRY.all() if p.name == "exact")])
    with pytest.raises(
        PluginError, match=r"task 'mine' of .*mine.py could not be built \(KeyError"
    ):
        plan_study(path, both)


def rows_or_problems(study: str | dict[str, object]) -> tuple[object, ...]:
    """The rows of the plan, else the problems; anything else that is raised is a bug."""
    try:
        whole = study if isinstance(study, dict) else parse_document(study.encode(), "s").value
        return plan_study(whole, REGISTRY).rows if isinstance(whole, dict) else ("no mapping",)
    except StudyError as error:
        return error.problems


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_a_mutated_study_is_planned_or_refused(data: st.DataObject):
    text = WHOLE
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 12))
        put = data.draw(
            st.one_of(
                st.text(st.sampled_from("aε:-[]{},'\"&*!#|? \n\t019.e~"), max_size=6),
                st.sampled_from(["null", "true", "1e9", "-1", "[]", "{}", "use", "grid", "zip"]),
            )
        )
        text = text[:start] + put + text[start + cut :]

    assert rows_or_problems(text)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["echo", "plain", "radius", "seed", "task.delay"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "use",
                    "grid",
                    "zip",
                    "label",
                    "at",
                    "name",
                    "rows",
                    "values",
                    "where",
                    "tasks",
                    "expect",
                    "id",
                    "text",
                    "below",
                    "kind",
                    "steps",
                    "lr",
                    "delay",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        "question",
        "plugins",
        "grids",
        "tables",
        "figures",
        "claims",
        "tasks",
        "architectures",
        "analyses",
        "training",
        "evaluation",
        "seeds",
        "exclude",
    ]
)


@settings(max_examples=120, deadline=None)
@given(st.dictionaries(KEYS, JSON, max_size=4))
def test_any_value_under_any_key_is_planned_or_refused(part: dict[str, object]):
    study = {"tasks": ["echo"], "architectures": ["plain"], **part}
    assert rows_or_problems(study)


def test_formulas_that_can_be_drawn_are_accepted():
    for text in ("", "$", "5 $", r"5 \$ and 6 \$", r"$\lambda_1$ against $\rho$", "no formula"):
        assert math_mistake(text) is None
    for text in (r"$\rhoo$", "$$", r"$\frac{a$", r"a $ b \frac $ c", "$" + "{" * 2000 + "$"):
        assert math_mistake(text)


def test_seeds_may_be_listed(tmp_path: Path):
    plan = planned(BASE + "seeds: [7, 3, 2147483647]", tmp_path)
    assert sorted({row.cell.seed for row in plan.rows}) == [3, 7, 2**31 - 1]
    for wrong in ("[]", "[1, 1]", "[1, true]", "[1.5]", "['1']"):
        assert "nor a list of them" in told(BASE + f"seeds: {wrong}", tmp_path)[0]
    for outside in ("[-1, 2]", "[4294967295]", "{first: 4294967290, count: 100}"):
        assert "leave 0 ... 2^32 - 2" in told(BASE + f"seeds: {outside}", tmp_path)[0]


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("learning_rate", "lr"),
        ("epochs", "steps"),
        ("optimiser", "optimizer"),
        ("L2", "weight_decay"),
    ],
)
def test_the_word_of_another_tool_hints_at_ours(key: str, meant: str):
    assert did_you_mean(key, Training.model_fields).startswith(f"did you mean '{meant}'?")
