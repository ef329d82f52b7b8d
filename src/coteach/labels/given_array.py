"""Numbers as users have them (arrays, tensors, lists) -> NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np


def given_array(given: Any) -> np.ndarray | None:
    """What was given as an array, not copied where that can be helped.

    Args:
        given: an array, a tensor on any device, a table of numbers, or nested lists of them.

    Returns:
        The array; of ``bfloat16``, which NumPy lacks, float32. None for what is no array, such as rows of unequal length.
    """
    if hasattr(given, "detach"):  # a tensor; torch is not imported for the sake of asking
        given = given.detach().cpu()
        given = given.float() if str(given.dtype) == "torch.bfloat16" else given
    try:
        return np.asarray(given)
    except ValueError:
        return None
