"""Every format says the same numbers, and nothing in a name can break it."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from emtkit import load
from emtkit.errors import EmtkitError
from emtkit.plugin.statistic import Estimate
from emtkit.report.data.results import Results
from emtkit.report.tables.drawn import to_html
from emtkit.report.tables.format import FORMATS, Format
from emtkit.report.tables.formats.csv import Csv
from emtkit.report.tables.formats.latex import Latex
from emtkit.report.tables.formats.markdown import Markdown
from emtkit.report.tables.formats.terminal import Terminal, rich_table
from emtkit.report.tables.numbers import plus_minus_text
from emtkit.report.tables.table import draw_table
from emtkit.study.views import Table
from tests.report.frames import NAN, frame, reasons

NASTY = r"50% of a_b & {c} <script>alert(1)</script> \end | * [x] $"


@pytest.fixture(scope="module")
def drawn():
    data = frame(
        {"architecture": ["elman", NASTY], "task.delay": [3, 5], "task.density": [1.0, 0.1]},
        6,
        lambda axes, seed: {
            "a.x": NAN if axes["task.delay"] == 5 and seed == 2 else 0.5 + 0.01 * seed,
            "a.y": 2.0 * seed,
        },
    )
    broken = data[data["a.x"].isna()].cell
    why = reasons(*((cell, "a", "x", "counts_differ", "done") for cell in broken))
    spec = Table.model_validate(
        {
            "name": "all",
            "caption": NASTY,
            "rows": ["architecture", "task.delay"],
            "columns": "task.density",
            "values": ["a.x", {"value": "a.y", "better": "min"}],
            "baseline": {"architecture": "elman"},
        }
    )
    return draw_table(Results(data, why), spec)


def test_csv_has_a_line_per_number_and_reads_back_exactly(drawn):
    lines = list(csv.DictReader(io.StringIO(Csv().text(drawn))))
    assert len(lines) == 4 * 2 * 2
    first = lines[0]
    assert (first["architecture"], first["task.delay"], first["task.density"]) == (
        "elman",
        "3",
        "1",
    )
    assert float(first["estimate"]) == drawn.body[0][0].entries[0].found.value
    assert (first["n"], first["total"]) == ("6", "6")
    assert len(first["cells"].split()) == 6
    dashes = [line for line in lines if not line["estimate"]]
    assert {line["cause"] for line in dashes} == {"undefined in 1 of 6: counts_differ"}
    assert any(line["p"] for line in lines)


def test_markdown_rows_have_equal_columns_and_notes_are_defined(drawn):
    text = Markdown().text(drawn)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {2 + 4 + 1}
    assert set(re.findall(r"\[\^([\w-]+)\](?!:)", text)) == set(
        re.findall(r"\[\^([\w-]+)\]:", text)
    )
    assert "<script>" not in text.replace("\\<script", "")


def latex_problems(text):
    """Unbalanced braces and environments, bare specials, rows of unequal length."""
    problems = []
    bare = re.sub(r"\\[\\%&#_{}$]", "", text.replace("{!}{%\n", "{!}{"))
    if bare.count("{") != bare.count("}"):
        problems.append("braces")
    if bare.count("$") % 2:
        problems.append("dollars")
    for special in "%#~":
        if special in bare:
            problems.append(special)
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            stack.append(name)
        elif not stack or stack.pop() != name:
            problems.append(f"end {name}")
    if stack:
        problems.append(f"open {stack}")
    columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)
    for line in text.split(r"\toprule")[1].split(r"\bottomrule")[0].splitlines():
        if line.rstrip().endswith(r"\\"):
            spans = [int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
            cells = len(re.findall(r"(?<!\\)&", line)) + 1 + sum(spans)
            if cells != len(columns[1]):
                problems.append(f"{cells} cells: {line}")
    return problems


def test_latex_is_well_formed_whatever_the_names(drawn):
    text = Latex().text(drawn)
    assert latex_problems(text) == []
    assert r"\toprule" in text
    assert r"\cmidrule(lr){3-4} \cmidrule(lr){5-6}" in text
    assert not re.search(r"\\\\\s*\[", text)  # would be read as the option of the line break


needs_latex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed"
)


def compiled(bodies, folder):
    """What pdflatex says of an article that holds them all, in one column of 10 points."""
    packages = "".join(rf"\usepackage{{{name}}}" for name in ("booktabs", "graphicx"))
    body = "\n".join(f"{text}\n\\clearpage" for text in bodies)
    page = rf"\documentclass{{article}}{packages}\begin{{document}}{body}\end{{document}}"
    (folder / "page.tex").write_text(page, encoding="utf-8")
    ended = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-2000:]
    return ended.stdout


@needs_latex
@pytest.mark.parametrize("intervals", ["brackets", "plus_minus", "none"])
def test_latex_compiles_and_fits_its_column(drawn, tmp_path, intervals):
    table = drawn.with_intervals(intervals)
    assert "Overfull" not in compiled([Latex().text(table)], tmp_path)
    wide = Latex().text(table.alone())
    assert r"\begin{table}" not in wide
    assert "Overfull" in compiled([wide], tmp_path)  # in its own size: the check can fail


@needs_latex
@pytest.mark.slow  # plans every study that is shipped
def test_every_shipped_table_fits_its_column(tmp_path):
    texts = []
    for path in sorted((Path(__file__).parents[2] / "studies").glob("*.yaml")):
        session = load(path, store=tmp_path / "none.sqlite")
        names = [spec.name for spec in session.plan.study.tables.values()]
        texts += [Latex().text(session.table(name)) for name in names]
    assert len(texts) > 20
    assert "Overfull" not in compiled(texts, tmp_path)


def test_latex_says_where_letters_would_be_too_small(drawn):
    assert Latex().text(drawn).startswith(r"\begin{table}")
    wide = tuple(replace(heading, value=40 * "w") for heading in drawn.headings)
    assert Latex().text(replace(drawn, headings=wide)).startswith("% This table is ")


def test_the_latex_check_can_fail(drawn):
    assert latex_problems(Latex().text(drawn).replace(r"\_", "_}", 1)) == ["braces"]


class Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []
        self.rows = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += 1


def test_html_is_a_table_with_escaped_names(drawn):
    parsed = Cells()
    parsed.feed(to_html(drawn, lambda cells, quantity: f"#cell-{cells[0]}"))
    assert "script" not in parsed.tags
    assert parsed.rows == [6] * 5
    assert parsed.tags.count("a") == 4 * 4


@pytest.mark.parametrize("width", [30, 80, 200])
@pytest.mark.parametrize("bare", [False, True])
def test_a_terminal_of_any_width_shows_every_number_whole(drawn, monkeypatch, width, bare):
    monkeypatch.setenv("COLUMNS", str(width))
    text = Terminal().text(drawn.alone() if bare else drawn)
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    for heading in drawn.headings:
        assert heading.value in words
    for line in drawn.body:
        for cell in line:
            assert cell.text in words
    assert ("n = 6 networks" in words) is not bare


def test_intervals_beside_their_numbers_or_left_out():
    data = frame({"architecture": ["elman"]}, 15, lambda axes, seed: {"a.x": 0.5 + 0.01 * seed})
    spec = {"name": "t", "rows": "architecture", "values": [{"value": "a.x", "format": ".2f"}]}
    drawn = draw_table(Results(data), Table.model_validate(spec))
    number = drawn.body[0][0].entries[0]
    low, high = number.found.estimate.low, number.found.estimate.high
    assert number.interval == f"[{low:.2f}, {high:.2f}]"
    beside = drawn.with_intervals("plus_minus").body[0][0].entries[0].interval
    assert beside == f"± {high - number.found.value:.2f}"
    skewed = Estimate(0.5, 0.48, 0.55, 6, "")
    assert plus_minus_text(skewed, ".2f") == "+0.05 −0.02"
    alone = drawn.with_intervals("none")
    assert not any(entry.interval for line in alone.body for cell in line for entry in cell.entries)
    assert not any("interval" in remark for remark in alone.remarks)
    text = Latex().text(drawn.with_intervals("plus_minus"))
    assert r"$\pm$" in text
    assert latex_problems(text) == []


def test_a_bare_table_has_no_words_but_its_own(drawn):
    for name in FORMATS.names:
        text = FORMATS.load(name, Format).text(drawn.alone())
        assert "networks per number" not in text
        assert "counts_differ" not in text or name in ("csv", "html")  # with each number


def test_terminal_shows_every_number(drawn):
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(rich_table(drawn))
    text = console.export_text()
    for line in drawn.body:
        for box in line:
            assert box.text in text
    assert "p by permutation" in text


@pytest.mark.parametrize("name", FORMATS.names)
def test_every_format_of_the_folder_writes_every_number(drawn, name):
    text = FORMATS.load(name, Format).text(drawn)
    assert text.endswith("\n")
    entries = [entry for line in drawn.body for box in line for entry in box.entries]
    for entry in entries:
        assert entry.text.replace("–", "") in text
    assert text.count("\n") > len(drawn.rows)


def test_an_unknown_format_is_named_with_what_was_meant():
    with pytest.raises(EmtkitError, match="no format 'markdwon'; did you mean 'markdown'"):
        FORMATS.load("markdwon", Format)


def test_no_text_of_a_csv_file_is_a_formula_and_numbers_stay_numbers():
    names = ['=HYPERLINK("http://x")', "@SUM(1)", "+1", "-1"]
    axes = {"architecture": names, "task.gain": [-0.5, 1e-9]}
    results = Results(frame(axes, 2, lambda axes, seed: {"a.x": axes["task.gain"]}))
    spec = {"name": "t", "rows": ["architecture", "task.gain"], "values": ["a.x"]}
    text = Csv().text(draw_table(results, Table.model_validate(spec)))
    lines = list(csv.DictReader(io.StringIO(text)))
    assert {line["architecture"] for line in lines} == {f"'{name}" for name in names}
    assert {float(line["task.gain"]) for line in lines} == {-0.5, 1e-9}
    assert {float(line["estimate"]) for line in lines} == {-0.5, 1e-9}
