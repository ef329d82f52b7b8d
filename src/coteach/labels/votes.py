"""Label maps -> P_soft: the share of the sources that vote for each class, pixel by pixel.

Shape legend: ``S`` sources, ``C`` classes, ``h`` rows, ``w`` columns.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int16, UInt16

from coteach.errors import OptionError

NO_VOTE = -1
_MAX_CLASSES = np.iinfo(np.int16).max


def vote_shares(
    codes: Int[np.ndarray, "s h w"], num_classes: int
) -> tuple[Float32[np.ndarray, "c h w"], UInt16[np.ndarray, "h w"]]:
    """P_soft(c) = votes for c / votes, over the sources that vote at the pixel (Xiao et al., JSTARS 2026).

    Args:
        codes: ``(S, h, w)`` class codes; a source whose code is not in ``0 .. C-1`` does not vote there.
        num_classes: C, at least 2.

    Returns:
        P_soft, ``(C, h, w)`` in [0, 1], sum 1, uniform where nobody votes; and the number of votes, ``(h, w)``.

    Raises:
        OptionError: ``num_classes`` is out of range.

    Example:
        >>> p_soft, votes = vote_shares(np.array([[[0, -1]], [[1, -1]], [[1, -1]], [[1, 9]]]), num_classes=2)
        >>> p_soft.tolist(), votes.tolist()
        ([[[0.25, 0.5]], [[0.75, 0.5]]], [[4, 0]])
    """
    check_num_classes(num_classes)
    shares = np.empty((num_classes, *codes.shape[1:]), np.float32)
    for code in range(num_classes):
        shares[code] = np.count_nonzero(codes == code, axis=0)
    votes = shares.sum(axis=0)
    shares /= np.maximum(votes, 1)
    shares[:, votes == 0] = 1 / num_classes
    return shares, votes.astype(np.uint16)


def argmax_codes(
    p_soft: Float[np.ndarray, "c h w"], voted: Bool[np.ndarray, "h w"]
) -> Int16[np.ndarray, "h w"]:
    """The class with the largest share; ties go to the lowest code.

    Args:
        p_soft: ``(C, h, w)`` vote shares.
        voted: where at least one source votes.

    Returns:
        ``(h, w)`` class codes; :data:`NO_VOTE` where nobody votes.
    """
    return np.where(voted, p_soft.argmax(axis=0), NO_VOTE).astype(np.int16)


def argmax_ties(
    p_soft: Float[np.ndarray, "c h w"], voted: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """Where several classes share the largest share, so that the lowest code was an arbitrary choice.

    Args:
        p_soft: ``(C, h, w)`` vote shares; equal counts give equal floats.
        voted: where at least one source votes.

    Returns:
        ``(h, w)``; False where nobody votes.
    """
    winners = np.count_nonzero(p_soft == p_soft.max(axis=0), axis=0)
    ties: Bool[np.ndarray, "h w"] = voted & (winners > 1)
    return ties


def check_num_classes(num_classes: int) -> None:
    """Refuse a number of classes that has no entropy, or whose codes int16 does not hold.

    Raises:
        OptionError: it is out of range.
    """
    if not 2 <= num_classes <= _MAX_CLASSES:
        remedy = f"give the number of classes, 2 to {_MAX_CLASSES}; codes are 0 to that number less 1"
        raise OptionError("num_classes", f"{num_classes} is out of range", remedy)
