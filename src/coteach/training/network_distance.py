"""How far networks are apart in what they say of the same pixels or images."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from jaxtyping import Float32


def mean_distance(networks: Float32[np.ndarray, "n c *s"]) -> Float32[np.ndarray, "*s"]:
    """Total variation distance ``½ Σ_c |p_a − p_b|`` of the networks' distributions, mean over all pairs.

    Args:
        networks: ``(N, C, *S)`` class probabilities of at least two networks.

    Returns:
        ``(*S,)`` in [0, 1].

    Example:
        >>> said = np.array([[[1.0], [0.0]], [[0.25], [0.75]]], np.float32)
        >>> mean_distance(said)
        array([0.75], dtype=float32)
    """
    pairs = list(combinations(networks, 2))
    total = np.zeros(networks.shape[2:], np.float32)
    for first, second in pairs:
        for a, b in zip(first, second, strict=True):  # class by class: no array of all classes is made
            total += np.abs(a - b)
    distance: Float32[np.ndarray, "*s"] = np.minimum(total / np.float32(2 * len(pairs)), np.float32(1))
    return distance
