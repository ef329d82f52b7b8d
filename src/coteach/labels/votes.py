"""Label maps -> P_soft: the share of the sources that vote for each class, pixel by pixel.

Shape legend: ``S`` sources, ``C`` classes, ``h`` rows, ``w`` columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int16, UInt16

from coteach.errors import OptionError

NO_VOTE = -1
_MAX_CLASSES = np.iinfo(np.int16).max


def vote_shares(
    codes: Int[np.ndarray, "s *pixels"], num_classes: int, weights: Sequence[float] | None = None
) -> tuple[Float32[np.ndarray, "c *pixels"], UInt16[np.ndarray, "*pixels"]]:
    """P_soft(c) = votes for c / votes, over the sources that vote at the pixel (Xiao et al., JSTARS 2026).

    Args:
        codes: ``(S, ...)``, as ``(S, h, w)``, class codes; a source whose code is not in ``0 .. C-1`` does not vote there.
        num_classes: C, at least 2.
        weights: what the vote of each source counts, at least 0; a source of weight 0 does not vote. None counts each 1.

    Returns:
        P_soft, ``(C, ...)`` in [0, 1], sum 1, uniform where nobody votes; and the number of sources that vote, ``(...)``.

    Raises:
        OptionError: ``num_classes`` or a weight is out of range.

    Example:
        >>> p_soft, votes = vote_shares(np.array([[[0, -1]], [[1, -1]], [[1, -1]], [[1, 9]]]), num_classes=2)
        >>> p_soft.tolist(), votes.tolist()
        ([[[0.25, 0.5]], [[0.75, 0.5]]], [[4, 0]])
        >>> vote_shares(np.array([[0], [1]]), 2, weights=[3, 1])[0].tolist()
        [[0.75], [0.25]]
    """
    check_num_classes(num_classes)
    voters = codes if weights is None else codes[np.asarray(check_weights(weights, len(codes))) > 0]
    votes = np.count_nonzero((voters >= 0) & (voters < num_classes), axis=0)
    if weights is None:
        shares = np.empty((num_classes, *codes.shape[1:]), np.float32)
        for code in range(num_classes):
            shares[code] = np.count_nonzero(codes == code, axis=0)
        shares /= np.maximum(votes, 1).astype(np.float32)
    else:
        shares = _weighted_shares(codes, num_classes, weights)
    shares[:, votes == 0] = 1 / num_classes
    return shares, np.asarray(votes, np.uint16)


def _weighted_shares(
    codes: Int[np.ndarray, "s *pixels"], num_classes: int, weights: Sequence[float]
) -> Float32[np.ndarray, "c *pixels"]:
    """Shares of the weight; without meaning where nobody votes."""
    sums = np.zeros((num_classes, *codes.shape[1:]), np.float64)
    # heavy ones first, so that the order of the sources does not change the last digit
    for source in sorted(range(len(weights)), key=lambda source: -weights[source]):
        for code in range(num_classes):
            sums[code] += np.where(codes[source] == code, float(weights[source]), 0.0)
    total = sums.sum(axis=0)
    shares: Float32[np.ndarray, "c *pixels"] = (sums / np.where(total > 0, total, 1)).astype(np.float32)
    return shares


def check_weights(weights: Sequence[float], num_sources: int) -> Sequence[float]:
    """Refuse weights of sources that are none.

    Returns:
        The same weights.

    Raises:
        OptionError: there are not as many as sources, one is negative or no number, or all are 0.
    """
    if len(weights) != num_sources:
        cause = f"there are {len(weights)} for {num_sources} sources"
        raise OptionError("weights", cause, "give one a source")
    bad = next((weight for weight in weights if not (math.isfinite(weight) and weight >= 0)), None)
    if bad is not None:
        raise OptionError("weights", f"{bad} is no weight", "give numbers of at least 0")
    if not any(weights):
        raise OptionError("weights", "all are 0, so that nothing votes", "give one above 0")
    return weights


def argmax_codes(
    p_soft: Float[np.ndarray, "c *pixels"], voted: Bool[np.ndarray, "*pixels"]
) -> Int16[np.ndarray, "*pixels"]:
    """The class with the largest share; ties go to the lowest code.

    Args:
        p_soft: ``(C, ...)`` vote shares.
        voted: where at least one source votes.

    Returns:
        ``(...)`` class codes; :data:`NO_VOTE` where nobody votes.
    """
    return np.where(voted, p_soft.argmax(axis=0), NO_VOTE).astype(np.int16)


def argmax_ties(
    p_soft: Float[np.ndarray, "c *pixels"], voted: Bool[np.ndarray, "*pixels"]
) -> Bool[np.ndarray, "*pixels"]:
    """Where several classes share the largest share, so that the lowest code was an arbitrary choice.

    Args:
        p_soft: ``(C, ...)`` vote shares; equal counts give equal floats.
        voted: where at least one source votes.

    Returns:
        ``(...)``; False where nobody votes.
    """
    winners = np.count_nonzero(p_soft == p_soft.max(axis=0), axis=0)
    ties: Bool[np.ndarray, "*pixels"] = voted & (winners > 1)
    return ties


def check_num_classes(num_classes: int) -> None:
    """Refuse a number of classes that has no entropy, or whose codes int16 does not hold.

    Raises:
        OptionError: it is out of range.
    """
    if not 2 <= num_classes <= _MAX_CLASSES:
        remedy = f"give the number of classes, 2 to {_MAX_CLASSES}; codes are 0 to that number less 1"
        raise OptionError("num_classes", f"{num_classes} is out of range", remedy)
