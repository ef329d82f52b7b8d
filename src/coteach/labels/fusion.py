"""How the votes of several sources become P_soft: one table for all patterns, looked up for the pixels.

Shape legend: ``k`` patterns, ``s`` sources, ``c`` classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int16, Int64, Shaped, UInt8, UInt16

from coteach.labels.confidence import entropy_weight
from coteach.labels.patterns import PatternCode, PatternCounts
from coteach.labels.votes import argmax_codes, argmax_ties, vote_shares

_WHOLE = 1 << 18  # patterns of which all are worked out beforehand
_FULL = 255  # a share of 1 in 8 bits


@runtime_checkable
class LearnedShares(Protocol):
    """What estimated reliabilities make of patterns."""

    def shares(self, codes: Int16[np.ndarray, "k s"]) -> Float32[np.ndarray, "k c"]:
        """P_soft of each pattern; rows sum to 1."""

    def summary(self) -> Mapping[str, Any]:
        """All that decides the shares, as JSON has it."""


@dataclass(frozen=True)
class Fusion:
    """From votes to shares.

    Args:
        num_classes: C.
        weights: what the vote of each source counts; None counts each 1.
        learned: gives the shares instead; None where they are shares of votes.
    """

    num_classes: int
    weights: tuple[float, ...] | None = None
    learned: LearnedShares | None = None

    def shares(
        self, codes: Int16[np.ndarray, "k s"]
    ) -> tuple[Float32[np.ndarray, "c k"], UInt16[np.ndarray, " k"]]:
        """P_soft of each pattern, uniform where nobody votes; and the number of sources that vote."""
        shares, votes = vote_shares(np.ascontiguousarray(codes.T), self.num_classes, self.weights)
        if self.learned is not None:
            shares = np.ascontiguousarray(self.learned.shares(codes).T)
        return shares, votes

    def counts_votes(self, num_sources: int) -> bool:
        """Whether a share is a number of votes out of at most 255, which 8 bits hold exactly."""
        return self.weights is None and self.learned is None and num_sources <= _FULL

    def parts(
        self,
        codes: Int16[np.ndarray, "k s"],
        shares: Float32[np.ndarray, "c k"],
        votes: UInt16[np.ndarray, " k"],
    ) -> UInt8[np.ndarray, "c k"]:
        """P_soft in 8 bits: the votes for each class, else shares of 255; all 0 where nobody votes."""
        whole = votes.astype(np.float32) if self.counts_votes(codes.shape[1]) else np.float32(_FULL)
        parts: UInt8[np.ndarray, "c k"] = np.where(votes > 0, np.rint(shares * whole), 0).astype(np.uint8)
        return parts

    def dominant(self, patterns: PatternCounts) -> int | None:
        """The class that is argmax P_soft of most pixels; the lowest code among equals, None if nobody votes."""
        shares, votes = self.shares(patterns.codes)
        best = argmax_codes(shares, votes > 0)
        voted = best >= 0
        if not voted.any():
            return None
        return int(np.bincount(best[voted], patterns.counts[voted]).argmax())

    def recipe(self) -> dict[str, Any]:
        """All that decides the shares, as JSON has it."""
        learned = None if self.learned is None else self.learned.summary()
        return {"weights": None if self.weights is None else list(self.weights), "learned": learned}


class PatternTable(NamedTuple):
    """What is looked up for a pixel.

    Args:
        p_soft: ``(c, k)`` vote shares.
        parts: ``(c, k)`` the same in 8 bits.
        by_entropy: ``(k,)`` the entropy's part of W_conf.
        best: ``(k,)`` argmax of P_soft, the lowest code among equals; NO_VOTE without a vote.
        votes: ``(k,)`` sources that vote.
        tied: ``(k,)`` whether several classes have the largest share.
    """

    p_soft: Float32[np.ndarray, "c k"]
    parts: UInt8[np.ndarray, "c k"]
    by_entropy: Float32[np.ndarray, " k"]
    best: Int16[np.ndarray, " k"]
    votes: UInt16[np.ndarray, " k"]
    tied: Bool[np.ndarray, " k"]


@dataclass(frozen=True)
class PatternTables:
    """Tables of the patterns of a tile.

    Args:
        code: numbers the patterns of the tile's sources.
        columns: for each of all sources its place among those of the tile, or None.
        fusion: makes P_soft; of all sources.
        entropy_norm: see :func:`~coteach.labels.confidence.entropy_weight`.
        tile_range: see there.
    """

    code: PatternCode
    columns: tuple[int | None, ...]
    fusion: Fusion
    entropy_norm: str = "max_entropy"
    tile_range: tuple[float, float] | None = None

    def lookup(
        self,
    ) -> Callable[[Shaped[np.ndarray, "*pixels"]], tuple[PatternTable, Int64[np.ndarray, "*pixels"]]]:
        """A function: numbers of patterns -> a table, and the places of these patterns in it."""
        whole = self.table(np.arange(self.code.size)) if self.code.size <= _WHOLE else None

        def look_up(
            numbers: Shaped[np.ndarray, "*pixels"],
        ) -> tuple[PatternTable, Int64[np.ndarray, "*pixels"]]:
            if whole is not None:
                return whole, numbers.astype(np.int64)
            found, places = np.unique(numbers, return_inverse=True)
            return self.table(found), places.reshape(numbers.shape)

        return look_up

    def table(self, numbers: Shaped[np.ndarray, " k"]) -> PatternTable:
        """The table of these patterns."""
        codes = self.all_codes(numbers)
        p_soft, votes = self.fusion.shares(codes)
        voted = votes > 0
        return PatternTable(
            p_soft=p_soft,
            parts=self.fusion.parts(codes, p_soft, votes),
            by_entropy=entropy_weight(p_soft, voted, norm=self.entropy_norm, tile_range=self.tile_range),
            best=argmax_codes(p_soft, voted),
            votes=votes,
            tied=argmax_ties(p_soft, voted),
        )

    def all_codes(self, numbers: Shaped[np.ndarray, " k"]) -> Int16[np.ndarray, "k s"]:
        """What each of all sources votes for; those that the tile lacks do not."""
        own = self.code.codes(numbers)
        silent = np.full(len(own), -1, np.int16)
        return np.stack([silent if column is None else own[:, column] for column in self.columns], axis=1)
