from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from soft_label_oracle import loop_shares

import coteach
from coteach.errors import OptionError
from coteach.labels.votes import argmax_codes, argmax_ties, vote_shares

CLASSES = 4


def code_maps(low: int = -1, high: int = CLASSES - 1):
    """(sources, h, w) codes."""
    shapes = st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6))
    return shapes.flatmap(lambda shape: arrays(np.int16, shape, elements=st.integers(low, high)))


def test_hand_worked_case():
    codes = np.array(
        [
            [[0, 0], [2, -1]],
            [[0, 1], [2, -1]],
            [[0, 1], [-1, -1]],
            [[0, 2], [-1, -1]],
        ],
        np.int16,
    )
    p_soft, votes = vote_shares(codes, 4)
    assert p_soft.dtype == np.float32
    assert votes.tolist() == [[4, 4], [2, 0]]
    assert p_soft[:, 0, 0].tolist() == [1, 0, 0, 0]
    assert p_soft[:, 0, 1].tolist() == [0.25, 0.5, 0.25, 0]
    assert p_soft[:, 1, 0].tolist() == [0, 0, 1, 0]  # two who are silent do not lessen the share
    assert p_soft[:, 1, 1].tolist() == [0.25] * 4


def test_a_code_beyond_the_classes_is_no_vote():
    p_soft, votes = vote_shares(np.array([[[4]], [[255]], [[-9]], [[1]]]), 4)
    assert p_soft[:, 0, 0].tolist() == [0, 1, 0, 0]
    assert votes.item() == 1


@given(code_maps(-2, CLASSES + 1))
def test_shares_are_those_of_the_loop(codes):
    p_soft, votes = vote_shares(codes, CLASSES)
    np.testing.assert_allclose(p_soft, loop_shares(codes, CLASSES), atol=1e-7)
    np.testing.assert_array_equal(votes, ((codes >= 0) & (codes < CLASSES)).sum(0))


@given(code_maps())
def test_shares_sum_to_one(codes):
    p_soft, _ = vote_shares(codes, CLASSES)
    np.testing.assert_allclose(p_soft.sum(0), 1, atol=1e-6)
    assert p_soft.min() >= 0


@given(code_maps(), st.randoms())
def test_the_order_of_sources_changes_nothing(codes, random):
    order = list(range(len(codes)))
    random.shuffle(order)
    for one, other in zip(vote_shares(codes, CLASSES), vote_shares(codes[order], CLASSES), strict=True):
        np.testing.assert_array_equal(one, other)


@given(code_maps())
def test_a_source_that_never_votes_changes_nothing(codes):
    silent = np.full((1, *codes.shape[1:]), -1, np.int16)
    with_silent = vote_shares(np.concatenate([codes, silent]), CLASSES)
    for one, other in zip(vote_shares(codes, CLASSES), with_silent, strict=True):
        np.testing.assert_array_equal(one, other)


def test_ties_go_to_the_lowest_code_and_are_known():
    codes = np.array(
        [[[3, 2, -1, 0, 1]], [[1, 2, -1, 0, 3]], [[1, 0, -1, 1, 2]], [[3, 0, -1, 2, 0]]], np.int16
    )
    p_soft, votes = vote_shares(codes, 4)
    assert argmax_codes(p_soft, votes > 0).tolist() == [[1, 0, -1, 0, 0]]
    assert argmax_ties(p_soft, votes > 0).tolist() == [[True, True, False, False, True]]


@pytest.mark.parametrize("num_classes", [-1, 0, 1, 32768])
def test_numbers_of_classes_out_of_range(num_classes):
    with pytest.raises(OptionError, match=f"num_classes: {num_classes} is out of range"):
        vote_shares(np.zeros((1, 2, 2), np.int16), num_classes)


def test_the_largest_code_that_int16_holds():
    p_soft, _ = vote_shares(np.full((1, 1, 1), 32766, np.int16), 32767)
    assert p_soft[32766, 0, 0] == 1


def test_public_name():
    assert coteach.vote_shares is vote_shares
