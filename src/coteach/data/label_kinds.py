"""What may be the label of an image, and why something is none."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from reprlib import repr as shortly
from typing import Any

import numpy as np
from torch import Tensor

REMEDY = "give the number of its class, an integer, or an array of shares as floats; -1 is no label"


def why_no_label(label: Any) -> str:
    """Why something is no label of an image or a map; empty if it may be one.

    Args:
        label: of one sample. Numbers of classes, rows of shares, maps of two axes or more and mappings of these may be labels.

    Example:
        >>> why_no_label(1.5), why_no_label(np.array([0, 1])), why_no_label(np.array([0.5, 0.5]))
        ('is 1.5', 'is a row of 2 integers', '')
    """
    if isinstance(label, Mapping | Integral):
        return ""
    if not isinstance(label, Tensor | np.ndarray | np.generic):
        return f"is {shortly(label)}"
    floating = label.is_floating_point() if isinstance(label, Tensor) else label.dtype.kind == "f"
    whole = not floating and (isinstance(label, Tensor) or label.dtype.kind in "iub")
    shape: tuple[int, ...] = tuple(label.shape)
    if not shape:
        return "" if whole else f"is {label.item()!r}"
    if shape == (1,):
        return "has shape (1,)"
    return f"is a row of {shape[0]} integers" if len(shape) == 1 and whole else ""
