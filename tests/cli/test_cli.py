"""The command line as a user meets it: what it prints, what it refuses, and its exit codes."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT, Said

HEAVY = ("torch", "numpy", "pandas", "pydantic", "scipy", "matplotlib", "seaborn", "rich", "yaml")

MISTAKES = """\
question: What is wrong here?
seeds: -1
training: {steps: 10, batchh: 4}
tasks: [{use: k_delay, delay: three}]
architectures: [{use: relu_rn}]
analyses: [spectrum]
tables: [{name: t, rows: task.delay, valeus: [test.loss]}]
"""


def test_help_loads_nothing_heavy():
    code = (
        "import sys, click\n"
        "from emtkit.cli.main import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout
    for command in ("run", "plan", "watch", "compare", "table", "figure", "report", "cite"):
        assert command in done.stdout


def test_importing_emtkit_loads_nothing_heavy():
    code = f"import sys, emtkit; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_five_mistakes_are_told_at_once_with_their_places(terminal):
    (terminal.folder / "bad.yaml").write_text(MISTAKES)
    said = terminal.emtkit("run", "bad.yaml")
    assert said.code == 2
    for place, word in [
        ("bad.yaml:2:", "seeds"),
        ("bad.yaml:3:", "batchh"),
        ("bad.yaml:4:", "three"),
        ("bad.yaml:5:", "relu_rnn"),
        ("bad.yaml:7:", "valeus"),
    ]:
        (line,) = [one for one in said.err.splitlines() if one.startswith(place)]
        assert word in said.err[said.err.index(line) :]
    assert "Traceback" not in said.err
    assert not (terminal.folder / "results").exists()


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["run", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["run"], 2, "Missing argument"),
        (["runn"], 2, "No such command"),
        (["show", "k_dela"], 2, "did you mean 'k_delay'"),
        (
            ["table", "s.yaml", "--format", "markdwon"],
            2,
            "did you mean 'markdown'",
        ),
        (["compare", "s.yaml", "a", "b", "--stat", "medain"], 2, "did you mean 'median'"),
        (["watch", "smoke.yaml"], 4, "results/emtkit.sqlite"),
    ],
)
def test_mistakes_end_with_a_sentence_and_a_code(terminal, words, code, sentence):
    said = terminal.emtkit(*words)
    assert said.code == code
    assert sentence in said.err
    assert "Traceback" not in said.err


def test_a_run_prints_one_json_document(smoke):
    assert smoke.said.code == 0, smoke.said.err
    document = json.loads(smoke.said.out)
    assert document["study"] == "smoke"
    assert document["cells"]["done"] == document["cells"]["expected"] == 36
    assert {claim["verdict"] for claim in document["claims"]} == {"supported"}
    assert {claim["stated"] for claim in document["claims"]} == {"stated before results"}
    assert all(claim["controls"][0]["met"] is False for claim in document["claims"])
    assert (smoke.terminal.folder / document["report"]).exists()


def test_a_run_writes_an_event_per_change(smoke):
    lines = (smoke.terminal.folder / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["last"] for event in events] == [False] * (len(events) - 1) + [True]
    assert events[-1]["trained"] + events[-1]["stored"] == 36


def test_watch_shows_a_run_that_is_over(smoke):
    said = smoke.terminal.emtkit("watch", str(smoke.study))
    assert said.code == 0
    assert "36/36 cells" in said.err


def test_a_second_run_trains_nothing_and_checks_claims(smoke):
    said = smoke.terminal.emtkit("run", str(smoke.study), "--check-claims")
    assert said.code == 0
    assert "36 cells = 36 done + 0 failed + 0 lost + 0 not applicable" in said.out
    assert "supported     exact-is-exact" in said.out
    assert "(36 stored" in said.err


def test_findings_are_counted_as_cells_are(terminal):
    (terminal.folder / "two.yaml").write_text(
        "question: Which analyses apply?\nseeds: 2\ntraining: {steps: 0}\n"
        "tasks: [{use: k_delay, delay: 1}]\n"
        "architectures: [{use: linear_rnn, hidden: 2}, {use: attention}]\n"
        "analyses: [spectrum, history_decoding]\n"
    )
    said = terminal.emtkit("run", "two.yaml")
    assert "4 cells = 4 done + 0 failed + 0 lost + 0 not applicable" in said.out
    # Two networks have no spectrum; each of the four has its evaluation.
    assert (
        "12 findings = 10 done + 0 failed + 0 without a network + 2 not applicable" in said.out
    ), said.out


def test_a_refuted_claim_exits_with_5_where_that_is_asked(smoke):
    wrong = smoke.study.read_text("utf-8").replace("below: 0.05", "above: 1000")
    (smoke.terminal.folder / "refuted.yaml").write_text(wrong)
    said = smoke.terminal.emtkit("run", "refuted.yaml", "--check-claims")
    assert said.code == 5
    assert "not supported learns-one-step" in said.out
    assert "changed after results" not in said.out, "no earlier form of it is known"
    assert "stated after results" in said.out


NEVER_SOLVED = """\
question: Is anything solved in one step?
tasks: [{use: k_delay, delay: 2, steps: 4}]
architectures: [{use: linear_rnn, hidden: 2}]
training: {steps: 1, batch: 2, solved: {metric: loss, below: 1e-9, sequences: 2}}
seeds: 2
tune: {over: {lr: [1e-3, 1e-2]}, by: {metric: train.solved_at}, seeds: 1}
"""


def test_a_tuning_that_chooses_nothing_is_a_failure_that_says_so(terminal):
    (terminal.folder / "study.yaml").write_text(NEVER_SOLVED)
    sentence = (
        "tuned linear_rnn on k_delay, mean train.solved_at of 1 seed each: no setting has a value "
        "in every network, so nothing is chosen and 2 networks are not trained; tune by another "
        "metric, or try other settings (lr 0.001: "
    )
    for options in ((), ("-q",), ("--json",)):  # the second run finds all of it stored
        said = terminal.emtkit("run", "study.yaml", "-j", "1", *options)
        assert said.code == 1, said.err
        assert sentence in said.err
    (tuning,) = json.loads(said.out)["tunings"]
    assert tuning["chosen"] is None
    assert tuning["failure"].startswith(sentence)
    tried = NEVER_SOLVED.replace("train.solved_at", "test.loss")
    (terminal.folder / "study.yaml").write_text(tried)
    assert terminal.emtkit("run", "study.yaml", "-j", "1", "-q") == Said(0, "", "")


def test_tables_in_every_format(smoke):
    def table(form):
        said = smoke.terminal.emtkit("table", str(smoke.study), "losses", "--format", form)
        assert said.code == 0, said.err
        return said.out

    rows = list(csv.DictReader(io.StringIO(table("csv"))))
    assert len(rows) == 3 * 2 * 2
    assert {row["n"] for row in rows} == {"6"}
    assert table("markdown").count("\n|") == 2 + 6 - 1 + 1
    assert "\\toprule" in table("latex")
    assert "<table" in table("html")
    assert "│" in table("terminal")


def test_compare_two_architectures_two_stores_and_two_studies(smoke):
    def compare(*words):
        said = smoke.terminal.emtkit("compare", *words, "--format", "csv")
        assert said.code == 0, said.err
        return list(csv.DictReader(io.StringIO(said.out)))

    study, store = str(smoke.study), smoke.terminal.folder / "results" / "emtkit.sqlite"
    found = compare(study, "exact", "linear", "--only", "task.delay=2")
    (apart,) = [row for row in found if row["value"] == "exact − linear"]
    assert float(apart["high"]) < 0
    copy = shutil.copy(store, smoke.terminal.folder / "copy.sqlite")
    stores = compare(study, str(store), str(copy))
    assert {row["estimate"] for row in stores if "−" in row["value"]} == {"0.0"}
    again = shutil.copy(study, smoke.terminal.folder / "again.yaml")
    studies = compare(str(store), study, str(again))
    assert {row["estimate"] for row in studies if "−" in row["value"]} == {"0.0"}
    said = smoke.terminal.emtkit("compare", "nowhere.sqlite", study, str(again))
    assert said.code == 2
    assert "neither a study" in said.err


def test_an_unknown_table_lists_those_there_are(smoke):
    said = smoke.terminal.emtkit("table", str(smoke.study), "loses")
    assert said.code == 2
    assert "did you mean 'losses'" in said.err


def test_plan_says_what_is_stored_and_what_no_result_could_support(smoke):
    hopeless = smoke.study.read_text("utf-8") + (
        "  - {id: hopeless, text: It is lower., expect: {value: test.loss, where:"
        " {architecture: linear, task.delay: 1}, below: {where: {task.delay: 2}}, alpha: 0.01}}\n"
    )
    (smoke.terminal.folder / "hopeless.yaml").write_text(hopeless)
    said = smoke.terminal.emtkit("plan", "hopeless.yaml")
    assert said.code == 0
    assert "stored: 36 of 36 cells" in said.out
    assert "claim 'hopeless' cannot be supported: with 6 paired seeds" in said.err
    (warning,) = smoke.terminal.emtkit("plan", str(smoke.study)).err.splitlines()
    assert warning.startswith("warning: 12 networks 'relu_rnn': about 30 % of them start with")


def test_list_and_show_plugins(terminal):
    found = json.loads(terminal.emtkit("list", "tasks", "--json").out)
    assert "k_delay" in [plugin["name"] for plugin in found["tasks"]]
    said = terminal.emtkit("show", "k_delay")
    assert said.code == 0
    assert "density" in said.out


@pytest.mark.slow  # test_boundaries plans every file without the command
def test_every_file_of_studies_can_be_planned(terminal):
    for study in sorted((ROOT / "studies").rglob("*.yaml")):
        said = terminal.emtkit("plan", str(study))
        assert said.code == 0, f"{study.name}: {said.err}"
