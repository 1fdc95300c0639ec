"""The report of the smoke study in a real browser, as a reader uses it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from emtkit import Drawing, Plot, Points, Rule
from emtkit.places import CommandOptions
from emtkit.plugin.analysis import Findings
from emtkit.report.data.drawings import StoredDrawing
from emtkit.report.data.links import Links
from emtkit.report.data.results import Results
from emtkit.report.figures import spots
from emtkit.report.figures.drawn import inline_svg
from emtkit.report.figures.figure import draw_figure
from emtkit.report.page import networks
from emtkit.report.page.networks import with_networks
from emtkit.report.page.page import PageFigure, ReportContent, build_page
from emtkit.study.quantity import Quantity
from emtkit.study.views import Figure
from tests.plugin.test_drawing import EVERY
from tests.report.frames import frame

playwright = pytest.importorskip(
    "playwright.sync_api", reason="the browser tests need playwright (extra `dev`)"
)
expect = playwright.expect
expect.set_options(timeout=30_000)  # as long as the page's own methods wait
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
    expect(page.locator("#verdicts .claim.supported")).to_have_count(2)
    expect(page.locator(f"{TABLE} tbody tr")).to_have_count(6)
    assert page.locator("#figure-loss .wide svg").bounding_box()["width"] > 300
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 1280


def test_the_first_screen_has_the_answer_and_the_key_figure(reader):
    page = reader.page
    assert page.locator("header .answer").inner_text().startswith("Supported: ")
    expect(page.locator(".verdict-counts")).to_contain_text("2 claims supported")
    for what in ("header h1", "header .answer", "#key .wide svg"):
        place = page.locator(what).bounding_box()
        assert place["y"] + place["height"] <= 900, what
    assert page.locator("#key .wide svg").bounding_box()["height"] > 240


def test_evidence_and_controls_of_a_claim_are_folded(reader):
    claim = reader.page.locator("#verdicts .claim").last
    expect(claim.locator(".expectation")).to_be_hidden()
    assert claim.locator("summary").bounding_box()["height"] < 60
    claim.locator("summary").click()
    expect(claim.locator(".expectation")).to_be_visible()
    expect(claim.locator(".controls").first).to_be_visible()


def test_a_click_sorts_a_table_and_another_turns_it_round(reader):
    head = reader.page.locator(f"{TABLE} thead th").nth(2)
    before = reader.keys(TABLE, 3)
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert reader.keys(TABLE, 3) == sorted(before)
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
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
    expect(tools.locator(".matches")).to_contain_text("2 of 6 rows")
    tools.get_by_role("searchbox").fill("relu nothing")
    assert reader.column(TABLE, 1) == []
    tools.get_by_role("searchbox").fill("")
    assert len(reader.column(TABLE, 1)) == 6


def test_dark_mode_is_switched_on_and_off(reader):
    button = reader.page.get_by_role("button", name="Dark mode")
    assert min(reader.colour()) > 200
    button.click()
    assert max(reader.colour()) < 60
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    assert min(reader.colour()) > 200


def test_whoever_prefers_dark_pages_gets_one(chromium, report):
    context = chromium.new_context(color_scheme="dark")
    one = Reader(context, report)
    assert max(one.colour()) < 60
    context.close()


DIALOG, LISTED = "#explorer", "#explorer-list button"


def known(page, row, column):
    """What the page knows of a network by its place in the list of cells."""
    data = json.loads(page.locator("#data").text_content())
    return data["rows"][row][data["columns"].index(column)]


def rows_behind(anchor):
    """The places that a link opens, in its order."""
    spans = anchor.get_attribute("href").partition("#cells=")[2].partition("&")[0].split(",")
    ends = [tuple(map(int, (span.split("-") * 2)[:2])) for span in spans]
    return [row for low, high in ends for row in range(low, high + 1)]


def test_a_number_opens_its_best_network_first_with_its_drawing(reader):
    page = reader.page
    link = page.locator(f"{TABLE} tbody tr").nth(2).get_by_role("link").first
    rows = rows_behind(link)
    losses = [known(page, row, "test.loss") for row in rows]
    assert len(rows) == 6
    assert losses == sorted(losses)
    link.click()
    expect(page.locator(LISTED)).to_have_count(6)
    expect(page.locator("#explorer-head")).to_contain_text("6 networks, the best first")
    expect(page.locator(LISTED).first).to_have_attribute("aria-current", "true")
    network = page.locator("#explorer-network")
    seed = known(page, rows[0], "seed")
    expect(network).to_contain_text(f"relu_rnn on k_delay, seed {seed}")
    expect(network.locator(".asked")).to_contain_text(f"{losses[0]:.6g}"[:7])
    expect(network).to_contain_text("loss on the evaluation sequences")
    network.locator(".drawings svg[aria-label='spectrum, eigenvalues']").wait_for()
    assert "spectrum" in network.locator("h4").all_inner_texts()
    command = network.locator("code").last.inner_text()
    assert "smoke.yaml --only" in command
    assert "architecture=relu_rnn" in command
    assert f"--seeds {seed}" in command
    page.keyboard.press("Escape")
    expect(page.locator(DIALOG)).to_be_hidden()
    page.wait_for_url(lambda address: "#cells" not in address)


def test_the_best_number_of_each_group_is_marked(reader):
    marked = reader.page.locator(f"{TABLE} tbody tr:has(.best) th:first-child").all_inner_texts()
    assert marked == ["exact", "exact"]  # the constructed network, at either delay
    expect(reader.page.locator(f"{TABLE} .notes")).to_contain_text("★")


def test_a_click_on_a_point_opens_that_network(reader):
    page = reader.page
    points = page.locator("#key .wide a[tabindex='-1']")
    expect(points).to_have_count(24)  # two architectures, two delays, six seeds
    (row,) = rows_behind(points.first)
    points.first.dispatch_event("click")
    key = known(page, row, "cell")
    page.locator(f"#explorer-network code:text-is('{key}')").wait_for()
    page.locator("#explorer-network .drawings svg").wait_for()
    expect(page.locator(LISTED)).to_have_count(1)
    expect(page.locator("#explorer-list")).to_be_hidden()


def test_the_pointer_hits_a_point_where_it_is_drawn(reader):
    page = reader.page
    spot = page.locator("#key .wide a[tabindex='-1']").last
    (row,) = rows_behind(spot)
    box = spot.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.locator(DIALOG).wait_for()
    key = known(page, row, "cell")
    expect(page.locator("#explorer-network")).to_contain_text(key)


def test_the_keyboard_opens_a_point_walks_its_networks_and_comes_back(reader):
    page = reader.page
    box = page.locator("#key .wide a:not([tabindex])").nth(1)
    rows = rows_behind(box)
    assert len(rows) == 6
    box.focus()
    assert "6 networks" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    page.locator(DIALOG).wait_for()
    seeds = []
    for place in range(3):
        page.locator(f"li:nth-child({place + 1}) button[aria-current='true']").wait_for()
        seeds.append(page.locator("#explorer-network h3").inner_text())
        page.keyboard.press("ArrowDown")
    for row, head in zip(rows, seeds, strict=False):
        assert f"seed {known(page, row, 'seed')}" in head
    page.keyboard.press("Escape")
    expect(page.locator(DIALOG)).to_be_hidden()
    page.wait_for_function("document.activeElement.textContent.includes('6 networks')")


def test_from_a_number_to_the_list_of_cells_with_its_column(reader):
    page = reader.page
    page.locator(f"{TABLE} tbody tr").nth(2).get_by_role("link").first.click()
    page.locator("#explorer-listed").click()
    expect(page.locator(DIALOG)).to_be_hidden()
    assert set(reader.column("#cell-table", 5)) == {"relu_rnn"}
    expect(page.locator("#cell-matches")).to_contain_text("6 of 36 rows")
    heads = page.locator("#cell-table thead tr:first-child th").all_inner_texts()
    assert heads[2].strip().startswith("test.loss")
    losses = list(map(float, reader.column("#cell-table", 3)))
    assert losses == sorted(losses)
    page.get_by_role("button", name="Show all cells").click()
    assert len(reader.column("#cell-table", 1)) == 36


def test_the_list_of_cells_is_filtered_by_column(reader):
    page = reader.page
    page.locator("#cell-column").select_option("test.loss")
    losses = [known(page, row, "test.loss") for row in range(36)]
    page.get_by_label("Filter test.loss").fill("> 0.05")
    wanted = sum(loss > 0.05 for loss in losses)
    assert 0 < wanted < 36
    assert len(reader.column("#cell-table", 1)) == wanted
    page.get_by_label("Filter architecture").fill("relu")
    assert set(reader.column("#cell-table", 5)) == {"relu_rnn"}
    page.get_by_label("Filter test.loss").fill("")
    page.get_by_label("Filter architecture").fill("!=relu_rnn")
    assert set(reader.column("#cell-table", 5)) == {"linear", "exact"}
    expect(page.locator("#cell-matches")).to_contain_text("24 of 36 rows")


def test_a_cell_of_the_list_opens(reader):
    page = reader.page
    button = page.locator("#cell-table tbody button").nth(7)
    start = button.inner_text()
    button.click()
    expect(page.locator("#explorer-network")).to_contain_text(start)
    page.get_by_role("button", name="Close").click()
    expect(page.locator(DIALOG)).to_be_hidden()


def test_a_report_stays_small(report):
    assert report.stat().st_size < 5_000_000


def test_a_large_frame_is_packed_and_read_all_the_same(chromium, tmp_path):
    def scalars(axes, seed):
        return {"test.loss": (seed * 0.618034) % 1, "train.loss": 0.1 + seed / 7}

    results = Results(frame({"architecture": ["elman", "gru"]}, 6000, scalars))
    link = Links(results, {"test.loss": "lower"})
    address = link([f"{row:08x}" for row in range(3)], Quantity(value="test.loss"))
    content = ReportContent(options=CommandOptions("large.yaml"), question="?", results=results)
    path = tmp_path / "report.html"
    path.write_text(build_page(content, link))
    assert path.stat().st_size < 1_000_000
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    one = Reader(context, path)
    one.page.locator("#cell-matches:text('12000 of 12000 rows, the first 1000 shown')").wait_for()
    one.page.locator("input[aria-label^='Filter seed']").fill("=5998")
    assert one.column("#cell-table", 4) == ["elman", "gru"]
    one.page.evaluate("address => { location.hash = address; }", address)
    expect(one.page.locator(LISTED)).to_have_count(3)
    expect(one.page.locator("#explorer-network h3")).to_contain_text("seed 0")
    assert one.complaints == []
    context.close()


@pytest.fixture
def drawn_page(tmp_path):
    """A page of four networks, each with one drawing."""
    results = Results(frame({"task.delay": [3, 5]}, 2, lambda axes, seed: {"test.loss": 0.1}))
    link = Links(results, {})
    options = CommandOptions("study.yaml", store=Path("my store.sqlite"))
    text = build_page(ReportContent(options=options, question="?", results=results), link)

    def write(drawing):
        one = StoredDrawing("a", "bars", lambda findings: drawing, lambda: Findings({}))
        path = tmp_path / "report.html"
        path.write_text(with_networks(text, link, lambda rows: ([one] for row in rows)))
        return path.as_uri()

    return write


def test_a_network_whose_drawings_are_left_out_names_the_command(chromium, drawn_page, monkeypatch):
    monkeypatch.setattr(networks, "MOST_BYTES", 1)
    page = chromium.new_page()
    page.goto(f"{drawn_page(Drawing([Plot([Rule(0.0)])]))}#cells=2")
    said = page.locator(".drawings").inner_text()
    assert "as those of 4 networks" in said
    assert said.endswith(
        "emtkit report study.yaml --store 'my store.sqlite' --out results/parts "
        "--only task=k_delay,architecture=elman,task.delay=5 --seeds 0"
    )
    page.close()


def test_every_mark_is_drawn_where_its_axes_say(chromium, drawn_page):
    low = Plot(EVERY, "every mark", x_limits=(-1.0, 3.0), y_limits=(-3.0, 5.0))
    log = Plot([Points([1.0, 10.0, 100.0], [1.0, 2.0, 4.0])], x_log=True, x_limits=(1.0, 100.0))
    page = chromium.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{drawn_page(Drawing([low, log], columns=1, legend_title='kinds'))}#cells=2")
    drawn = page.locator(".drawings svg[aria-label='a, bars']")
    drawn.wait_for()
    counts = {"image": 1, "polygon": 1, "linearGradient": 1, "clipPath": 2}
    assert {name: drawn.locator(name).count() for name in counts} == counts
    words = drawn.locator("text").all_text_contents()
    for said in ("every mark", "words", "weight", "kinds", "a line", "points", "bars", "100"):
        assert said in words
    circles = drawn.locator("g[clip-path] circle")
    places = [[float(one.get_attribute(axis)) for axis in ("cx", "cy")] for one in circles.all()]
    # Two of the line's own marks, two points, and three on the logarithmic axis.
    (line, _, first, second, *three) = places
    assert len(three) == 3
    x = second[0] - first[0]  # one unit
    assert first[0] - line[0] == pytest.approx(0.0, abs=0.02)
    assert first[1] - second[1] == pytest.approx(line[1] - first[1], abs=0.03)  # 1, 2 and 3
    (rule,) = drawn.locator("line[x1][stroke='#949494']").all()
    assert float(rule.get_attribute("x1")) == pytest.approx(first[0] + x / 2, abs=0.03)
    assert three[1][0] - three[0][0] == pytest.approx(three[2][0] - three[1][0], abs=0.03)
    assert complaints == []
    page.close()


def test_the_places_of_a_large_figure_are_packed_and_open_all_the_same(
    chromium, tmp_path, monkeypatch
):
    monkeypatch.setattr(spots, "LARGE", 0)
    results = Results(
        frame({"task.delay": [3, 5]}, 2, lambda axes, seed: {"test.loss": 0.1 + seed})
    )
    link = Links(results, {"test.loss": "lower"})
    spec = Figure.model_validate(
        {"name": "f", "use": "line", "x": "task.delay", "y": "test.loss", "caption": "Loss."}
    )
    drawn = draw_figure(results, spec)
    svg = inline_svg(drawn, link)
    assert "<a " not in svg
    shown = PageFigure("f", "f", "Loss.", svg, "", "", (), drawn.cells, "f.svg", True)
    content = ReportContent(
        options=CommandOptions("s.yaml"), question="?", results=results, figures=(shown,)
    )
    path = tmp_path / "report.html"
    path.write_text(build_page(content, link))
    page = chromium.new_page()
    page.goto(path.as_uri())
    places = page.locator("#key a[href='#cells=2-3&value=test.loss&best']")
    places.wait_for()
    expect(places.locator("title")).to_have_text("delay = 5, test.loss: 0.600, 2 networks")
    places.dispatch_event("click")
    expect(page.locator(LISTED)).to_have_count(2)
    page.close()


def test_print_shows_everything_and_no_controls(reader):
    reader.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    reader.page.emulate_media(media="print")
    expect(reader.page.locator("nav")).to_be_hidden()
    expect(reader.page.locator(f"{TABLE} .tools")).to_be_hidden()
    expect(reader.page.locator("details:not([open])")).to_have_count(0)
    assert min(reader.colour()) == 255
    reader.page.set_viewport_size({"width": 720, "height": 1000})
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= 720


def test_a_narrow_screen_scrolls_tables_and_not_the_page(reader):
    reader.page.set_viewport_size({"width": 375, "height": 800})
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= 375
    assert reader.page.locator("nav").bounding_box()["height"] < 60
    expect(reader.page.locator("#cells .hint")).to_be_visible()


def test_on_a_narrow_screen_facets_are_stacked_and_can_be_read(reader):
    reader.page.set_viewport_size({"width": 375, "height": 800})
    expect(reader.page.locator("#key .wide")).to_be_hidden()
    svg = reader.page.locator("#key .narrow svg")
    facets = svg.locator("g[id*='axes_']").count()
    box = svg.bounding_box()
    assert box["height"] / facets >= 240
    assert box["width"] <= 375
    size = "one => one.getBoundingClientRect().height"
    assert svg.locator("text").first.evaluate(size) >= 10


def test_a_finger_opens_the_networks_of_a_point(chromium, report):
    context = chromium.new_context(viewport={"width": 375, "height": 800}, has_touch=True)
    page = Reader(context, report).page
    spot = page.locator("#key .narrow a").first
    box = spot.bounding_box()
    assert min(box["width"], box["height"]) >= 16
    spot.tap()
    page.locator(DIALOG).wait_for()
    expect(page.locator(LISTED)).to_have_count(6)
    assert page.locator(DIALOG).bounding_box()["width"] == 375
    context.close()


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
    assert figure.locator(".wide svg").bounding_box()["height"] > 500
    reader.page.keyboard.press("Escape")
    assert figure.bounding_box()["width"] == before["width"]


def test_without_scripts_everything_is_there_to_read(chromium, report):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    expect(page.locator(f"{TABLE} tbody tr")).to_have_count(6)
    expect(page.locator("#cell-table tbody tr")).to_have_count(36)
    expect(page.locator("#key .wide svg text").first).to_be_visible()
    expect(page.locator(DIALOG)).to_be_hidden()
    expect(page.get_by_role("button", name="Dark mode")).to_be_hidden()
    context.close()
