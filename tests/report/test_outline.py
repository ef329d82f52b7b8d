"""What is shown of an image, and the line around what is counted."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from coteach.rasters.grid import Window
from coteach.report.outline import choose_view, cover, outline


def test_the_view_is_the_hull_of_the_windows():
    windows = [Window(10, 40, 8, 8), Window(30, 20, 8, 8)]
    assert choose_view(windows, 100) == Window(10, 20, 28, 28)


def test_a_large_hull_is_cut_around_its_middlemost_window():
    # Hull 0..108 by 0..8; its middle is at row 54: the window at 40..48 is nearest. 20 rows around 44 are 34..54.
    windows = [Window(0, 0, 8, 8), Window(40, 0, 8, 8), Window(100, 0, 8, 8)]
    assert choose_view(windows, 20) == Window(34, 0, 20, 8)
    assert choose_view(windows[::2], 20).row_off in (0, 88)  # stays within the hull


def test_cover_by_hand():
    covered = cover([Window(0, 0, 2, 2), Window(3, 3, 9, 9), Window(0, 9, 1, 1)], Window(1, 1, 3, 4))
    assert covered.astype(int).tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]]


def test_outline_of_one_pixel():
    mask = np.zeros((3, 3), bool)
    mask[1, 2] = True
    assert sorted(re.findall(r"M\d+ \d+[HV]\d+", outline(mask))) == ["M2 1H3", "M2 1V2", "M2 2H3", "M3 1V2"]


@given(arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_the_outline_lies_between_pixels_that_differ(mask):
    drawn = set()
    for x, y, way, end in re.findall(r"M(\d+) (\d+)([HV])(\d+)", outline(mask)):
        col, row, stop = int(x), int(y), int(end)
        steps = range(col if way == "H" else row, stop)
        drawn |= {("H", row, i) if way == "H" else ("V", i, col) for i in steps}
    height, width = mask.shape

    def at(row, col):
        return 0 <= row < height and 0 <= col < width and bool(mask[row, col])

    expected = {("H", r, c) for r in range(height + 1) for c in range(width) if at(r - 1, c) != at(r, c)}
    expected |= {("V", r, c) for r in range(height) for c in range(width + 1) if at(r, c - 1) != at(r, c)}
    assert drawn == expected
