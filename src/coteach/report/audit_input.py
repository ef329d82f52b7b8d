"""Probabilities and labels as users have them (arrays, tensors, lists) -> NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from coteach.errors import InputError

_TOLERANCE = 1e-2  # by which part the sums of rows may differ; those of half precision are within it


def as_probs(given: Any, option: str) -> Float[np.ndarray, "n c"]:
    """``(N, C)`` class probabilities.

    Args:
        given: an array, a tensor on any device, or nested lists of numbers.
        option: how the error names it.

    Raises:
        InputError: it is not one row of numbers an item, or rows have different sums (1, or that of as many networks);
            rows of zeros or NaN are not known.
    """
    found = _array(given)
    if found is None or found.ndim != 2 or found.dtype.kind not in "biuf":
        raise InputError(option, _cause(given, found), "give class probabilities (N, C), one row an item")
    _refuse_scores(found, option)
    return found if found.dtype.kind == "f" else found.astype(np.float64)


def _refuse_scores(probs: Float[np.ndarray, "n c"], option: str) -> None:
    """Rows are scaled to sum 1; if that takes another number for each, they are no probabilities."""
    total = probs.sum(1, dtype=np.float64)
    known = (total != 0) & ~np.isnan(total)
    usual = np.median(total[known]) if known.any() else 1.0
    wrong = np.flatnonzero(known & ~(np.abs(total - usual) <= _TOLERANCE * abs(usual)))
    if wrong.size:
        cause = f"item {wrong[0]} sums to {total[wrong[0]]:.3g}, others to {usual:.3g}"
        raise InputError(option, cause, "give probabilities; of scores, their softmax")


def as_labels(given: Any) -> Int64[np.ndarray, " n"]:
    """``(N,)`` classes, -1 for none.

    Args:
        given: an array, a tensor on any device, or a list of integers.

    Raises:
        InputError: it is not one integer an item.
    """
    found = _array(given)
    if found is None or found.ndim != 1 or found.dtype.kind not in "iu":
        raise InputError("labels", _cause(given, found), "give integer classes (N,), -1 for none")
    return found.astype(np.int64)


def _array(given: Any) -> np.ndarray | None:
    """None for what is no array, such as rows of unequal length."""
    if hasattr(given, "detach"):  # a tensor; torch is not imported for the sake of asking
        given = given.detach().cpu()
        given = given.double() if given.is_floating_point() else given  # NumPy lacks bfloat16
    try:
        return np.asarray(given)
    except ValueError:
        return None


def _cause(given: Any, found: np.ndarray | None) -> str:
    if found is None:
        return "have rows of unequal length"
    if found.dtype == object:
        return f"is no array of numbers, but {type(given).__name__}"
    return f"are {found.dtype} of shape {found.shape}"
