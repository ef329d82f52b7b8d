"""Charts: hand-worked coordinates, and ticks with the properties that readers expect."""

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coteach.report.charts import BOTTOM, LEFT, MARKS, RIGHT, TOP, Line, is_pale, line_chart, nice_ticks


def test_coordinates_by_hand():
    # x: 1 to 3 over 324 pixels from 44; y: 0 to 1 over 180 pixels from 190 upwards.
    assert (LEFT, RIGHT, TOP, BOTTOM) == (44, 368, 10, 190)
    chart = line_chart("share", [Line("a", "#000000", [(1, 0.0), (2, 0.5), (3, 1.0)])], y_range=(0.0, 1.0))
    [curve] = chart.curves
    assert curve.path == "M44.0 190.0L206.0 100.0L368.0 10.0"
    assert chart.x_ticks == ((44.0, "1"), (206.0, "2"), (368.0, "3"))
    assert chart.y_ticks[0] == (190.0, "0.0")
    assert chart.y_ticks[-1] == (10.0, "1.0")
    assert [mark.path for mark in curve.marks] == [
        f"M44.0 190.0{MARKS[0]}",
        f"M206.0 100.0{MARKS[0]}",
        f"M368.0 10.0{MARKS[0]}",
    ]
    assert curve.marks[1].tooltip == "a, epoch 2: 0.5"


def test_the_y_axis_ends_at_round_numbers_around_the_data():
    chart = line_chart("loss", [Line("a", "#000000", [(1, 0.13), (2, 0.48)])])
    assert [text for _, text in chart.y_ticks] == ["0.1", "0.2", "0.3", "0.4", "0.5"]
    # 0.13 of 0.1 to 0.5 is 7.5 % of 180 pixels above the bottom.
    assert chart.curves[0].path.startswith("M44.0 176.5L")


def test_one_point_is_in_the_middle():
    chart = line_chart("one", [Line("a", "#000000", [(1, 2.0)])])
    assert chart.curves[0].path.startswith("M206.0 ")
    assert [text for _, text in chart.x_ticks] == ["1"]


@pytest.mark.parametrize(("value", "lowest"), [(0.0, 0.0), (0.25, 0.0), (2.0, 1.4), (-2.0, -2.6)])
def test_values_that_are_all_alike_have_room_but_none_below_zero(value, lowest):
    # a share of 0 in every epoch is drawn on the axis, not above one that begins at -0.5; the ticks are 0.2 apart
    chart = line_chart("one", [Line("a", "#000000", [(1, value), (2, value)])])
    assert float(chart.y_ticks[0][1]) == lowest


def test_epochs_are_whole_and_many_marks_are_thinned():
    points = [(epoch, 1 / epoch) for epoch in range(1, 201)]
    chart = line_chart("long", [Line("a", "#000000", points)])
    assert all(text.isdigit() for _, text in chart.x_ticks)
    assert len(chart.curves[0].marks) <= 13
    assert chart.curves[0].marks[-1].tooltip == "a, epoch 200: 0.005"  # the last one is always marked
    assert len(re.findall("[ML]", chart.curves[0].path)) == 200  # the line still has them all


def test_nothing_to_draw_is_no_chart():
    assert line_chart("none", [Line("a", "#000000", [])]) is None


def test_a_line_without_points_leaves_the_others():
    chart = line_chart("some", [Line("a", "#000000", []), Line("b", "#111111", [(1, 1.0)])])
    assert [curve.label for curve in chart.curves] == ["b"]


@given(start=st.floats(-1e3, 1e3), span=st.floats(1e-3, 1e6), count=st.integers(2, 8), whole=st.booleans())
def test_ticks_enclose_the_data_at_round_equal_steps(start, span, count, whole):
    low, high = start * span, (start + 1) * span
    ticks = nice_ticks(low, high, count=count, whole=whole)
    step = ticks[1] - ticks[0]
    slack = 1e-6 * step
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert all(math.isclose(b - a, step, rel_tol=1e-6) for a, b in pairwise(ticks))
    leading = step / 10 ** math.floor(math.log10(step * (1 + 1e-9)))
    assert any(math.isclose(leading, factor, rel_tol=1e-5) for factor in (1, 2, 5))
    assert len(ticks) <= 2 * count + 2
    if whole:
        assert all(tick == round(tick) for tick in ticks)


@pytest.mark.parametrize(
    ("color", "pale"), [("#ffffff", True), ("#f0e442", True), ("#767676", False), ("#000000", False)]
)
def test_pale_colours_are_known(color, pale):
    assert is_pale(color) is pale
