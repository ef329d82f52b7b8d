"""Dot charts: coordinates by hand, and a drawing that stands by itself."""

import xml.etree.ElementTree as ET

import pytest

from coteach.report.spread import LEFT, RIGHT, ROW, TOP, dot_chart, draw_dots


@pytest.fixture
def chart():
    return dot_chart("mIoU", {"E1 <b>": [0.4, 0.6], "E2": [0.5]}, ["#332288", "#cc6677"])


def test_coordinates_by_hand(chart):
    # mean 0.5, deviation 0.1 * sqrt(2): shown from 0.358 - 0.02 to 0.641 + 0.02, so that the axis has 0.3 to 0.7
    assert [text for _, text in chart.ticks] == ["0.3", "0.4", "0.5", "0.6", "0.7"]
    first, second = chart.rows
    unit = (RIGHT - LEFT) / 0.4
    assert first.dots == pytest.approx((LEFT + 0.1 * unit, LEFT + 0.3 * unit))
    assert first.middle == pytest.approx((LEFT + RIGHT) / 2)
    assert first.ends == pytest.approx(
        (first.middle - 0.141421 * unit, first.middle + 0.141421 * unit), abs=0.01
    )
    assert (first.y, second.y) == (TOP + ROW / 2, TOP + 1.5 * ROW)
    assert first.tooltip == "E1 <b>: 0.500 ± 0.141, 2 runs"
    assert second.ends is None
    assert second.tooltip == "E2: 0.500, 1 run"


def test_all_values_equal_have_an_axis():
    chart = dot_chart("mIoU", {"a": [0.5, 0.5]}, ["#000000"])
    assert LEFT < chart.rows[0].middle < RIGHT


def test_the_drawing_is_well_formed_and_escaped(chart):
    root = ET.fromstring(draw_dots(chart))
    name = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{name}svg"
    assert [text.text for text in root.iter(f"{name}text")][-2:] == ["E1 <b>", "E2"]
    assert len(list(root.iter(f"{name}circle"))) == 3
