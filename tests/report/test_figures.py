"""Figures: what is drawn is what was found, the same bytes each time, and nothing global moves."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys

import matplotlib
import numpy as np
import pytest

from emtkit import Bars, Drawing, Plot
from emtkit.errors import EmtkitError
from emtkit.plugin.analysis import Findings
from emtkit.report.data.links import Links
from emtkit.report.data.results import Results
from emtkit.report.figures.drawn import inline_svg, save, style, to_bytes
from emtkit.report.figures.examples import Example, chosen_rows
from emtkit.report.figures.figure import (
    draw_examples,
    draw_figure,
)
from emtkit.study.views import CHARTS, FIGURE_KINDS, Figure
from tests.report.frames import NAN, frame, reasons

AXES = {"architecture": ["elman", "gru"], "task.delay": [3, 5], "task.density": [1.0, 0.3, 0.1]}


@pytest.fixture(scope="module")
def results():
    def scalars(axes, seed):
        value = axes["task.delay"] + axes["task.density"] + 0.1 * seed
        return {"a.x": value, "a.loss": 10 - seed, "a.regime": "sparse" if value < 4 else "dense"}

    return Results(frame(AXES, 4, scalars))


def figure(use, **fields):
    return Figure.model_validate({"name": "f", "use": use, **fields})


LINE = figure("line", x="task.density", y="a.x", hue="architecture", facet="task.delay", log="x")


def lines_of(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_a_line_shows_the_means_with_intervals_and_every_network(results):
    drawn = draw_figure(results, LINE)
    first = drawn.canvas.axes[0]
    assert first.get_title(loc="left") == "delay = 3"
    shown = lines_of(first)
    assert set(shown) == {"elman", "gru"}
    np.testing.assert_allclose(shown["elman"].get_xdata(), [0.1, 0.3, 1.0])
    np.testing.assert_allclose(shown["elman"].get_ydata(), np.array([3.1, 3.3, 4.0]) + 0.15)
    points = [line for line in first.lines if line.get_marker() == "."]
    assert [len(line.get_xdata()) for line in points] == [12, 12]
    low, high = first.get_ylim()
    assert low < 3.1
    assert high > 4.3
    assert len(drawn.cells) == 48


def test_best_takes_the_values_of_the_best_networks(results):
    spec = figure(
        "line",
        x="task.density",
        y="a.x",
        stat="best",
        by="a.loss",
        where={"task.delay": 3, "architecture": "gru"},
    )
    (line,) = [x for x in draw_figure(results, spec).canvas.axes[0].lines if x.get_lw() == 1.4]
    np.testing.assert_allclose(line.get_ydata(), np.array([3.1, 3.3, 4.0]) + 0.3)


def test_a_heatmap_writes_the_value_of_every_pair(results):
    spec = figure(
        "heatmap", x="task.density", y="task.delay", value="a.x", where={"architecture": "gru"}
    )
    axes = draw_figure(results, spec).canvas.axes[0]
    found = axes.collections[0].get_array().reshape(2, 3)
    np.testing.assert_allclose(found, np.array([[4.0, 3.3, 3.1], [6.0, 5.3, 5.1]]) + 0.15)
    assert [text.get_text() for text in axes.texts][:3] == ["4.15", "3.45", "3.25"]


def test_phases_keep_their_colours_in_every_panel(results):
    spec = figure(
        "phase_diagram",
        x="task.density",
        y="task.delay",
        value="a.regime",
        stat="mode",
        facet="architecture",
        log="x",
    )
    canvas = draw_figure(results, spec).canvas
    one, two = (axes.collections[0] for axes in canvas.axes[:2])
    np.testing.assert_array_equal(one.get_array(), two.get_array())
    np.testing.assert_array_equal(one.get_array().reshape(2, 3), [[1, 1, 0], [0, 0, 0]])
    assert [text.get_text() for text in canvas.legends[0].get_texts()] == ["dense", "sparse"]


def test_a_phase_has_one_colour_in_every_figure_of_the_results(results):
    """Also in a figure that meets it alone."""
    fields = {"x": "task.density", "y": "task.delay", "value": "a.regime", "stat": "mode"}
    colours = {}
    for where in ({}, {"task.delay": 5}, {"task.delay": 3, "task.density": [0.3, 0.1]}):
        where = {"architecture": "gru", **where}
        canvas = draw_figure(results, figure("phase_diagram", **fields, where=where)).canvas
        (legend,) = canvas.legends
        for patch, text in zip(legend.get_patches(), legend.get_texts(), strict=True):
            colours.setdefault(text.get_text(), set()).add(patch.get_facecolor())
        image = canvas.axes[0].collections[0]
        assert image.norm.vmax == 1.5  # of both phases, whichever are met
    assert {phase: len(found) for phase, found in colours.items()} == {"dense": 1, "sparse": 1}
    assert not colours["dense"] & colours["sparse"]


def test_a_box_has_a_box_per_group(results):
    spec = figure("box", x="architecture", y="a.x", hue="task.delay", where={"task.density": 0.1})
    axes = draw_figure(results, spec).canvas.axes[0]
    assert len(axes.patches) == 4
    assert [label.get_text() for label in axes.get_xticklabels()] == ["elman", "gru"]


def test_what_is_not_shown_is_told():
    data = frame({"task.delay": [3, 5]}, 2, lambda axes, seed: {"a.x": 1.0 + seed})
    data.loc[0, "a.x"] = NAN
    why = reasons((data.cell[0], "a", "x", "counts differ", "done"))
    drawn = draw_figure(Results(data, why), figure("line", x="task.delay", y="a.x"))
    assert drawn.notes == (
        "1 of 2 not shown: undefined in 1 of 2: counts differ",
        "1 without interval: 2 networks give no 95 % interval of a mean; 11 do",
    )


def test_equal_results_give_equal_bytes_and_no_date(results):
    spec = figure("line", x="task.density", y="a.x", where={"task.delay": 3}, hue="architecture")
    once, again = draw_figure(results, spec), draw_figure(results, spec)
    kinds = ("svg", "pdf", "png")
    files = {kind: to_bytes(once, kind) for kind in kinds}
    assert {kind: to_bytes(again, kind) for kind in reversed(kinds)} == files
    assert b"<dc:date>" not in to_bytes(once, "svg")


def test_inline_figures_take_the_colour_of_the_page_and_their_own_ids(results):
    text = inline_svg(draw_figure(results, LINE))
    assert text.startswith("<svg")
    assert "currentColor" in text
    assert all(name.startswith("f-") for name in re.findall(r'\bid="([^"]+)"', text))
    assert all(name.startswith("f-") for name in re.findall(r"url\(#([^)]+)\)", text))
    assert not re.search(r'(?:href|src)="(?!#)', text)


def test_styles_leave_nothing_behind(results):
    before = dict(matplotlib.rcParams)
    draw_figure(results, LINE)
    with style():
        pass
    assert dict(matplotlib.rcParams) == before
    from matplotlib import pyplot

    assert pyplot.get_fignums() == []


def bars(findings):
    return Drawing([Plot([Bars([0], [findings.scalars["x"]])])])


def test_an_analysis_draws_its_own_figure_a_panel_per_network(results, tmp_path):
    spec = figure(
        "a.bars", cells={"select": "best", "by": "a.loss", "count": 2}, where={"task.delay": 3}
    )
    rows = chosen_rows(results, spec)
    assert [results.column("seed")[row] for row, _ in rows] == [3, 3]
    examples = [
        Example(results.column("cell")[row], title, Findings({"x": 2.0})) for row, title in rows
    ]
    assert examples[0].title == "elman on k_delay, seed 3"
    drawn = draw_examples(spec, bars, examples)
    assert len(drawn.canvas.subfigs) == 2
    assert drawn.cells == tuple(one.cell for one in examples)
    for suffix in (".svg", ".png", ".pdf"):
        save(drawn, tmp_path / f"f{suffix}")
        assert (tmp_path / f"f{suffix}").stat().st_size > 1000


def test_mistakes_name_what_is_allowed(results, tmp_path):
    with pytest.raises(EmtkitError, match=r"written as \.svg, \.png, \.pdf"):
        save(draw_figure(results, LINE), tmp_path / "f.jpg")
    with pytest.raises(EmtkitError, match="no cell of the results meets its `where`"):
        draw_figure(results, figure("line", x="task.delay", y="a.x", where={"seed": 99}))
    with pytest.raises(EmtkitError, match="no network to show"):
        draw_examples(figure("a.bars"), bars, [])


def test_reading_results_needs_no_matplotlib():
    code = (
        "import sys, emtkit.report, emtkit.report.tables.table;"
        "import emtkit.report.inference.claims, emtkit.report.page.page;"
        "print(sorted({'matplotlib', 'seaborn', 'torch', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_several_values_without_facets_stand_side_by_side_on_scales_of_their_own(results):
    spec = figure(
        "line",
        x="task.density",
        y=["a.x", "a.loss"],
        hue="architecture",
        where={"task.delay": 3},
        labels={"a.loss": "loss (nats)"},
    )
    first, second = draw_figure(results, spec).canvas.axes
    assert first.get_position().y0 == second.get_position().y0
    assert [one.get_title(loc="left") for one in (first, second)] == ["a.x", "loss (nats)"]
    assert first.get_ylim() != second.get_ylim()


def test_tick_labels_keep_clear_of_each_other():
    densities = [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 1.0]
    data = frame({"task.density": densities}, 2, lambda axes, seed: {"a.x": 1.0, "a.y": 2.0})
    spec = figure("line", x="task.density", y=["a.x", "a.y", "a.x"])
    drawn = draw_figure(Results(data), spec)
    for axes in drawn.canvas.axes:
        boxes = [one.get_window_extent() for one in axes.get_xticklabels() if one.get_text()]
        boxes.sort(key=lambda box: box.x0)
        assert len(boxes) >= 3
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_white_edges_of_markers_follow_the_page(results):
    text = inline_svg(draw_figure(results, LINE))
    assert "stroke: #ffffff" not in text
    assert "stroke: var(--card, #ffffff)" in text


@pytest.mark.parametrize("use", FIGURE_KINDS)
def test_every_kind_of_the_folders_draws_and_counts_what_it_shows(results, use):
    """A kind that is added is held to this without being named here."""
    where = {"task.delay": 3}
    fields = {"x": "task.density", "where": where}
    if use in CHARTS.names:
        fields |= {"y": "a.x", "hue": "architecture"}
    else:
        fields |= {"y": "architecture", "value": "a.x"}
    drawn = draw_figure(results, figure(use, **fields))
    assert len(drawn.cells) == 2 * 3 * 4
    assert not any("not shown" in note for note in drawn.notes)
    assert to_bytes(drawn, "svg") == to_bytes(draw_figure(results, figure(use, **fields)), "svg")


@pytest.mark.parametrize("use", FIGURE_KINDS)
@pytest.mark.parametrize("narrow", [False, True])
def test_every_number_of_a_figure_opens_its_networks_where_it_is_drawn(results, use, narrow):
    fields = {"x": "task.density", "y": "a.x", "where": {"task.delay": 3, "architecture": "gru"}}
    if use not in CHARTS.names:
        fields |= {"y": "architecture", "value": "a.x"}
    drawn = draw_figure(results, figure(use, **fields), narrow=narrow)
    text = inline_svg(drawn, Links(results, {}), name="narrow" if narrow else "")
    numbers = re.findall(r'<a href="(#cells=[^"]*)"><title>([^<]*)</title><rect x="(\S+)"', text)
    assert len(numbers) == (1 if use == "learning_curve" else 3)
    assert all(title.endswith(", 4 networks") for _, title, _ in numbers)
    (canvas_width,) = re.findall(r'<svg[^>]* width="([\d.]+)pt"', text)
    assert all(0 < float(x) < float(canvas_width) for _, _, x in numbers)
    assert '<g class="spots" data-end="&amp;value=a.x">' in text  # ends every address
    alone = re.findall(r'<a tabindex="-1" href="#cells=\d+"', text)
    assert len(alone) == (0 if narrow or use not in CHARTS.names else 12)


def test_a_point_is_opened_at_its_own_place(results):
    where = {"task.delay": 3, "architecture": "gru"}
    drawn = draw_figure(results, figure("line", x="task.density", y="a.x", where=where))
    axes = drawn.canvas.axes[0]
    text = inline_svg(drawn, Links(results, {}))
    rect = r'<rect x="(\S+)" y="(\S+)" width="(\S+)" height="(\S+)"/>'
    found = re.findall(rf"density = (\S+), a.x: \S+, 4 networks</title>{rect}", text)
    assert [level for level, *_ in found] == ["0.1", "0.3", "1"]
    for level, *sides in found:
        x, y, width, height = map(float, sides)
        at = axes.transData.transform((float(level), 3.0 + float(level) + 0.15)) * 0.72
        assert x + width / 2 == pytest.approx(at[0], abs=0.2)
        assert drawn.canvas.get_figheight() * 72 - y - height / 2 == pytest.approx(at[1], abs=0.2)


def test_a_figure_for_a_phone_has_its_panels_below_each_other(results):
    spec = figure("line", x="task.density", y=["a.x", "a.loss"], hue="architecture",
                  facet="task.delay", title="a title")  # fmt: skip
    wide, narrow = draw_figure(results, spec), draw_figure(results, spec, narrow=True)
    assert wide.canvas.get_suptitle() == "a title"
    assert narrow.canvas.get_suptitle() == ""
    boxes = [axes.get_position() for axes in narrow.canvas.axes]
    assert len({round(box.x0, 3) for box in boxes}) <= 2
    assert all(one.y0 > other.y1 for one, other in itertools.pairwise(boxes))
    assert narrow.canvas.get_figheight() == 4 * 3.5
    first, second, third, _ = narrow.canvas.axes
    assert first.get_ylim() == second.get_ylim() != third.get_ylim()


TEXTS = (r"$\rhoo$", "$$", "a\tb", "\x1b[2J", "\u4e2d\U0001f600", r"$\lambda$", "$ {")


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
@pytest.mark.parametrize("use", ["line", "box", "heatmap"])
def test_any_text_is_drawn_and_a_formula_only_where_it_is_one(text, use):
    """Levels come from studies and plugins; warnings are errors here."""
    axes = {"architecture": [text, "b"], "task.density": [1.0, 0.3]}
    results = Results(frame(axes, 2, lambda axes, seed: {"a.x": axes["task.density"] + seed}))
    if use == "heatmap":
        spec = figure("heatmap", x="task.density", y="architecture", value="a.x", title=text)
    else:
        spec = figure(use, x="architecture", y="a.x", hue="architecture", title=text)
    drawn = draw_figure(results, spec)
    assert b"<svg" in to_bytes(drawn, "svg")
    assert "<svg" in inline_svg(drawn)
    title = drawn.canvas.get_suptitle()
    assert not set(title) & set("\t\x1b")


DIAGRAM = {"x": "task.delay", "y": "task.density", "value": "a.x", "over": ["seed"]}


def test_a_map_may_subtract_other_networks_at_the_same_place(results):
    gru = {"where": {"architecture": "gru"}, "less": {"architecture": "elman"}}
    spec = figure("phase_diagram", **DIAGRAM, **gru, stat="best")
    drawn = draw_figure(results, spec)
    mesh = drawn.canvas.axes[0].collections[0]
    np.testing.assert_allclose(mesh.get_array(), 0.0, atol=1e-12)
    bare = figure("phase_diagram", **DIAGRAM, where={"architecture": "gru"}, stat="best")
    plain = draw_figure(results, bare).canvas.axes[0].collections[0].get_array()
    np.testing.assert_allclose(np.ravel(plain), [3.1, 5.1, 3.3, 5.3, 4.0, 6.0])


def test_a_phase_diagram_has_lines_in_the_units_of_its_axes(results):
    line = {"value": "a.loss", "where": {"architecture": "gru", "task.density": 0.1}}
    spec = figure("phase_diagram", **DIAGRAM, where={"architecture": "elman"}, lines=[line])
    drawn = draw_figure(results, spec).canvas.axes[0].lines[-1]
    np.testing.assert_allclose(drawn.get_xdata(), [3, 5])
    np.testing.assert_allclose(drawn.get_ydata(), [8.5, 8.5])


@pytest.mark.parametrize(
    "extra", [{"less": {"architecture": "gru"}}, {"lines": [{"value": "a.x"}]}]
)
def test_charts_have_neither_lines_of_theory_nor_anything_to_subtract(extra):
    with pytest.raises(ValueError, match="has no"):
        figure("line", x="task.density", y="a.x", **extra)
