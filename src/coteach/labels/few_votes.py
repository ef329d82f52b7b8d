"""The entropy of shares of few votes: looked up, as there are few shares."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32, Float64

from coteach.labels.confidence import entropy

MOST = 10  # sources; their least common multiple, 2520, is far below what float32 tells apart


class FewVotes:
    """Gives the numbers of :func:`~coteach.labels.confidence.entropy` for shares ``v / n`` of at most N votes.

    ``v / n`` times the least common multiple of 1 to N is a whole number, which is its place in a table.

    Args:
        num_sources: N, at most :data:`MOST`.

    Example:
        >>> FewVotes(2).entropy(np.array([[0.5], [0.5], [0.0]], np.float32)).round(4).tolist()
        [0.6931]
    """

    def __init__(self, num_sources: int) -> None:
        self._parts = math.lcm(*range(1, num_sources + 1))
        self._terms = np.zeros(self._parts + 1, np.float64)
        for total in range(1, num_sources + 1):
            votes = np.arange(total + 1, dtype=np.float32)
            places = np.arange(total + 1) * (self._parts // total)
            self._terms[places] = entropy((votes / np.float32(total))[None])

    def entropy(self, p_soft: Float32[np.ndarray, "c *pixels"]) -> Float64[np.ndarray, "*pixels"]:
        """H in nats, to the last bit.

        Args:
            p_soft: ``(C, ...)`` such shares; of others, as where nobody votes, H is without meaning.
        """
        total = np.zeros(p_soft.shape[1:], np.float64)
        for share in p_soft:
            places = (share * np.float32(self._parts) + np.float32(0.5)).astype(np.int16)
            total += self._terms.take(places)
        return total
