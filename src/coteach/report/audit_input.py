"""Probabilities and labels as users have them (arrays, tensors, lists) -> NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from coteach.errors import InputError
from coteach.labels.given_array import given_array

_TIMES = 2.0  # by which the sums of rows may differ: those of rounded probabilities do a little


def as_probs(given: Any, option: str) -> Float[np.ndarray, "n c"]:
    """``(N, C)`` class probabilities.

    Args:
        given: an array, a tensor on any device, or nested lists of numbers.
        option: how the error names it.

    Raises:
        InputError: it is not one row of numbers an item, or they are scores: negative, infinite, or of sums that differ much (votes, which are
            whole numbers, may be of more people here than there); rows of zeros or NaN are not known.
    """
    found = given_array(given)
    if found is None or found.ndim != 2 or found.dtype.kind not in "biuf":
        raise InputError(option, _cause(given, found), "give class probabilities (N, C), one row an item")
    if found.dtype.kind != "f":
        found = found.astype(np.float64)
    _refuse_scores(found, option)
    return found


def _refuse_scores(probs: Float[np.ndarray, "n c"], option: str) -> None:
    """Rows are scaled to sum 1; if that takes very different numbers, they are no probabilities."""
    remedy = "give probabilities; of scores, their softmax"
    if (negative := np.argwhere(probs < 0)).size:
        item, column = negative[0]
        raise InputError(option, f"item {item} holds {probs[item, column]:.3g}", remedy)
    if (infinite := np.argwhere(np.isinf(probs))).size:
        item, column = infinite[0]
        raise InputError(option, f"item {item} holds {probs[item, column]}", remedy)
    if np.array_equal(probs, np.floor(probs), equal_nan=True):
        return  # votes
    total = probs.sum(1, dtype=np.float64)
    known = (total != 0) & ~np.isnan(total)
    usual = np.median(total[known]) if known.any() else 1.0
    wrong = np.flatnonzero(known & ~((total >= usual / _TIMES) & (total <= usual * _TIMES) & (total > 0)))
    if wrong.size:
        cause = f"item {wrong[0]} sums to {total[wrong[0]]:.3g}, others to {usual:.3g}"
        raise InputError(option, cause, remedy)


def as_labels(given: Any) -> Int64[np.ndarray, " n"]:
    """``(N,)`` classes, -1 for none.

    Args:
        given: an array, a tensor on any device, or a list of integers.

    Raises:
        InputError: it is not one integer an item.
    """
    found = given_array(given)
    if found is None or found.ndim != 1 or found.dtype.kind not in "iu":
        raise InputError("labels", _cause(given, found), "give integer classes (N,), -1 for none")
    return found.astype(np.int64)


def _cause(given: Any, found: np.ndarray | None) -> str:
    if found is None:
        return "have rows of unequal length"
    if found.dtype == object:
        return f"is no array of numbers, but {type(given).__name__}"
    return f"are {found.dtype} of shape {found.shape}"
