from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coteach.rasters.patches import patch_offsets


@pytest.mark.parametrize(
    ("height", "width", "size", "stride", "expected"),
    [
        (4, 4, 4, 4, [(0, 0)]),
        (4, 9, 4, 4, [(0, 0), (0, 4), (0, 5)]),
        (8, 8, 4, 4, [(0, 0), (0, 4), (4, 0), (4, 4)]),
        (6, 4, 4, 3, [(0, 0), (2, 0)]),
        (10, 4, 4, 3, [(0, 0), (3, 0), (6, 0)]),
        (4, 12, 4, 7, [(0, 0), (0, 7), (0, 8)]),
    ],
)
def test_hand_worked_offsets(height, width, size, stride, expected):
    assert patch_offsets(height, width, size, stride) == expected


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
def test_patches_cover_the_tile_and_stay_within(height, width, size, stride):
    if min(height, width) < size or stride > size:
        return
    seen = np.zeros((height, width), bool)
    offsets = patch_offsets(height, width, size, stride)
    for row, col in offsets:
        assert row >= 0 <= col
        assert row + size <= height
        assert col + size <= width
        seen[row : row + size, col : col + size] = True
    assert seen.all()
    assert len(set(offsets)) == len(offsets)
