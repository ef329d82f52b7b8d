from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from soft_label_oracle import loop_confidence

import coteach
from coteach.errors import OptionError
from coteach.labels.confidence import (
    confidence_weight,
    entropy,
    entropy_range,
    entropy_weight,
    weight_shares,
)
from coteach.labels.votes import vote_shares

CLASSES = 3
LOG2, LOG3 = math.log(2), math.log(3)


@st.composite
def cases(draw):
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    codes = draw(arrays(np.int16, (draw(st.integers(1, 4)), *shape), elements=st.integers(-1, CLASSES)))
    mask = draw(st.none() | arrays(np.int16, shape, elements=st.sampled_from([-1, 0, 0, 1])))
    use_border = draw(st.booleans())
    alpha = draw(st.sampled_from([0.0, 0.1, 0.6, 1.0]))
    beta = draw(st.sampled_from([0.0, 0.3, 0.4]))
    if use_border and alpha + beta > 1:
        beta = 0.0
    if not use_border and alpha + beta == 0:
        alpha = 2.0
    options = {
        "alpha": alpha,
        "beta": beta,
        "use_border": use_border,
        "w_embed": draw(arrays(np.float64, shape, elements=st.floats(0, 1))) if beta else None,
    }
    norm = draw(st.sampled_from(["max_entropy", "minmax"]))
    return codes, mask, options, draw(st.sampled_from([0.5, 2.0, 10.0])), norm


@settings(max_examples=300)
@given(cases())
def test_weights_are_those_of_the_loop(case):
    codes, mask, options, radius, norm = case
    p_soft, votes = vote_shares(codes, CLASSES)
    weight = confidence_weight(
        p_soft, votes > 0, mask_codes=mask, border_radius=radius, entropy_norm=norm, **options
    )
    expected = loop_confidence(codes, CLASSES, mask, radius=radius, norm=norm, **options)
    assert weight.dtype == np.float32
    np.testing.assert_allclose(weight, expected, atol=2e-6)
    assert weight.min() >= 0
    assert weight.max() <= 1
    assert (weight[votes == 0] == 0).all()


def test_hand_worked_4_by_4():
    """Two maps and the mask; the mask has a border between columns 1 and 2, R = 2, three classes, alpha 0.6."""
    first = [[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 1, 1], [-1, 0, 1, -1]]
    second = [[0, 0, 1, 1], [0, 1, 1, 0], [0, 1, 1, 1], [-1, 0, 1, -1]]
    mask = [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [-1, 0, 1, 1]]
    p_soft, votes = vote_shares(np.array([mask, first, second], np.int16), 3)
    agree, split = 1.0, 1 - LOG3 / LOG3
    two_to_one = 1 - (LOG3 - 2 / 3 * LOG2) / LOG3  # H(2/3, 1/3) = log 3 - 2/3 log 2
    by_entropy = [
        [agree, agree, agree, agree],
        [agree, two_to_one, agree, two_to_one],
        [agree, split, agree, agree],
        [None, agree, agree, agree],
    ]
    by_border = [[0.5, 0, 0, 0.5]] * 4
    expected = [
        [0 if e is None else 0.6 * e + 0.4 * b for e, b in zip(*rows, strict=True)]
        for rows in zip(by_entropy, by_border, strict=True)
    ]
    weight = confidence_weight(p_soft, votes > 0, mask_codes=np.array(mask), border_radius=2.0)
    np.testing.assert_allclose(weight, expected, atol=1e-6)
    # by itself: 0.6 * 0.42062 = 0.25237 in row 1, column 1
    assert weight[1, 1] == pytest.approx(0.6 * 0.420620, abs=1e-5)
    assert weight[1, 3] == pytest.approx(0.6 * 0.420620 + 0.2, abs=1e-5)


def test_entropy_by_hand():
    p_soft = np.array([[[1, 0.5, 1 / 3, 0.25]], [[0, 0.5, 1 / 3, 0.75]], [[0, 0, 1 / 3, 0]]])
    expected = [[0, LOG2, LOG3, 2 * LOG2 - 0.75 * LOG3]]
    np.testing.assert_allclose(entropy(p_soft), expected, rtol=1e-12)
    weight = entropy_weight(p_soft, np.ones((1, 4), bool))
    np.testing.assert_allclose(weight, [[1, 1 - LOG2 / LOG3, 0, 0.4881405]], atol=1e-6)


def test_minmax_ignores_pixels_without_a_vote():
    p_soft = np.array([[[0.75, 0.5, 1 / 3]], [[0.25, 0.5, 1 / 3]], [[0, 0, 1 / 3]]])
    voted = np.array([[True, True, False]])
    weight = entropy_weight(p_soft, voted, norm="minmax")
    assert weight[voted].tolist() == [1, 0]


def test_a_flat_tile_has_weight_one_with_minmax():
    # the same shares in another order: their entropies differ by rounding only
    shares = np.array([[0.1, 0.2, 0.7], [0.7, 0.1, 0.2], [0.2, 0.7, 0.1], [0.7, 0.2, 0.1]], np.float32).T[
        :, None
    ]
    assert entropy_weight(shares, np.ones((1, 4), bool), norm="minmax").tolist() == [[1, 1, 1, 1]]


def test_a_block_gets_the_range_of_its_tile():
    p_soft, votes = vote_shares(np.random.default_rng(3).integers(-1, 3, (4, 12, 12)), 3)
    voted = votes > 0
    whole = entropy_weight(p_soft, voted, norm="minmax")
    block = (slice(3, 5), slice(2, 4))
    tile_range = entropy_range(p_soft, voted)
    own = entropy_weight(p_soft[:, *block], voted[block], norm="minmax", tile_range=tile_range)
    np.testing.assert_array_equal(own, whole[block])


def test_without_borders_alpha_does_not_matter():
    p_soft, votes = vote_shares(np.random.default_rng(5).integers(-1, 3, (3, 8, 8)), 3)
    expected = np.where(votes > 0, entropy_weight(p_soft, votes > 0), 0)
    for alpha in (0.01, 0.6, 7.0):
        weight = confidence_weight(p_soft, votes > 0, alpha=alpha, use_border=False)
        np.testing.assert_array_equal(weight, expected)


def test_nobody_votes_anywhere():
    p_soft, votes = vote_shares(np.full((2, 3, 3), -1), 3)
    for norm in ("max_entropy", "minmax"):
        assert (confidence_weight(p_soft, votes > 0, entropy_norm=norm) == 0).all()


@pytest.mark.parametrize(
    ("alpha", "beta", "use_border", "message"),
    [
        (0.8, 0.3, True, r"alpha \+ beta: 0.8 \+ 0.3 is more than 1"),
        (1.5, 0.0, True, r"alpha \+ beta: 1.5 \+ 0 is more than 1"),
        (-0.1, 0.0, True, "alpha: -0.1 is no weight"),
        (0.5, -0.1, False, "beta: -0.1 is no weight"),
        (math.nan, 0.0, True, "alpha: nan is no weight"),
        (math.inf, 0.0, False, "alpha: inf is no weight"),
        (0.0, 0.0, False, r"alpha \+ beta: both are 0"),
    ],
)
def test_weights_out_of_range(alpha, beta, use_border, message):
    with pytest.raises(OptionError, match=message):
        weight_shares(alpha, beta, use_border=use_border)


@pytest.mark.parametrize(
    ("alpha", "beta", "use_border", "expected"),
    [
        (0.6, 0.0, True, (0.6, 0.4, 0)),
        (0.7, 0.3, True, (0.7, 0, 0.3)),
        (0.0, 0.0, True, (0, 1, 0)),
        (3.0, 1.0, False, (0.75, 0, 0.25)),
    ],
)
def test_shares_of_the_parts(alpha, beta, use_border, expected):
    assert weight_shares(alpha, beta, use_border=use_border) == pytest.approx(expected)


def test_embeddings_are_asked_for():
    p_soft, votes = vote_shares(np.zeros((2, 3, 3), np.int16), 3)
    with pytest.raises(OptionError, match=r"beta: 0.2 needs embeddings"):
        confidence_weight(p_soft, votes > 0, beta=0.2)


def test_bad_options_are_refused_though_they_have_no_effect():
    p_soft, votes = vote_shares(np.zeros((2, 3, 3), np.int16), 3)
    with pytest.raises(OptionError, match="entropy_norm: there is no 'max'"):
        confidence_weight(p_soft, votes > 0, alpha=0.0, entropy_norm="max")
    with pytest.raises(OptionError, match="border_radius: 0 is no radius"):
        confidence_weight(p_soft, votes > 0, border_radius=0)


def test_public_name():
    assert coteach.confidence_weight is confidence_weight
