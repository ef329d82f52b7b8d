"""What every noise of items gives, and what it asks of the clean labels."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from coteach.errors import InputError, OptionError
from coteach.labels.given_array import given_array


class NoisyLabels(NamedTuple):
    """Labels that are partly wrong.

    Args:
        labels: int64, shaped like the clean ones.
        transition: ``(K, K)`` float64; rows sum to 1.
    """

    labels: Int64[np.ndarray, "*items"]
    transition: Float64[np.ndarray, "k k"]


class FlatLabels(NamedTuple):
    """Labels in one row: the clean ones, and a copy to put the noise in."""

    clean: Int64[np.ndarray, " n"]
    given: Int64[np.ndarray, " n"]
    shape: tuple[int, ...]


def flat_labels(labels: Any, num_classes: int) -> FlatLabels:
    """Labels of any shape in one row.

    Args:
        labels: integers: an array, a tensor, or a list, as data sets keep them.
        num_classes: ``K``.

    Raises:
        InputError: a label is K or more, or they are no integers.
    """
    remedy = "give integers, negative for no label"
    found = given_array(labels)
    if found is None:
        raise InputError("labels", "are lists of unequal length", remedy)
    if found.size and not np.issubdtype(found.dtype, np.integer):
        raise InputError("labels", f"are {found.dtype}", remedy)
    clean = found.ravel().astype(np.int64)
    if clean.size and clean.max() >= num_classes:
        cause = f"class {clean.max()} for {num_classes} classes"
        raise InputError("labels", cause, f"use 0 to {num_classes - 1}, negative for no label")
    return FlatLabels(clean, clean.copy(), found.shape)


def check_noise(num_classes: Any, rate: Any) -> None:
    """Refuse a rate that is no share of the labels, and fewer than two classes.

    Raises:
        OptionError: see above.
    """
    if not isinstance(num_classes, Integral):
        raise OptionError("num_classes", f"is {num_classes!r}", "give a whole number, such as 10")
    if num_classes < 2:
        raise OptionError("num_classes", f"{num_classes} leaves no wrong class", "give at least 2")
    if not isinstance(rate, Real):
        raise OptionError("rate", f"is {rate!r}", "give a share of the labels, such as 0.2")
    if not 0 <= float(rate) <= 1:
        raise OptionError("rate", f"{rate} is outside [0, 1]", "give a share of the labels")


def generator(seed: Any) -> np.random.Generator:
    """What random numbers are drawn from: a generator of NumPy is taken as it is.

    Raises:
        OptionError: the seed is no whole number, or negative.
    """
    if isinstance(seed, np.random.Generator):
        return seed
    if not isinstance(seed, Integral) or seed < 0:
        raise OptionError("seed", f"is {seed!r}", "give a whole number from 0 on")
    return np.random.default_rng(int(seed))
