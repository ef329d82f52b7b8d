"""Raster errors: hand-worked maps, plain-loop oracles, properties."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coteach.labels.map_noise import (
    block_majority,
    blur_borders,
    confuse,
    displace,
    error_rate,
    generalise,
    smooth_field,
)

MAPS = hnp.arrays(
    np.int16,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=13),
    elements=st.integers(-1, 3),
)


def test_error_rate_counts_pixels_valid_in_both() -> None:
    truth = np.array([[0, 1, 2, -1], [1, 1, -1, 0]])
    codes = np.array([[0, 2, -1, 1], [1, 0, 3, 0]])
    assert error_rate(codes, truth) == pytest.approx(2 / 5)  # valid in both: 5, wrong: the 2 and the lower 0


def test_error_rate_without_common_pixels_is_nan() -> None:
    assert np.isnan(error_rate(np.array([[-1, 0]]), np.array([[0, -1]])))


def test_smooth_field_is_standardised_smooth_and_seeded() -> None:
    field = smooth_field((60, 80), 5.0, np.random.default_rng(1))
    assert field.mean() == pytest.approx(0, abs=1e-12)
    assert field.std() == pytest.approx(1)
    # white noise under a Gaussian filter of s has autocorrelation exp(-1 / 4s²) = 0.99 at one pixel
    assert np.corrcoef(field[:, 1:].ravel(), field[:, :-1].ravel())[0, 1] > 0.97
    np.testing.assert_array_equal(field, smooth_field((60, 80), 5.0, np.random.default_rng(1)))
    assert np.abs(field - smooth_field((60, 80), 5.0, np.random.default_rng(2))).max() > 0.5


def test_smooth_field_of_one_pixel_is_zero() -> None:
    np.testing.assert_array_equal(smooth_field((1, 1), 3.0, np.random.default_rng(0)), [[0.0]])


@settings(max_examples=60)
@given(MAPS, st.integers(1, 6))
def test_block_majority_equals_a_loop(codes: np.ndarray, block: int) -> None:
    height, width = codes.shape
    expected = np.empty_like(codes)
    for row in range(height):
        for col in range(width):
            top, left = row - row % block, col - col % block
            votes = Counter(int(c) for c in codes[top : top + block, left : left + block].flat if c >= 0)
            expected[row, col] = min(votes, key=lambda c: (-votes[c], c)) if votes else -1
    np.testing.assert_array_equal(block_majority(codes, num_classes=4, block=block), expected)


def test_displace_moves_down_and_right_and_repeats_the_edge() -> None:
    codes = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    np.testing.assert_array_equal(displace(codes, shift=(1, 0)), [[0, 1, 2], [0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(displace(codes, shift=(0, -1)), [[1, 2, 2], [4, 5, 5], [7, 8, 8]])


def test_displace_adds_the_wobble_of_each_pixel() -> None:
    codes = np.array([[0, 1, 2], [3, 4, 5]])
    wobble = np.zeros((2, 2, 3))
    wobble[0, 1, 1] = 1  # this pixel alone is read from the row above
    wobble[1, 0, 2] = 2  # and this one from two columns to the left
    np.testing.assert_array_equal(displace(codes, shift=(0, 0), wobble=wobble), [[0, 1, 0], [3, 1, 5]])


def test_blur_removes_a_speck_and_keeps_a_straight_border() -> None:
    codes = np.zeros((20, 20), dtype=np.int16)
    codes[:, 10:] = 1
    straight = codes.copy()
    codes[4, 4] = 1
    np.testing.assert_array_equal(blur_borders(codes, num_classes=2, sigma=1.5), straight)


@settings(max_examples=40)
@given(MAPS)
def test_blur_and_generalise_keep_nodata_and_invent_no_class(codes: np.ndarray) -> None:
    for made in (blur_borders(codes, num_classes=4, sigma=1.0), generalise(codes, min_patch=4)):
        np.testing.assert_array_equal(made == -1, codes == -1)
        assert set(np.unique(made)) <= set(np.unique(codes))


def test_generalise_gives_small_patches_to_the_nearest_that_stays() -> None:
    codes = np.array(
        [
            [0, 0, 0, 0, 1, 1, 1],
            [0, 2, 0, 0, 1, 1, 2],
            [0, 0, 0, 0, 1, 2, 2],
            [0, 0, 0, 0, 1, 1, 1],
        ]
    )
    expected = codes.copy()
    expected[1, 1] = 0  # one pixel of 2 within 0
    np.testing.assert_array_equal(generalise(codes, min_patch=3), expected)  # the patch of three stays
    expected[1:3, 5:] = 1
    np.testing.assert_array_equal(generalise(codes, min_patch=4), expected)


def test_generalise_measures_patches_by_their_four_neighbours() -> None:
    codes = np.zeros((5, 5), dtype=np.int16)
    codes[1, 1] = codes[2, 2] = 1  # touch at a corner only: two patches of one pixel
    assert not generalise(codes, min_patch=2).any()


def test_generalise_leaves_a_map_without_any_large_patch_alone() -> None:
    codes = np.array([[0, 1], [1, 0]])
    np.testing.assert_array_equal(generalise(codes, min_patch=2), codes)


@settings(max_examples=60)
@given(MAPS, st.floats(0, 1), st.integers(0, 9))
def test_confuse_changes_the_share_with_the_highest_scores(
    codes: np.ndarray, share: float, seed: int
) -> None:
    field = np.random.default_rng(seed).standard_normal(codes.shape)
    made = confuse(codes, source=1, target=2, share=share, field=field)
    changed = made != codes
    assert changed.sum() == round(share * (codes == 1).sum())
    assert (codes[changed] == 1).all()
    assert (made[changed] == 2).all()
    if changed.any() and (made == 1).any():
        assert field[changed].min() >= field[made == 1].max()


def test_confuse_takes_pixels_near_the_target_first() -> None:
    codes = np.array([[2, 1, 1, 1, 1, 0]])
    field = np.array([[0.0, 0.0, 0.1, 0.2, 0.3, 0.0]])  # alone it would choose the far end
    near = confuse(codes, source=1, target=2, share=0.5, field=field, nearness=5.0)
    far = confuse(codes, source=1, target=2, share=0.5, field=field)
    np.testing.assert_array_equal(near, [[2, 2, 2, 1, 1, 0]])
    np.testing.assert_array_equal(far, [[2, 1, 1, 2, 2, 0]])


def test_confuse_with_an_absent_target_follows_the_field() -> None:
    codes = np.array([[1, 1, 0]])
    made = confuse(codes, source=1, target=3, share=0.5, field=np.array([[0.0, 1.0, 9.0]]), nearness=1.0)
    np.testing.assert_array_equal(made, [[1, 3, 0]])


def test_inputs_stay_untouched() -> None:
    codes = np.array([[0, 1, 1], [0, 2, 1]], dtype=np.int16)
    before = codes.copy()
    confuse(codes, source=1, target=0, share=1.0, field=np.zeros((2, 3)))
    generalise(codes, min_patch=2)
    np.testing.assert_array_equal(codes, before)
