"""Patterns: what each of S sources votes for at a pixel, taken together.

There are few of them beside the pixels. All that is a function of the votes alone (P_soft, entropy, argmax) is computed
once a pattern and looked up for the pixels, and counts of patterns tell everything that is a sum over pixels.

Shape legend: ``k`` patterns, ``s`` sources, ``h`` rows, ``w`` columns, ``c`` classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int16, Int64, Shaped, UInt

from coteach.errors import OptionError
from coteach.labels.votes import NO_VOTE, check_num_classes

_LARGEST = 2**62  # a number of patterns that int64 holds with room for sums


@dataclass(frozen=True, slots=True, eq=False)
class PatternCounts:
    """How often each pattern occurs.

    Args:
        codes: ``(k, s)`` what each source votes for, :data:`~coteach.labels.votes.NO_VOTE` if it does not; rows are
            distinct and sorted.
        counts: ``(k,)`` pixels, at least 1.
    """

    codes: Int16[np.ndarray, "k s"]
    counts: Int64[np.ndarray, " k"]

    @classmethod
    def merged(cls, parts: Sequence[PatternCounts]) -> PatternCounts:
        """The counts of several parts, of the same sources, together.

        Example:
            >>> one = PatternCounts(np.array([[0, 1]], np.int16), np.array([5]))
            >>> PatternCounts.merged([one, one]).counts.tolist()
            [10]
        """
        codes = np.concatenate([part.codes for part in parts])
        counts = np.concatenate([part.counts for part in parts])
        distinct, where = np.unique(codes, axis=0, return_inverse=True)
        sums = np.zeros(len(distinct), np.int64)
        np.add.at(sums, where.ravel(), counts)
        return cls(distinct, sums)

    def among(self, columns: Sequence[int | None]) -> PatternCounts:
        """The same with other sources: for each the present column, or None for one that never votes."""
        silent = np.full(len(self.codes), NO_VOTE, np.int16)
        picked = [silent if column is None else self.codes[:, column] for column in columns]
        codes = np.stack(picked, axis=1) if picked else np.empty((len(self.codes), 0), np.int16)
        return PatternCounts.merged([PatternCounts(codes, self.counts)])


@dataclass(frozen=True, slots=True)
class PatternCode:
    """Numbers patterns: the digits of a number of base C + 1 are the sources' votes, 0 being none.

    Args:
        num_sources: S, at least 1.
        num_classes: C.

    Raises:
        OptionError: there are more than 2^62 patterns.

    Example:
        >>> code = PatternCode(2, 3)
        >>> code.size, code.numbers(np.array([[[2]], [[-1]]], np.int16)).tolist(), code.codes(np.array([3])).tolist()
        (16, [[3]], [[2, -1]])
    """

    num_sources: int
    num_classes: int

    def __post_init__(self) -> None:
        check_num_classes(self.num_classes)
        if self.size > _LARGEST:
            cause = (
                f"{self.num_sources} sources of {self.num_classes} classes can vote in more than 2^62 ways"
            )
            raise OptionError("lulc_keys", cause, "use fewer sources at once")

    @property
    def size(self) -> int:
        """How many patterns there are."""
        return int((self.num_classes + 1) ** self.num_sources)

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """The smallest that holds every number."""
        return unsigned(self.size - 1)

    def digit(self, source: int) -> int:
        """What a vote of a source adds for each step of ``code + 1``."""
        return int((self.num_classes + 1) ** source)

    def numbers(self, codes: Int16[np.ndarray, "s *pixels"]) -> UInt[np.ndarray, "*pixels"]:
        """The number of the pattern of each pixel; codes are 0 to C - 1 or NO_VOTE."""
        numbers = np.zeros(codes.shape[1:], self.dtype)
        for source, votes in enumerate(codes):
            numbers += ((votes + 1).astype(self.dtype) * self.dtype.type(self.digit(source))).astype(
                self.dtype
            )
        return numbers

    def codes(self, numbers: Int[np.ndarray, " k"] | UInt[np.ndarray, " k"]) -> Int16[np.ndarray, "k s"]:
        """What each source votes for in the patterns of these numbers."""
        rest = numbers.astype(np.int64)
        codes = np.empty((len(numbers), self.num_sources), np.int16)
        for source in range(self.num_sources):
            rest, digit = np.divmod(rest, self.num_classes + 1)
            codes[:, source] = digit - 1
        return codes


def unsigned(largest: int) -> np.dtype[np.unsignedinteger]:
    """The smallest dtype of whole numbers, 0 to ``largest``; at most 2^64 - 1."""
    return np.dtype(f"u{np.min_scalar_type(largest).itemsize}")


def count_numbers(
    numbers: Shaped[np.ndarray, "*pixels"], size: int
) -> tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]:
    """The distinct numbers, ascending, and how often each occurs.

    Args:
        numbers: of any shape, 0 to ``size - 1``.
        size: how many there may be.
    """
    if size <= numbers.size:
        counts = np.bincount(numbers.ravel(), minlength=size)
        found = np.flatnonzero(counts)
        return found.astype(np.int64), counts[found].astype(np.int64)
    found, counts = np.unique(numbers, return_counts=True)
    return found.astype(np.int64), counts.astype(np.int64)
