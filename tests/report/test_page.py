"""The report: everything is in it, nothing is loaded, and no text of a study becomes markup."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser

import pytest

from emtkit.places import CommandOptions
from emtkit.report.data.coverage import coverage, failures, findings_by_status
from emtkit.report.data.links import Links
from emtkit.report.data.results import Results
from emtkit.report.inference.claims import verdicts_of
from emtkit.report.page.page import Citation, PageFigure, ReportContent, build_markdown, build_page
from emtkit.report.tables.table import draw_table
from emtkit.study.views import Claim, Table
from tests.report.frames import NAN, frame, reasons

ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
TRACEBACK = "Traceback (most recent call last):\n  File 'work.py'\nValueError: <b>diverged</b>"


class Page(HTMLParser):
    """Tags, ids, links and whatever could load something."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr", "path", "use", "col"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links, self.loads, self.handlers = [], [], [], [], []
        self.open, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name == "href" and tag == "a":
                self.links.append(value)
            if name in ("src", "srcset", "data", "action") or (name == "href" and tag != "a"):
                self.loads.append((tag, name, value))
            if name.startswith("on"):
                self.handlers.append((tag, name))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def content(question="Which network remembers?", name="elman", seeds=6):
    data = frame(
        {"architecture": [name, "attention"], "task.delay": [3, 5]},
        seeds,
        lambda axes, seed: {
            "train.loss": 0.1,
            "test.loss": 0.1 * seed + axes["task.delay"],
            "spectrum.radius": NAN if axes["architecture"] == "attention" else 0.9,
            "a.x": NAN if seed == 2 else 1.0,
        },
    )
    last = len(data) - 1
    data.loc[last, "status"] = "failed"
    data.loc[last, ["train.loss", "test.loss", "a.x"]] = NAN
    rows = [(data.cell[last], "train", "", TRACEBACK, "failed")]
    rows += [
        (cell, "spectrum", "", f"no state map {name}", "not_applicable")
        for cell in data.cell[data.architecture == "attention"]
    ]
    rows += [(cell, "a", "x", f"0/0 in {name}", "done") for cell in data.cell[data.seed == 2]]
    results = Results(data, reasons(*rows))
    table = Table.model_validate(
        {"name": "losses", "rows": ["architecture", "task.delay"], "values": ["test.loss", "a.x"]}
    )
    claims = [
        {
            "id": "small",
            "text": question,
            "source": name,
            "expect": {"value": "test.loss", "stat": "median", "below": 4, "for": scope},
        }
        for scope in ("each", "all")
    ]
    verdicts = verdicts_of(results, [Claim.model_validate(claim) for claim in claims])
    return ReportContent(
        options=CommandOptions(f"studies/{name}.yaml"),
        question=question,
        results=results,
        made="2026-11-22",
        verdicts=tuple(verdicts),
        tables=(draw_table(results, table),),
        figures=(
            PageFigure(
                "f", question, name, "<svg><text>x</text></svg>", notes=(name,), cells=("00000000",)
            ),
        ),
        remarks=(question,),
        provenance={"torch": "2.13.0", name: question},
        citations=(Citation(name, question),),
    )


def page_of(content):
    return build_page(content, Links(content.results, {}))


@pytest.fixture(scope="module")
def page():
    return page_of(content())


def test_the_page_says_everything_in_order(page):
    text = Page(page).text
    places = [
        text.index(word)
        for word in (
            "Which network remembers?",
            "23 cells done",
            "11 findings not applicable",
            "Verdicts",
            "Tables",
            "Coverage",
            "Failures",
            "Cells",
            "Provenance",
            "Citations",
        )
    ]
    assert places[0] < places[1]
    assert "not supported" in text
    assert "emtkit table studies/elman.yaml losses" in text
    assert "emtkit figure studies/elman.yaml f" in text
    assert "undefined in 1 of 6: 0/0 in elman" in text
    assert "no state map elman" in text
    assert "ValueError: <b>diverged</b>" in text


def test_the_page_is_well_formed_and_its_ids_are_unique(page):
    parsed = Page(page)
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))
    for link in parsed.links:
        assert (
            re.fullmatch(r"#cells=\d[\d,-]*(&value=[\w.%]+)*(&best)?", link)
            or link[1:] in parsed.ids
        ), link


def test_the_page_loads_nothing(page):
    parsed = Page(page)
    assert parsed.loads == []
    assert parsed.handlers == []
    assert "link" not in parsed.tags
    assert not re.search(r"https?:", page)
    assert not re.search(r"@import|url\((?!#)", page)
    assert "default-src 'none'" in page


def test_every_number_of_a_table_leads_to_its_cells(page):
    body = page[page.index('id="table-losses"') : page.index('id="coverage"')]
    numbers = re.findall(r'<a href="#cells=([\d,-]+)&amp;value=[\w.]+">', body)
    # In a.x the third network of each has no value, and is last.
    assert numbers[:4] == ["0-5", "0-1,3-5,2", "6-11", "6-7,9-11,8"]
    assert len(numbers) == 8


def test_no_text_of_a_study_becomes_markup():
    text = page_of(content(question=ATTACK, name=ATTACK))
    parsed = Page(text)
    assert parsed.tags.count("script") == 3
    assert "img" not in parsed.tags
    assert "b" not in parsed.tags
    assert parsed.handlers == []
    assert ATTACK.replace("  ", " ") in parsed.text


def test_only_the_one_script_may_run(page):
    import base64
    import hashlib

    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_the_data_of_the_page_are_the_frame_exactly(page):
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1]
    data = json.loads(text)
    place = data["columns"].index("test.loss")
    assert [row[place] for row in data["rows"][:3]] == [3.0, 3.1, 3.2]
    assert data["reasons"]["2"] == {"a.x": "0/0 in elman"}
    assert data["rows"][2][data["columns"].index("a.x")] is None


def test_the_page_can_be_read_without_a_mouse_or_eyes(page):
    assert '<html lang="en">' in page
    assert 'class="skip"' in page
    assert page.count("<caption") == page.count("<table")
    for head in re.findall(r"<th[ >][^>]*>", page):
        assert "scope=" in head
    assert 'role="group" aria-label="Which network remembers?: elman"' in page
    assert "@media print" in page
    assert "prefers-color-scheme: dark" in page


def test_coverage_counts_and_explains():
    found = coverage(content().results)
    assert found.labels == ("train", "test", "spectrum", "a")
    elman, attention = found.pairs
    assert [spot.text for spot in elman.analyses] == ["12", "12", "12", "12"]
    assert [spot.text for spot in attention.analyses][:3] == [
        "11/12, failed 1",
        "11/12, failed 1",
        "not_applicable 11, failed 1".replace("not_applicable", "n/a"),
    ]
    assert found.reasons == ("no state map elman",)


def test_what_a_grid_does_not_ask_for_is_not_missing():
    def scalars(axes, seed):
        some = {"test.loss": 0.1}
        return some | ({"b.x": 1.0 if seed else None} if axes["grid"] == "asked" else {})

    table = frame({"grid": ["asked", "other"], "architecture": ["elman"]}, 2, scalars)
    results = Results(table, reasons(("00000000", "b", "", "not measured yet", "missing")))
    assert findings_by_status(results) == {"done": 5, "missing": 1}
    assert [spot.text for spot in coverage(results).pairs[0].analyses] == ["4", "1/2, not run 1"]
    other = coverage(Results(table[2:].reset_index(drop=True).assign(**{"b.x": None})))
    assert [spot.text for spot in other.pairs[0].analyses] == ["2", "not asked"]


def test_failures_are_told_once_per_traceback():
    (failure,) = failures(content().results)
    assert failure.headline == "ValueError: <b>diverged</b>"
    assert failure.rows == (23,)
    assert failure.what == "training failed"


def test_the_markdown_report_says_the_same():
    text = build_markdown(content())
    for heading in ("Verdicts", "Tables", "Figures", "Coverage", "Failures", "Provenance"):
        assert f"\n## {heading}\n" in text
    assert "✗ not supported" in text
    assert "no state map elman" in text
    rows = [line for line in text.splitlines() if line.startswith("| k\\_delay")]
    assert len(rows) == 2
    hostile = build_markdown(content(question=ATTACK, name=ATTACK))
    raw = [line for line in hostile.splitlines() if re.search(r"(?<!\\)<script", line)]
    assert raw
    assert all(line.startswith("    ") for line in raw)  # an indented block is code, not markup


@pytest.mark.slow
def test_two_thousand_cells_in_five_seconds_and_five_megabytes():
    large = content(seeds=500)
    start = time.perf_counter()
    text = page_of(large)
    assert time.perf_counter() - start < 5
    assert len(text.encode()) < 5e6
    assert text.count('<tr id="cell-') == 1000
