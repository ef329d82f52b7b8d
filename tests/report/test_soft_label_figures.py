"""Figures of soft labels, worked out by hand and pixel by pixel."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from coteach.labels.fusion import Fusion
from coteach.labels.patterns import PatternCounts
from coteach.report.soft_label_figures import most_disputed, overview
from coteach.report.soft_label_histogram import entropy_histogram


def patterns_of(*counted):
    """(codes, pixels) each."""
    ordered = sorted(counted)
    return PatternCounts(
        np.array([codes for codes, _ in ordered], np.int16), np.array([n for _, n in ordered], np.int64)
    )


HAND = patterns_of(
    ((0, 0, 0), 10), ((0, 1, -1), 4), ((1, 1, 2), 6), ((-1, -1, -1), 5), ((2, -1, -1), 5)
)  # 30 pixels, 25 with a vote


def test_all_figures_by_hand():
    found = overview(HAND, Fusion(3))
    spread = found.spread
    assert (spread.pixels, spread.voted, spread.ties, spread.united) == (30, 25, 4, 15)
    assert spread.silent_share == 5 / 30
    assert spread.tied_share == 4 / 25
    # 0.693147 = log 2 at 4 pixels; two to one at 6: log 3 - 2/3 log 2 = 0.636514
    assert spread.mean_entropy == pytest.approx((4 * 0.693147 + 6 * 0.636514) / 25, abs=1e-6)
    assert found.by_votes.tolist() == [5, 5, 4, 16]
    assert found.coverage.tolist() == [25 / 30, 20 / 30, 16 / 30]
    assert found.both.tolist() == [[25, 20, 16], [20, 20, 16], [16, 16, 16]]
    assert found.agreement.tolist() == [[1, 16 / 20, 10 / 16], [16 / 20, 1, 10 / 16], [10 / 16, 10 / 16, 1]]
    assert found.by_source.tolist() == [[14 / 25, 6 / 25, 5 / 25], [0.5, 0.5, 0], [10 / 16, 0, 6 / 16]]
    assert found.by_argmax.tolist() == [14 / 25, 6 / 25, 5 / 25]  # the tie goes to class 0
    # bins of log 3 / 20 = 0.05493: 0.6365 is in the 12th, 0.6931 in the 13th
    expected = [0.0] * 20
    expected[0], expected[11], expected[12] = 15 / 25, 6 / 25, 4 / 25
    assert found.entropy_shares.tolist() == expected


@pytest.mark.parametrize(("num_classes", "votes"), [(4, 2), (9, 3), (16, 4), (25, 5), (49, 7)])
def test_an_entropy_on_the_edge_of_two_bins_is_in_the_upper_one(num_classes, votes):
    # log n of log n^2 is half of the scale, whatever the rounding of 1 / n
    found = overview(patterns_of((tuple(range(votes)), 7)), Fusion(num_classes))
    assert found.entropy_shares.tolist() == [0] * 10 + [1] + [0] * 9


@pytest.mark.parametrize("num_classes", [2, 3, 7, 10])
def test_the_greatest_entropy_is_in_the_last_bin(num_classes):
    found = overview(patterns_of((tuple(range(num_classes)), 1)), Fusion(num_classes))
    assert found.entropy_shares[-1] == 1


def test_a_source_of_weight_0_is_seen_but_does_not_vote():
    patterns = patterns_of(((-1, 1), 3), ((0, 1), 2))
    found = overview(patterns, Fusion(2, weights=(1.0, 0.0)))
    assert found.by_votes.tolist() == [3, 2, 0]
    assert found.coverage.tolist() == [2 / 5, 1]
    assert found.by_argmax.tolist() == [1, 0]
    assert found.spread.mean_entropy == 0


def test_without_any_vote_shares_are_of_nothing():
    found = overview(patterns_of(((-1, -1), 8)), Fusion(2))
    assert (found.spread.pixels, found.spread.voted, found.spread.silent_share) == (8, 0, 1)
    for value in (found.spread.mean_entropy, found.spread.tied_share, found.agreement[0, 1]):
        assert math.isnan(value)
    assert np.isnan(found.by_source).all()
    assert np.isnan(found.by_argmax).all()
    assert found.coverage.tolist() == [0, 0]
    assert entropy_histogram(found.entropy_shares, 2) is None


def test_the_most_disputed_tile_comes_first():
    tiles = [
        patterns_of(((-1, -1), 9)),
        patterns_of(((0, 0), 9), ((0, 1), 1)),
        patterns_of(((0, 1), 1)),
        patterns_of(((1, 1), 5)),
        patterns_of(((0, 0), 5)),
    ]
    assert most_disputed([overview(tile, Fusion(2)) for tile in tiles]) == [2, 1, 3, 4, 0]


@given(arrays(np.int16, st.tuples(st.integers(1, 4), st.integers(1, 30)), elements=st.integers(-1, 3)))
def test_figures_are_those_of_the_pixels_one_by_one(maps):
    codes, counts = np.unique(maps.T, axis=0, return_counts=True)
    found = overview(PatternCounts(codes, counts.astype(np.int64)), Fusion(4))
    pixels = [[int(code) for code in column] for column in maps.T]
    voting = [[code for code in pixel if code >= 0] for pixel in pixels]
    tallies = [[votes.count(code) for code in range(4)] for votes in voting if votes]
    entropies = [-sum(n / sum(t) * math.log(n / sum(t)) for n in t if n) for t in tallies]
    if tallies:
        assert found.spread.mean_entropy == pytest.approx(sum(entropies) / len(tallies), abs=1e-6)
    assert found.spread.voted == len(tallies)
    assert found.spread.ties == sum(t.count(max(t)) > 1 for t in tallies)
    assert found.spread.united == sum(len(set(votes)) == 1 for votes in voting)
    assert found.by_votes.tolist() == [sum(len(v) == n for v in voting) for n in range(len(maps) + 1)]
    for one, other in np.ndindex(len(maps), len(maps)):
        pairs = [(p[one], p[other]) for p in pixels if p[one] >= 0 and p[other] >= 0]
        assert found.both[one, other] == len(pairs)
        if pairs:
            assert found.agreement[one, other] == sum(a == b for a, b in pairs) / len(pairs)
    winners = [t.index(max(t)) for t in tallies]
    for code in range(4):
        if winners:
            assert found.by_argmax[code] == winners.count(code) / len(winners)


def test_the_bars_are_as_high_as_their_shares():
    chart = entropy_histogram(np.array([0.5, 0.0, 0.25, 0.25]), 3)
    assert chart is not None
    by_text = {text: y for y, text in chart.y_ticks}
    assert chart.bars[0].y == by_text["50"]
    assert chart.bars[1].y == by_text["0"]
    assert chart.bars[2].y == pytest.approx((by_text["50"] + by_text["0"]) / 2)
    assert chart.bars[2].tooltip.startswith("0.55 to 0.82 nats: 25.0")  # log 3 = 1.0986
    assert [float(text) for _, text in chart.x_ticks] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
