from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from coteach.labels import distance as distance_module
from coteach.labels.distance import MarkedRaster, root, squared_distance

marked = st.tuples(st.integers(1, 9), st.integers(1, 20)).flatmap(
    lambda shape: arrays(np.bool_, shape, elements=st.sampled_from([False] * 9 + [True]))
)


def loop_squared(marks):
    """Squared distance of every pixel to the nearest mark; None if there is none."""
    points = [(i, j) for i, row in enumerate(marks.tolist()) for j, mark in enumerate(row) if mark]
    return [
        [min(((i - y) ** 2 + (j - x) ** 2 for y, x in points), default=None) for j in range(marks.shape[1])]
        for i in range(marks.shape[0])
    ]


@given(marked, st.integers(0, 12))
def test_exact_up_to_the_limit_and_above_it_beyond(marks, limit):
    found = squared_distance(marks, limit)
    for row, expected in zip(found.tolist(), loop_squared(marks), strict=True):
        for value, truth in zip(row, expected, strict=True):
            if truth is not None and truth <= limit**2:
                assert value == truth
            else:
                assert value > limit**2


def test_hand_worked_distances():
    marks = np.zeros((3, 5), np.bool_)
    marks[1, 0] = True
    assert squared_distance(marks, 10).tolist() == [[1, 2, 5, 10, 17], [0, 1, 4, 9, 16], [1, 2, 5, 10, 17]]


@pytest.mark.parametrize("limit", [180, 181, 300])
def test_a_large_limit_does_not_overflow(limit):
    marks = np.zeros((2, 700), np.bool_)
    marks[0, 0] = True
    found = squared_distance(marks, limit)
    assert found[1, : limit - 1].tolist() == [1 + x * x for x in range(limit - 1)]
    assert found[1, limit:].min() > limit**2


def test_the_root_is_rounded_once():
    squares = np.arange(1 << 16, dtype=np.uint16)
    assert root(squares).tolist() == [float(np.float32(math.sqrt(n))) for n in range(1 << 16)]
    large = np.array([(1 << 24) - 1, (1 << 24) + 1, 4_000_000_007], np.uint32)
    assert root(large).tolist() == [float(np.float32(math.sqrt(n))) for n in large.tolist()]


@given(marked, st.integers(1, 5), st.booleans())
def test_strips_give_what_the_whole_gives(marks, height, near):
    """Also where marks are so far away that a tree finds them."""
    raster = MarkedRaster(*marks.shape)
    for row in range(0, marks.shape[0], 3):
        for col in range(0, marks.shape[1], 8):
            raster.mark(row, col, marks[row : row + 3, col : col + 8])
    assert raster.any() == marks.any()
    if not marks.any():
        return
    limit = distance_module._NEAR
    distance_module._NEAR = 2 if near else limit
    try:
        found = np.concatenate([raster.squared_distance(strip) for strip in raster.cut(height)])
    finally:
        distance_module._NEAR = limit
    assert found.tolist() == loop_squared(marks)


def test_two_marks_far_away_in_a_large_raster():
    marks = np.zeros((1100, 1400), np.bool_)
    marks[3, 4] = marks[1090, 0] = True
    raster = MarkedRaster(*marks.shape)
    raster.mark(0, 0, marks)
    found = np.concatenate([root(raster.squared_distance(strip)) for strip in raster.cut(512)])
    np.testing.assert_array_equal(found, ndimage.distance_transform_edt(~marks).astype(np.float32))


def test_few_rows_at_once_change_nothing(monkeypatch):
    marks = np.random.default_rng(0).random((40, 90)) < 0.01
    whole = squared_distance(marks, 30)
    monkeypatch.setattr(distance_module, "_CACHED", 200)
    np.testing.assert_array_equal(squared_distance(marks, 30), whole)
