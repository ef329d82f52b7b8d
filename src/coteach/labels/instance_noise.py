"""Noise that depends on the item: each has a rate of its own, and alike ones are taken for the same class.

Xia et al. 2020, algorithm 2. Noise that depends on the class alone is in :mod:`coteach.labels.noise`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, Num
from scipy.special import softmax
from scipy.stats import truncnorm

from coteach.errors import InputError
from coteach.labels.given_array import given_array
from coteach.labels.noisy_labels import NoisyLabels, check_noise, flat_labels, generator

_SPREAD = 0.1  # standard deviation of the items' own rates


def instance_dependent_noise(
    labels: Any,
    features: Any,
    num_classes: int,
    rate: float,
    *,
    seed: int | np.random.Generator,
    exact: bool = False,
) -> NoisyLabels:
    """A label is wrong as the item's features will: alike items are taken for the same wrong class.

    Each item has a rate of its own, drawn from a normal distribution about ``rate`` (standard deviation 0.1) cut to
    [0, 1], so that of a small rate more labels are wrong: 10 % of 0.05, 13 % of 0.1, 20 % of 0.2; none of 0. Its wrong classes are as likely as the softmax of a random projection of its features says; each true
    class has a projection of its own.

    Args:
        labels: ``(N,)`` integer classes 0 to K-1: an array, a tensor, or a list; negative ones are no label and stay.
        features: ``(N, F)`` numbers, given as the labels are, best standardised; the flattened image, or an embedding.
        num_classes: ``K``, at least 2.
        rate: mean of the items' rates before they are cut, in [0, 1]; 0 changes nothing.
        seed: of all that is random: a number from 0 on, or a generator, which is drawn from.
        exact: in each class as many labels are wrong as its items' rates sum up to, to within one.

    Returns:
        The labels; row ``i`` of the transition is the mean over the items of class ``i`` (a class without items
        keeps its label).

    Raises:
        OptionError: the rate is no share, or there are not two classes.
        InputError: a label is K or more, there is not one row of features an item, or one holds NaN or infinity.
    """
    check_noise(num_classes, rate)
    noisy = flat_labels(labels, num_classes)
    rows = _rows(features, noisy.shape)
    rng = generator(seed)
    low, high = -rate / _SPREAD, (1 - rate) / _SPREAD
    own_rate = np.zeros(len(rows))
    if rate > 0:
        own_rate = truncnorm.rvs(low, high, loc=rate, scale=_SPREAD, size=len(rows), random_state=rng)
    transition = np.eye(num_classes)
    for code in range(num_classes):
        projection = rng.standard_normal((rows.shape[1], num_classes))
        items = np.flatnonzero(noisy.clean == code)
        if not len(items):
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            scores = rows[items].astype(np.float64) @ projection
        if not np.isfinite(scores).all():
            cause = f"reach {np.abs(rows[items]).max():.3g}, too large to be projected"
            raise InputError("features", cause, "standardise them")
        scores[:, code] = -np.inf
        other = softmax(scores, axis=1)
        q = own_rate[items]
        transition[code] = ((1 - q)[:, None] * np.eye(num_classes)[code] + q[:, None] * other).mean(0)
        wrong = _systematic(q, rng) if exact else rng.random(len(q)) < q
        noisy.given[items[wrong]] = _draw(other[wrong], rng)
    return NoisyLabels(noisy.given, transition)


def _rows(features: Any, labelled: tuple[int, ...]) -> Num[np.ndarray, "n f"]:
    """Features as an array.

    Raises:
        InputError: there is not one row of finite numbers a label.
    """
    rows = given_array(features)
    if rows is None or rows.ndim != 2 or labelled != (len(rows),) or rows.dtype.kind not in "iuf":
        cause = "rows of unequal length" if rows is None else f"shape {rows.shape} of {rows.dtype}"
        cause += f" for labels of shape {labelled}"
        raise InputError("features", cause, "give one row of numbers an item; images are flattened")
    broken = np.flatnonzero(~np.isfinite(rows).all(1))
    if broken.size:
        cause = f"row {broken[0]} holds NaN or infinity"
        raise InputError("features", cause, "replace it, or leave the item out")
    return rows


def _systematic(rates: Float64[np.ndarray, " n"], rng: np.random.Generator) -> Int64[np.ndarray, " m"]:
    """Positions drawn with these probabilities, as many as they sum up to (to within one): systematic sampling."""
    order = rng.permutation(len(rates))
    marks = np.floor(np.cumsum(rates[order]) + rng.random()).astype(np.int64)
    return order[np.diff(marks, prepend=0) > 0]


def _draw(probs: Float64[np.ndarray, "m k"], rng: np.random.Generator) -> Int64[np.ndarray, " m"]:
    """One class a row."""
    reached = np.cumsum(probs, axis=1) / probs.sum(1, keepdims=True)
    above = rng.random(len(probs))[:, None] >= reached[:, :-1]  # the last class takes what rounding leaves
    drawn: Int64[np.ndarray, " m"] = above.sum(1)
    return drawn
