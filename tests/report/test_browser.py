"""The report of the smoke study in a real browser, as a reader uses it."""

from __future__ import annotations

import shutil

import pytest

playwright = pytest.importorskip(
    "playwright.sync_api", reason="the browser tests need playwright (extra `dev`)"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="the browser tests need Debian's `chromium`"
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Reader:
    """A page on the report, with everything that it complained of or asked for."""

    def __init__(self, context, report):
        self.page = context.new_page()
        self.complaints, self.requests = [], []
        self.page.on("console", lambda said: self.complaints.append(f"{said.type}: {said.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(report.as_uri())

    def column(self, table, place):
        """The texts of a column in the rows that are shown."""
        cells = f"{table} tbody tr:not([hidden]) > :nth-child({place})"
        return self.page.locator(cells).all_inner_texts()

    def keys(self, table, place):
        """The numbers of a column, exact, from top to bottom."""
        script = "cells => cells.map(cell => Number(cell.dataset.key))"
        return self.page.eval_on_selector_all(f"{table} tbody tr > :nth-child({place})", script)

    def colour(self, of="body"):
        """The background of an element, as red, green and blue."""
        script = "one => getComputedStyle(one).backgroundColor.match(/[0-9]+/g).map(Number)"
        return self.page.eval_on_selector(of, script)


@pytest.fixture
def report(smoke):
    """The report of the smoke study."""
    assert smoke.said.code == 0, smoke.said.err
    return smoke.folder / "report.html"


@pytest.fixture
def reader(chromium, report):
    """A reader who, whatever the test does, meets no error and causes no request."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    one = Reader(context, report)
    yield one
    context.close()
    assert one.complaints == []
    assert one.requests == [report.as_uri()]


TABLE = "#table-losses"


def test_the_page_opens_with_verdicts_tables_and_figures(reader):
    page = reader.page
    assert page.title().startswith("Can a two-unit network")
    assert page.locator("#verdicts .claim.supported").count() == 2
    assert page.locator(f"{TABLE} tbody tr").count() == 6
    assert page.locator("#figure-loss svg").bounding_box()["width"] > 300
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 1280


def test_the_first_screen_has_the_answer_and_the_key_figure(reader):
    page = reader.page
    assert page.locator("header .answer").inner_text().startswith("Supported: ")
    assert "2 claims supported" in page.locator(".verdict-counts").inner_text()
    for what in ("header h1", "header .answer", "#key svg"):
        place = page.locator(what).bounding_box()
        assert place["y"] + place["height"] <= 900, what
    assert page.locator("#key svg").bounding_box()["height"] > 240


def test_evidence_and_controls_of_a_claim_are_folded(reader):
    claim = reader.page.locator("#verdicts .claim").last
    assert not claim.locator(".expectation").is_visible()
    assert claim.locator("summary").bounding_box()["height"] < 60
    claim.locator("summary").click()
    assert claim.locator(".expectation").is_visible()
    assert claim.locator(".controls").first.is_visible()


def test_a_click_sorts_a_table_and_another_turns_it_round(reader):
    head = reader.page.locator(f"{TABLE} thead th").nth(2)
    before = reader.keys(TABLE, 3)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert reader.keys(TABLE, 3) == sorted(before)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert reader.keys(TABLE, 3) == sorted(before, reverse=True)


def test_the_keyboard_sorts_too(reader):
    button = reader.page.locator(f"{TABLE} thead th").first.get_by_role("button")
    button.focus()
    reader.page.keyboard.press("Enter")
    names = reader.column(TABLE, 1)
    assert names == sorted(names)
    assert names != ["linear", "linear", "relu_rnn", "relu_rnn", "exact", "exact"]


def test_a_filter_leaves_the_rows_that_have_every_word(reader):
    tools = reader.page.locator(TABLE)
    tools.get_by_role("searchbox").fill("relu")
    assert reader.column(TABLE, 1) == ["relu_rnn", "relu_rnn"]
    assert "2 of 6 rows" in tools.locator(".matches").inner_text()
    tools.get_by_role("searchbox").fill("relu nothing")
    assert reader.column(TABLE, 1) == []
    tools.get_by_role("searchbox").fill("")
    assert len(reader.column(TABLE, 1)) == 6


def test_dark_mode_is_switched_on_and_off(reader):
    button = reader.page.get_by_role("button", name="Dark mode")
    assert min(reader.colour()) > 200
    button.click()
    assert max(reader.colour()) < 60
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert min(reader.colour()) > 200


def test_whoever_prefers_dark_pages_gets_one(chromium, report):
    context = chromium.new_context(color_scheme="dark")
    one = Reader(context, report)
    assert max(one.colour()) < 60
    context.close()


def test_a_number_leads_to_its_cells_and_to_the_command_that_makes_them(reader):
    page = reader.page
    page.locator(f"{TABLE} tbody tr").nth(2).get_by_role("link").first.click()
    page.locator("#cell-table tbody tr[hidden]").first.wait_for(state="attached")
    assert page.locator("#cell-table tbody tr:not([hidden])").count() == 6
    assert set(reader.column("#cell-table", 4)) == {"relu_rnn"}
    assert "6 of 36 rows" in page.locator("#cell-matches").inner_text()
    first = page.locator("#cell-table tbody tr:not([hidden]) button").first
    first.click()
    assert first.get_attribute("aria-expanded") == "true"
    detail = page.locator("#cell-table tr.detail")
    assert "spectrum.radius" in detail.inner_text()
    command = detail.locator("code").inner_text()
    assert "smoke.yaml --only" in command
    assert "architecture=relu_rnn" in command
    assert "--seeds 0" in command
    page.get_by_role("button", name="Show all cells").click()
    assert first.get_attribute("aria-expanded") == "false"
    assert detail.count() == 0
    assert len(reader.column("#cell-table", 1)) == 36


def test_print_shows_everything_and_no_controls(reader):
    reader.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    reader.page.emulate_media(media="print")
    assert not reader.page.locator("nav").is_visible()
    assert not reader.page.locator(f"{TABLE} .tools").is_visible()
    assert reader.page.locator("details:not([open])").count() == 0
    assert min(reader.colour()) == 255
    reader.page.set_viewport_size({"width": 720, "height": 1000})
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= 720


def test_a_narrow_screen_scrolls_tables_and_not_the_page(reader):
    reader.page.set_viewport_size({"width": 390, "height": 800})
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert reader.page.locator("#key svg").bounding_box()["height"] >= 240
    assert reader.page.locator("nav").bounding_box()["height"] < 70


def test_the_first_column_stays_where_a_table_is_scrolled(reader):
    reader.page.set_viewport_size({"width": 260, "height": 800})
    region, head = f"{TABLE} .scroll", f"{TABLE} tbody tr:first-child > :first-child"
    reader.page.locator(region).evaluate("one => { one.scrollLeft = 60; }")
    assert reader.page.locator(region).evaluate("one => one.scrollLeft") > 0
    left = reader.page.locator(region).bounding_box()["x"]
    assert reader.page.locator(head).bounding_box()["x"] == pytest.approx(left, abs=2)


def test_a_figure_is_enlarged_and_put_back(reader):
    reader.page.set_viewport_size({"width": 1200, "height": 800})
    figure = reader.page.locator("#key figure")
    before = figure.bounding_box()
    figure.get_by_role("button", name="Enlarge").click()
    assert figure.bounding_box() == {"x": 0, "y": 0, "width": 1200, "height": 800}
    assert figure.locator("svg").bounding_box()["height"] > 500
    reader.page.keyboard.press("Escape")
    assert figure.bounding_box()["width"] == before["width"]


def test_without_scripts_everything_is_there_to_read(chromium, report):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator(f"{TABLE} tbody tr").count() == 6
    assert page.locator("#cell-table tbody tr").count() == 36
    assert not page.get_by_role("button", name="Dark mode").is_visible()
    context.close()
