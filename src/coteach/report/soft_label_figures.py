"""What can be said of soft labels from the counts of their patterns alone; no raster is read.

Shape legend: ``k`` patterns, ``s`` sources, ``c`` classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int16, Int64

from coteach.labels.confidence import entropy
from coteach.labels.fusion import Fusion
from coteach.labels.patterns import PatternCounts
from coteach.labels.votes import NO_VOTE, argmax_codes, argmax_ties

ENTROPY_BINS = 20
_ROUNDING = 1e-6  # nats; float32 shares put an entropy a little beside the edge of a bin that it lies on


@dataclass(frozen=True, slots=True)
class Spread:
    """How far the sources disagree.

    Args:
        pixels: all of them.
        voted: those with a vote.
        ties: those where several classes have the largest share.
        united: those where P_soft is one class only.
        mean_entropy: of the pixels with a vote, in nats; NaN if there is none.
    """

    pixels: int
    voted: int
    ties: int
    united: int
    mean_entropy: float

    @property
    def silent_share(self) -> float:
        """Share of the pixels without a vote; NaN if there is no pixel."""
        return _ratio(self.pixels - self.voted, self.pixels)

    @property
    def tied_share(self) -> float:
        """Share of the pixels with a vote where classes are level; NaN if there is none."""
        return _ratio(self.ties, self.voted)

    @property
    def united_share(self) -> float:
        """Share of the pixels with a vote where P_soft is one class only; NaN if there is none."""
        return _ratio(self.united, self.voted)


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """A tile, or all of them together. Shares of nothing are NaN.

    Args:
        spread: how far the sources disagree.
        by_votes: ``(s + 1,)`` pixels with 0, 1, .. S votes that count.
        coverage: ``(s,)`` share of the pixels where the source votes.
        both: ``(s, s)`` pixels where both sources vote.
        agreement: ``(s, s)`` share of these where they vote for the same class.
        by_source: ``(s, c)`` share of each class in the votes of the source.
        by_argmax: ``(c,)`` share of each class in the argmax of P_soft.
        entropy_shares: ``(20,)`` share of the pixels with a vote in each bin of entropy, from 0 to log C; what lies on
            the edge of two bins is in the upper one.
    """

    spread: Spread
    by_votes: Int64[np.ndarray, " votes"]
    coverage: Float64[np.ndarray, " s"]
    both: Int64[np.ndarray, "s s"]
    agreement: Float64[np.ndarray, "s s"]
    by_source: Float64[np.ndarray, "s c"]
    by_argmax: Float64[np.ndarray, " c"]
    entropy_shares: Float64[np.ndarray, " bins"]


def overview(patterns: PatternCounts, fusion: Fusion) -> Overview:
    """All that counts of patterns tell.

    Args:
        patterns: of a tile, or of all tiles, merged.
        fusion: how they become P_soft.

    Example:
        >>> patterns = PatternCounts(np.array([[0, 0], [0, 1]], np.int16), np.array([3, 1]))
        >>> overview(patterns, Fusion(2)).agreement[0, 1].item()
        0.75
    """
    codes, counts = patterns.codes, patterns.counts
    p_soft, votes = fusion.shares(codes)
    voted, spreads = votes > 0, entropy(p_soft)
    present = codes != NO_VOTE
    covered = present.T.astype(np.int64) @ counts
    both, same = _pairs(codes, counts)
    histogram = _histogram(spreads[voted], counts[voted], math.log(fusion.num_classes))
    by_votes = np.zeros(codes.shape[1] + 1, np.int64)
    np.add.at(by_votes, votes.astype(np.int64), counts)
    sources = [class_counts(column, counts, fusion.num_classes) for column in codes.T]
    by_source = np.array(sources, np.int64).reshape(codes.shape[1], fusion.num_classes)
    winners = class_counts(argmax_codes(p_soft, voted), counts, fusion.num_classes)
    return Overview(
        spread=_spread(patterns, p_soft, voted, spreads),
        by_votes=by_votes,
        coverage=_shares(covered, counts.sum()),
        both=both,
        agreement=_shares(same, both),
        by_source=_shares(by_source, by_source.sum(axis=1, keepdims=True)),
        by_argmax=_shares(winners, winners.sum()),
        entropy_shares=_shares(histogram, histogram.sum()),
    )


def class_counts(
    codes: Int16[np.ndarray, " k"], counts: Int64[np.ndarray, " k"], num_classes: int
) -> Int64[np.ndarray, " c"]:
    """Pixels of each class; what is none (negative) is left out."""
    totals = np.zeros(num_classes, np.int64)
    known = codes >= 0
    np.add.at(totals, codes[known], counts[known])
    return totals


def _spread(
    patterns: PatternCounts,
    p_soft: Float32[np.ndarray, "c k"],
    voted: Bool[np.ndarray, " k"],
    spreads: Float64[np.ndarray, " k"],
) -> Spread:
    counts = patterns.counts
    voters = int(counts[voted].sum())
    return Spread(
        pixels=int(counts.sum()),
        voted=voters,
        ties=int(counts[argmax_ties(p_soft, voted)].sum()),
        united=int(counts[voted & (spreads < _ROUNDING)].sum()),
        mean_entropy=_ratio(float(spreads[voted] @ counts[voted]), voters),
    )


def _pairs(
    codes: Int16[np.ndarray, "k s"], counts: Int64[np.ndarray, " k"]
) -> tuple[Int64[np.ndarray, "s s"], Int64[np.ndarray, "s s"]]:
    """Pixels where both sources vote, and where they vote for the same class."""
    num_sources = codes.shape[1]
    both, same = np.zeros((2, num_sources, num_sources), np.int64)
    for one in range(num_sources):
        for other in range(num_sources):
            voting = (codes[:, one] != NO_VOTE) & (codes[:, other] != NO_VOTE)
            both[one, other] = counts[voting].sum()
            same[one, other] = counts[voting & (codes[:, one] == codes[:, other])].sum()
    return both, same


def _histogram(
    spreads: Float64[np.ndarray, " k"], counts: Int64[np.ndarray, " k"], highest: float
) -> Int64[np.ndarray, " bins"]:
    """Pixels in each of 20 equal bins of entropy from 0 to the highest."""
    bins = np.zeros(ENTROPY_BINS, np.int64)
    places = np.floor((spreads + _ROUNDING) / highest * ENTROPY_BINS).astype(np.int64)
    np.add.at(bins, np.minimum(places, ENTROPY_BINS - 1), counts)
    return bins


def _shares(
    parts: Int64[np.ndarray, "*shape"], totals: Int64[np.ndarray, "*any"] | np.int64
) -> Float64[np.ndarray, "*shape"]:
    """Shares of totals; NaN where the total is 0."""
    whole = np.broadcast_to(np.asarray(totals, np.float64), parts.shape)
    shares: Float64[np.ndarray, "*shape"] = np.full(parts.shape, np.nan)
    np.divide(parts, whole, out=shares, where=whole > 0)
    return shares


def _ratio(part: float | int, whole: int) -> float:  # noqa: PYI041
    return part / whole if whole else math.nan


def most_disputed(tiles: Sequence[Overview]) -> list[int]:
    """The places of the tiles, those of the highest mean entropy first, those without a vote last."""
    means = np.array([tile.spread.mean_entropy for tile in tiles], np.float64)
    return [int(place) for place in np.argsort(-means, kind="stable")]  # NaN is sorted to the end
