from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from soft_label_oracle import loop_border, loop_distance

from coteach.errors import OptionError
from coteach.labels.borders import argmax_border_weight, border_distance, border_pixels, mask_border_weight

maps = st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(
    lambda shape: arrays(np.int16, shape, elements=st.sampled_from([-1, 0, 0, 0, 0, 1, 2]))
)


def test_hand_worked_distances():
    codes = np.array([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, -1]])
    assert loop_border(codes) == [(1, 2), (1, 3), (2, 2), (2, 3), (3, 2)]
    expected = [
        [math.sqrt(5), math.sqrt(2), 1, 1],
        [2, 1, 0, 0],
        [2, 1, 0, 0],
        [2, 1, 0, 1],
    ]
    np.testing.assert_allclose(border_distance(codes), expected, rtol=1e-6)


def test_hand_worked_weights_of_a_mask():
    codes = np.array([[0, 0, 0, 0, 1, 1]])
    # distances 3 2 1 0 0 1
    assert mask_border_weight(codes, 2).tolist() == [[1, 1, 0.5, 0, 0, 0.5]]
    assert mask_border_weight(codes, 4).tolist() == [[0.75, 0.5, 0.25, 0, 0, 0.25]]
    np.testing.assert_allclose(mask_border_weight(codes), [[0.3, 0.2, 0.1, 0, 0, 0.1]], rtol=1e-6)


def test_a_diagonal_neighbour_is_a_neighbour():
    assert border_pixels(np.array([[0, 0, 0], [0, 0, 0], [0, 0, 1]])).tolist() == [
        [False, False, False],
        [False, True, True],
        [False, True, True],
    ]


def test_nodata_is_no_border_but_has_a_distance():
    codes = np.array([[0, -1, 1, 1, 2]])
    assert border_pixels(codes).tolist() == [[False, False, False, True, True]]
    assert border_distance(codes).tolist() == [[3, 2, 1, 0, 0]]


@pytest.mark.parametrize("codes", [np.zeros((3, 4), np.int16), np.full((3, 4), -1), np.array([[0, -1, 1]])])
def test_without_borders_the_weight_is_one(codes):
    assert np.isinf(border_distance(codes)).all()
    assert (mask_border_weight(codes, 10) == 1).all()
    shares = np.stack([codes != 1, codes == 1]).astype(np.float32)
    assert (argmax_border_weight(shares, codes >= 0)[codes >= 0] == 1).all()


@given(maps)
def test_borders_and_distances_are_those_of_the_loop(codes):
    assert list(map(tuple, np.argwhere(border_pixels(codes)).tolist())) == loop_border(codes)
    np.testing.assert_allclose(border_distance(codes), loop_distance(codes), rtol=1e-6)


@given(maps, st.integers(1, 4))
def test_padding_with_nodata_changes_nothing(codes, by):
    inner = border_distance(np.pad(codes, by, constant_values=-1))[by:-by, by:-by]
    np.testing.assert_array_equal(inner, border_distance(codes))


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_a_block_with_its_halo_gives_the_weights_of_the_tile(seed, radius):
    rng = np.random.default_rng(seed)
    tile = rng.integers(-1, 3, (6, 6)).repeat(5, 0).repeat(5, 1)
    block = (slice(12, 18), slice(10, 20))
    halo = radius + 1
    top, left = max(0, 12 - halo), max(0, 10 - halo)
    part = tile[top : 18 + halo, left : 20 + halo]
    own = mask_border_weight(part, radius)[12 - top : 18 - top, 10 - left : 20 - left]
    np.testing.assert_allclose(own, mask_border_weight(tile, radius)[block], rtol=1e-6)


def test_hand_worked_weights_of_the_argmax():
    # argmax 0 0 0 0 1 and nobody votes at the end
    shares = np.array([[[1, 0.75, 0.5, 1, 0.25, 0.5]], [[0, 0.25, 0.5, 0, 0.75, 0.5]]])
    voted = np.array([[True] * 5 + [False]])
    weight = argmax_border_weight(shares, voted)
    np.testing.assert_allclose(weight[voted], [1, 2 / 3, 1 / 3, 0, 0], rtol=1e-6)
    assert argmax_border_weight(shares, voted, max_distance=6.0)[0, :3].tolist() == [
        0.5,
        np.float32(1 / 3),
        np.float32(1 / 6),
    ]


def test_the_largest_distance_is_one_of_a_pixel_with_a_vote():
    shares = np.zeros((2, 1, 9))
    shares[0, 0, :2] = shares[1, 0, 2:] = 1
    voted = np.arange(9)[None] < 4
    # distances 1 0 0 1, then 2 3 4 5 6 where nobody votes
    assert argmax_border_weight(shares, voted)[voted].tolist() == [1, 0, 0, 1]


def test_where_all_pixels_are_borders_the_weight_is_zero():
    shares = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert argmax_border_weight(shares, np.ones((1, 2), bool)).tolist() == [[0, 0]]


@pytest.mark.parametrize("radius", [0.0, -1.0, math.nan, math.inf])
def test_a_radius_out_of_range(radius):
    with pytest.raises(OptionError, match=r"border_radius: .* is no radius"):
        mask_border_weight(np.zeros((2, 2), np.int16), radius)
