"""How well a ranking finds what is wrong."""

import numpy as np


def average_precision(scores, wrong):
    """Mean precision at each wrong item, the highest score first, equal ones in their order."""
    hits = wrong[np.argsort(-scores, kind="stable")]
    return (hits.cumsum() / np.arange(1, len(hits) + 1))[hits].mean()
