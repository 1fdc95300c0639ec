"""Tables of synthetic frames whose numbers are known on paper."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from emtkit.errors import EmtkitError
from emtkit.report.data.results import Results
from emtkit.report.inference.claims import verdicts_of
from emtkit.report.tables.drawn import cell_text, to_html
from emtkit.report.tables.table import draw_table
from emtkit.study.views import Claim, Table
from tests.report.frames import NAN, frame, reasons

ARCHITECTURES = {"architecture": ["elman", "gru"]}


def table(**fields):
    return Table.model_validate({"name": "t", "rows": "architecture", **fields})


def only(drawn):
    """The one entry of a table of one cell."""
    return drawn.body[0][0].entries[0]


def test_mean_over_seeds_with_its_account():
    data = frame(ARCHITECTURES, 12, lambda axes, seed: {"a.x": seed + len(axes["architecture"])})
    drawn = draw_table(Results(data), table(values=["a.x"]))
    assert drawn.rows == (("elman",), ("gru",))
    first, second = (line[0].entries[0] for line in drawn.body)
    assert (first.found.value, second.found.value) == (10.5, 8.5)
    assert (first.found.n, first.found.total) == (12, 12)
    assert first.found.cells[:2] == ("00000000", "00000001")
    assert (first.text, first.interval) == ("10.5", "[5, 16]")
    assert any("mean by order statistics" in remark for remark in drawn.remarks)


def test_few_networks_have_no_brackets_and_the_table_says_why():
    data = frame(ARCHITECTURES, 4, lambda axes, seed: {"a.x": seed})
    drawn = draw_table(Results(data), table(values=["a.x"]))
    assert [line[0].entries[0].interval for line in drawn.body] == ["", ""]
    assert "4 networks give no 95 % interval of a mean; 11 do" in drawn.remarks


@pytest.mark.parametrize(
    ("stat", "value"), [("mean", 3.0), ("median", 2.5), ("best", 7.0), ("share", None)]
)
def test_every_statistic(stat, value):
    numbers = [7, 1, 2, 3, 2]
    losses = [0.10, 0.102, 0.2, 0.4, 0.104]
    data = frame({}, 4, lambda axes, seed: {"a.x": numbers[seed], "a.loss": losses[seed]})
    data["a.x"] = [7, 1, 1, 3] if stat == "mean" else numbers[:4]
    asked = {"value": "a.x", "stat": stat} | ({"by": "a.loss"} if stat == "best" else {})
    entry = only(draw_table(Results(data), table(values=[asked])))
    if stat == "share":
        assert entry.found.value is None
        assert "not yes or no" in entry.found.cause
    else:
        assert entry.found.value == value
    assert entry.found.near_best == (0.5 if stat == "best" else None)


def test_best_of_many_takes_the_greatest_where_asked():
    data = frame({}, 3, lambda axes, seed: {"a.x": seed, "a.score": [0.2, 0.9, 0.5][seed]})
    asked = {"value": "a.x", "stat": "best", "by": "a.score", "direction": "max"}
    assert only(draw_table(Results(data), table(values=[asked]))).found.value == 1


def test_mode_and_share_of_text():
    regimes = ["sparse", "dense", "sparse", "sparse"]
    data = frame({}, 4, lambda axes, seed: {"a.regime": regimes[seed]})
    values = [
        {"value": "a.regime", "stat": "mode"},
        {"share": {"of": "a.regime", "equals": "sparse"}},
        {"value": "a.regime"},
    ]
    boxes = draw_table(Results(data), table(values=values)).body[0]
    assert boxes[0].text == "sparse"
    assert boxes[0].entries[0].found.near_best == 0.75
    assert boxes[1].text == "75 %"
    assert boxes[2].text == "–"
    assert "use `stat: mode` or `share`" in boxes[2].entries[0].found.cause


def test_undefined_makes_a_dash_with_its_reason_and_where_removes_it():
    data = frame({}, 4, lambda axes, seed: {"a.x": NAN if seed == 1 else seed, "a.kept": seed != 1})
    why = reasons(("00000001", "a", "x", "counts differ", "done"))
    drawn = draw_table(
        Results(data, why),
        table(values=["a.x", {"value": "a.x", "where": {"a.kept": True}}]),
    )
    dash, number = drawn.body[0]
    assert dash.text == "–"
    assert drawn.notes[dash.notes[0] - 1] == "undefined in 1 of 4: counts differ"
    assert number.entries[0].found.value == pytest.approx(5 / 3)
    assert (number.entries[0].found.n, number.entries[0].found.total) == (3, 4)
    assert drawn.notes[number.notes[0] - 1] == "1 left out"


def test_failed_lost_missing_and_not_applicable_are_counted_and_never_averaged():
    statuses = ["done", "done", "failed", "lost", "missing"]
    data = frame(
        {},
        5,
        lambda axes, seed: {
            "a.x": 1.0 + seed if seed < 2 else NAN,
            "status": statuses[seed],
        },
    )
    drawn = draw_table(Results(data), table(values=["a.x"]))
    found = only(drawn).found
    assert found.value == 1.5
    assert (found.n, found.total) == (2, 5)
    assert found.counts == {"failed": 1, "lost": 1, "missing": 1, "undefined": 0, "left_out": 0}
    assert drawn.notes == ("1 failed, 1 lost, 1 not run",)


def test_not_applicable_says_why():
    data = frame(ARCHITECTURES, 2, lambda axes, seed: {"a.x": seed, "b.y": 1.0})
    data.loc[data.architecture == "gru", "a.x"] = NAN
    why = reasons(*((f"{k:08x}", "a", None, "needs a state map", "not_applicable") for k in (2, 3)))
    drawn = draw_table(Results(data, why), table(values=["a.x"]))
    assert drawn.body[1][0].text == "–"
    assert drawn.notes == ("not applicable: needs a state map",)
    assert drawn.body[1][0].entries[0].found.counts["not_applicable"] == 2


def test_a_pair_that_does_not_apply_gives_the_reason_of_the_plan():
    data = frame(
        {},
        2,
        lambda axes, seed: {"a.x": NAN, "status": "not_applicable", "reason": "takes signs only"},
    )
    assert only(draw_table(Results(data), table(values=["a.x"]))).found.cause == (
        "not applicable: takes signs only"
    )


def test_a_cell_that_stands_in_two_grids_counts_once():
    data = frame({}, 3, lambda axes, seed: {"a.x": float(seed)})
    twice = pd.concat([data, data.assign(grid="other")], ignore_index=True)
    found = only(draw_table(Results(twice), table(values=["a.x"]))).found
    assert (found.n, found.total, found.value) == (3, 3, 1.0)


def test_two_networks_never_fall_into_one_number_silently():
    data = frame({"task.delay": [3, 5]}, 2, lambda axes, seed: {"a.x": 1.0})
    entry = only(draw_table(Results(data), table(values=["a.x"])))
    assert entry.text == "–"
    assert "they differ in task.delay" in entry.found.cause
    several = table(values=["a.x"], over=["seed", "task.delay"])
    assert only(draw_table(Results(data), several)).found.n == 4


def test_rows_and_columns_of_several_levels_keep_the_order_of_the_study():
    data = frame(
        {"architecture": ["b", "a"], "task.delay": [5, 3], "task.density": [1.0, 0.5]},
        2,
        lambda axes, seed: {"a.x": axes["task.delay"] * axes["task.density"]},
    )
    drawn = draw_table(
        Results(data),
        table(rows=["architecture", "task.delay"], columns="task.density", values=["a.x"]),
    )
    assert drawn.rows == (("b", 5), ("b", 3), ("a", 5), ("a", 3))
    assert [heading.levels for heading in drawn.headings] == [(1,), (0.5,)]
    assert [[box.text for box in line] for line in drawn.body][:2] == [["5", "2.50"], ["3", "1.50"]]


def test_composed_cells_are_written_by_their_template():
    data = frame({}, 2, lambda axes, seed: {"a.error": 0.0123, "test.accuracy": 0.98})
    spec = table(
        cell=[{"value": "a.error", "format": ".3f"}, {"value": "test.accuracy", "format": ".2f"}],
    )
    drawn = draw_table(Results(data), spec)
    assert drawn.body[0][0].text == "0.012 (0.98)"
    assert drawn.headings[0].value == "a.error (test.accuracy)"


def test_baseline_differences_are_paired_by_seed_and_corrected():
    # seeds vary by 10, architectures by 1: only pairing can tell them apart
    noise = np.random.default_rng(0).normal(0, 0.1, (3, 8))
    shift = {"elman": 0.0, "gru": 1.0, "same": 0.0}
    place = {"elman": 0, "gru": 1, "same": 2}
    data = frame(
        {"architecture": ["elman", "gru", "same"]},
        8,
        lambda axes, seed: {
            "a.x": 10.0 * seed
            + shift[axes["architecture"]]
            + noise[place[axes["architecture"]], seed]
        },
    )
    spec = table(values=[{"value": "a.x", "better": "max"}], baseline={"architecture": "elman"})
    drawn = draw_table(Results(data), spec)
    elman, gru, same = (line[0].entries[0] for line in drawn.body)
    assert elman.comparison is None
    assert gru.comparison.p == pytest.approx(2 * 2 / 2**8)  # Holm over two comparisons
    assert gru.comparison.difference.estimate.value == pytest.approx(1, abs=0.2)
    assert gru.bold
    assert not same.bold
    assert not elman.bold


def test_bold_needs_separation():
    data = frame(
        ARCHITECTURES, 8, lambda axes, seed: {"a.x": seed + (axes["architecture"] == "gru")}
    )
    spec = table(values=[{"value": "a.x", "better": "max"}])
    assert [line[0].bold for line in draw_table(Results(data), spec).body] == [False, True]
    few = data[data.seed < 3].reset_index(drop=True)  # least p of 3 pairs is 1/4
    assert [line[0].bold for line in draw_table(Results(few), spec).body] == [False, False]
    plainly = table(values=["a.x"])
    assert not any(line[0].bold for line in draw_table(Results(data), plainly).body)


def test_mistakes_name_what_is_allowed():
    data = Results(frame(ARCHITECTURES, 2, lambda axes, seed: {"a.radius": 1.0}))
    with pytest.raises(EmtkitError, match="did you mean 'a\\.radius'"):
        draw_table(data, table(values=["a.radis"]))
    with pytest.raises(EmtkitError, match="did you mean 'architecture'"):
        draw_table(data, table(values=["a.radius"], baseline={"architectur": "elman"}))
    with pytest.raises(EmtkitError, match="no row or column has the baseline"):
        draw_table(data, table(values=["a.radius"], baseline={"architecture": "lstm"}))


def test_a_scalar_that_nobody_measured_yet_is_a_dash():
    data = frame({}, 2, lambda axes, seed: {"status": "missing"})
    assert only(draw_table(Results(data), table(values=["later.x"]))).found.cause == "not run"


def test_parameters_that_are_lists_match_and_read_as_lists():
    data = frame({"task.table_id": ["[1, 0, 2]", "[3, 4, 5]"]}, 2, lambda axes, seed: {"a.x": 1})
    spec = table(rows="task.table_id", values=["a.x"], where={"task.table_id": [1, 0, 2]})
    assert draw_table(Results(data), spec).rows == (((1, 0, 2),),)


def bests(values, losses):
    data = frame({}, len(values), lambda axes, seed: {"a.x": values[seed], "a.loss": losses[seed]})
    why = reasons(
        *((data.cell[k], "a", "x", "0/0", "done") for k in data.index[data["a.x"].isna()])
    )
    asked = {"value": "a.x", "stat": "best", "by": "a.loss"}
    return draw_table(Results(data, why), table(values=[asked]))


def test_best_bears_what_is_undefined_elsewhere_and_says_so():
    values = [float(n) for n in range(15)] + [NAN]
    drawn = bests(values, list(range(16)))
    assert only(drawn).text == "0"
    assert drawn.notes == ("undefined in 1 of 16: 0/0",)
    assert (only(drawn).found.n, only(drawn).found.total) == (15, 16)
    assert only(drawn).interval == ""


def test_networks_in_a_state_are_one_count_in_tables_notes_claims_and_beside_what_is_near():
    """Six of sixteen are silent: one note for every number of theirs, and a count beside `near`."""
    silent, poor = range(6), range(6, 8)

    def scalars(axes, seed):
        known = {"a.loss": 100.0 if seed in (*silent, *poor) else float(seed), "b.x": 1.0}
        lacking = seed in silent or seed in poor
        return {**known, **{f"a.{name}": NAN if lacking else 1.0 for name in "xyz"}}

    data = frame({}, 16, scalars)
    why = reasons(
        *(
            (data.cell[seed], "a", name, reason, "done")
            for seeds, reason in ((silent, "silent: every output is zero"), (poor, "too weak"))
            for seed in seeds
            for name in "xyz"
        )
    )
    best = {"stat": "best", "by": "a.loss"}
    values = [{"value": f"a.{name}", **best} for name in "xyz"]
    medians = [{"value": f"a.{name}", "stat": "median"} for name in "xyz"]
    loss = {"value": "a.loss", "stat": "best"}
    other = {"value": "b.x", "stat": "best"}
    drawn = draw_table(Results(data, why), table(values=[loss, other, *values, *medians]))
    assert drawn.notes == ("undefined in 8 of 16: silent: every output is zero (6), too weak (2)",)
    texts = [cell.text for cell in drawn.body[0]]
    assert texts[:2] == ["8 (6 % near, 6 silent)", "1 (100 % near)"]
    for column, expected in (("a.loss", ("6 of 16 silent",)), ("b.x", ())):
        expect = {"value": column, "stat": "median", "above": 0.5}
        claim = Claim.model_validate({"id": "c", "text": "It holds.", "expect": expect})
        (verdict,) = verdicts_of(Results(data, why), [claim])
        assert verdict.remarks == expected


def test_best_is_a_dash_where_the_best_network_is_undefined():
    drawn = bests([NAN, 2.0], [1, 2])
    assert only(drawn).text == "–"
    assert drawn.notes == ("undefined in the best network: 0/0",)


def test_best_of_text_is_the_text_of_the_best_network():
    drawn = bests(["sparse", "dense", "dense"], [0.1, 0.2, 0.3])
    assert only(drawn).text == "sparse"
    assert only(drawn).found.texts == {"sparse": 1, "dense": 2}


def test_rows_nest_as_their_axes_do_whatever_the_order_of_the_cells():
    data = frame(
        {"task.delay": [5, 3], "architecture": ["b", "a"]}, 1, lambda axes, seed: {"a.x": 1.0}
    )
    drawn = draw_table(Results(data), table(rows=["architecture", "task.delay"], values=["a.x"]))
    assert drawn.rows == (("b", 5), ("b", 3), ("a", 5), ("a", 3))


def test_a_share_can_be_written_as_members_of_all():
    status = ["comparable", "indeterminate", "comparable"]
    data = frame({}, 3, lambda axes, seed: {"a.status": status[seed], "a.x": 0.5})
    share = {"share": {"of": "a.status", "equals": "comparable"}, "format": "count"}
    drawn = draw_table(
        Results(data),
        table(cell=["a.x", share], format="{0}, {1}"),
    )
    box = drawn.body[0][0]
    assert box.text == "0.500, 2/3"
    assert cell_text(box, drawn) == "0.500, 2/3"


def test_only_a_share_is_counted():
    with pytest.raises(ValueError, match="`format: count` belongs to a share"):
        table(values=[{"value": "a.x", "format": "count"}])


PLACED = {"a.x": ("a.place",), "b.y": ("b.place",)}


def placed(**columns):
    """A network of each architecture with its columns, `a.x` and `b.y` under `place`."""
    return Results(
        frame(
            ARCHITECTURES,
            1,
            lambda axes, seed: {
                name: values[axes["architecture"] == "gru"] for name, values in columns.items()
            },
        ),
        conditions=PLACED,
    )


def mixes(results, *values, **fields):
    drawn = draw_table(results, table(values=list(values), **fields))
    return [remark for remark in drawn.remarks if "not comparable" in remark]


def test_a_table_says_where_its_numbers_were_measured_under_different_conditions():
    both = placed(**{"a.x": (1.0, 2.0), "a.place": ("here", "there"), "c.z": (1.0, 2.0)})
    said = "numbers of different place are not comparable, and this table mixes "
    assert mixes(both, "a.x") == [said + "here (1 networks), there (1 networks)"]
    assert mixes(both, "c.z") == []
    assert mixes(both, "a.x", where={"architecture": "gru"}) == []
    assert mixes(both, {"value": "a.x", "where": {"a.place": "here"}}) == []


def test_two_values_of_one_table_may_differ_in_their_conditions_too():
    apart = placed(
        **{"a.x": (1.0, 2.0), "a.place": ("here",) * 2},
        **{"b.y": (1.0, 2.0), "b.place": ("there",) * 2},
    )
    assert mixes(apart, "a.x") == mixes(apart, "b.y") == []
    (remark,) = mixes(apart, "a.x", "b.y")
    assert "here (2 networks), there (2 networks)" in remark


def test_a_number_that_is_not_there_mixes_nothing():
    half = placed(**{"a.x": (1.0, NAN), "a.place": ("here", "none")})
    assert mixes(half, "a.x") == []
    unsaid = placed(**{"a.x": (1.0, 2.0)})
    assert mixes(unsaid, "a.x") == []


def test_the_best_number_of_each_group_is_marked_and_its_equals_are():
    def scalars(axes, seed):
        better = {"elman": 2.0, "gru": 1.0, "lstm": 1.0}[axes["architecture"]]
        return {"a.x": better if axes["task.delay"] == 3 else 1.0}

    axes = {"task.delay": [3, 5], "architecture": ["elman", "gru", "lstm"]}
    spec = {"name": "t", "rows": list(axes), "values": [{"value": "a.x", "better": "min"}]}
    drawn = draw_table(Results(frame(axes, 3, scalars)), Table.model_validate(spec))
    best = [line[0].entries[0].best for line in drawn.body]
    assert best == [False, True, True, False, False, False]  # all equal: none is best
    text = to_html(drawn)
    assert text.count('class="best"') == 2
    assert "★: the best of those" in text
    assert "★" not in to_html(drawn.alone()).partition("</table>")[2]
