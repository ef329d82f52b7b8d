from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from coteach.errors import OptionError
from coteach.labels import fusion as fusion_module
from coteach.labels.confidence import entropy_weight
from coteach.labels.fusion import Fusion, PatternTables
from coteach.labels.patterns import PatternCode, PatternCounts
from coteach.labels.votes import argmax_codes, argmax_ties, vote_shares

maps = arrays(np.int16, (3, 4, 5), elements=st.integers(-1, 2))


def test_weighted_shares_by_hand():
    codes = np.array([[0, 0, -1], [1, -1, -1], [1, 2, -1]])
    shares, votes = vote_shares(codes, 3, weights=[2.0, 1.0, 1.0])
    np.testing.assert_allclose(
        shares, [[1 / 2, 2 / 3, 1 / 3], [1 / 2, 0, 1 / 3], [0, 1 / 3, 1 / 3]], rtol=1e-6
    )
    assert votes.tolist() == [3, 2, 0]


def test_a_source_of_weight_0_does_not_vote():
    shares, votes = vote_shares(np.array([[0, 0], [1, -1]]), 2, weights=[0.0, 3.0])
    assert (shares.tolist(), votes.tolist()) == ([[0, 0.5], [1, 0.5]], [1, 0])


@given(maps, st.permutations(range(3)))
def test_the_order_of_weighted_sources_changes_nothing(codes, order):
    weights = np.array([0.1, 0.2, 0.3])
    for one, other in zip(
        vote_shares(codes, 3, weights.tolist()),
        vote_shares(codes[list(order)], 3, weights[list(order)].tolist()),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@given(maps)
def test_equal_weights_are_no_weights(codes):
    np.testing.assert_allclose(vote_shares(codes, 3, [0.7] * 3)[0], vote_shares(codes, 3)[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("weights", "cause"),
    [([1.0], "there are 1 for 2 sources"), ([1.0, -1.0], "-1.0 is no weight"), ([0.0, 0.0], "all are 0")],
)
def test_weights_that_are_none(weights, cause):
    with pytest.raises(OptionError, match=cause):
        vote_shares(np.zeros((2, 3), np.int16), 2, weights)


@pytest.mark.parametrize("whole", [1 << 18, 0])
@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 0.5)])
@given(codes=maps)
def test_tables_give_what_the_formulas_give_pixel_by_pixel(codes, weights, whole):
    before, fusion_module._WHOLE = fusion_module._WHOLE, whole
    try:
        code = PatternCode(3, 3)
        table, places = PatternTables(code, (0, 1, 2), Fusion(3, weights)).lookup()(code.numbers(codes))
    finally:
        fusion_module._WHOLE = before
    p_soft, votes = vote_shares(codes, 3, weights)
    np.testing.assert_array_equal(table.p_soft[:, places], p_soft)
    np.testing.assert_array_equal(table.votes[places], votes)
    np.testing.assert_array_equal(table.best[places], argmax_codes(p_soft, votes > 0))
    np.testing.assert_array_equal(table.tied[places], argmax_ties(p_soft, votes > 0))
    np.testing.assert_array_equal(table.by_entropy[places], entropy_weight(p_soft, votes > 0))


def test_parts_of_8_bits():
    codes = np.array([[0, 0, 1], [0, -1, -1], [-1, -1, -1]], np.int16)
    for weights, expected in (
        (None, [[2, 1, 0], [1, 0, 0]]),
        ((1.0, 1.0, 3.0), [[102, 255, 0], [153, 0, 0]]),
    ):
        fusion = Fusion(2, weights)
        assert fusion.parts(codes, *fusion.shares(codes)).tolist() == expected


def test_a_tile_that_lacks_a_source_has_its_columns():
    tables = PatternTables(PatternCode(1, 2), (None, 0), Fusion(2))
    assert tables.all_codes(np.array([0, 1, 2])).tolist() == [[-1, -1], [-1, 0], [-1, 1]]


def test_the_dominant_class_is_that_of_most_pixels():
    patterns = PatternCounts(np.array([[-1, -1], [0, 0], [1, 0], [1, 1]], np.int16), np.array([100, 5, 4, 8]))
    assert Fusion(2).dominant(patterns) == 0  # 5 and the tie of 4 against 8
    assert Fusion(2, (2.0, 1.0)).dominant(patterns) == 1
    assert Fusion(2).dominant(PatternCounts(np.array([[-1, -1]], np.int16), np.array([3]))) is None
