"""What is assumed of the noise behind class probabilities, where the given labels do not tell.

Networks confuse classes as labels do. Given a free choice of which class is mistaken for which, the model of
:mod:`coteach.labels.quality` explains the one by the other, and finds wrong labels where there are only hard images. Noise
that is the same everywhere cannot do so: it is assumed where networks are unsure of most items, and wherever the labels
hardly speak against it.

Shape legend: ``N`` items, ``C`` classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int64

from coteach.labels.quality import known_items, label_quality

_SURE = 0.5  # mean largest probability from which a reading is taken at its word
_SHARES = (0.1, 0.3, 1.0)  # of the items of a class
_COST = 0.02  # nats a wrong label
_TOLERANCE = 1e-5  # nats an item
_ITEMS = 5000  # looked at, times classes
_LEAST = 100  # the same, of more than can be looked at
_WORK = 1 << 21  # numbers looked at
_CLEAR = 0.03  # nats of log-likelihood a nat of entropy
_MANY_WRONG = 0.1  # share of labels from which on all the emphasis of 1 is given


class Assumed(NamedTuple):
    """What is assumed of the noise behind one reading, as :func:`label_quality` takes it.

    Args:
        alike: items of each class that speak for noise that is the same everywhere, >= 0.
        entropy_weight: how much speaks for images whose class is clear, nats of log-likelihood a nat of entropy, >= 0.
        emphasis: how much large probabilities count for more than by their logarithm, >= 0.
    """

    alike: float
    entropy_weight: float
    emphasis: float


def assumed_for(probs: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " m"]) -> Assumed:
    """What is to be assumed of the noise behind a reading.

    ``alike`` is the largest of a few numbers up to which the labels hardly speak against it: each costs no more of their log-likelihood
    than free confusions gain by chance (half a nat for each number, times (a/(1+a))² if they are shrunk to 1/(1+a)),
    and 0.02 nats for each label that is wrong by free confusions. It is at least as many as the items of a class of average
    size, times what the mean largest probability lacks of one half. With two classes it is 0.

    Confusions that labels speak for tell how many are wrong. Where they do not, that is a question of how clear the images are:
    networks that are unsure since labels are wrong look like networks that are unsure of right ones. There (but not where only
    unsure networks ask for it) the clearer is assumed, by an ``entropy_weight`` of 0.03; else it is 0.

    Confusions that labels speak for the networks have learned, too: of every image of a class they say that it may be of the other. That
    is taken out by an ``emphasis`` of 1, or less where fewer than a tenth of the labels are estimated to be wrong; elsewhere, and where
    labels are not asked, it is 0.

    Of many items 5000 times as many as classes are looked at, always the same ones; if that is too much to look at, and 100 times as many
    too, labels are not asked.

    Args:
        probs: ``(N, C)`` class probabilities; rows are scaled to sum 1.
        labels: ``(N,)`` given classes; items with a negative one are left out.

    Returns:
        ``alike`` from 0 to ``N / C``, ``entropy_weight`` 0 or 0.03, ``emphasis`` 0 to 1. How they were chosen: docs/decisions/0017
        and 0018.

    Raises:
        InputError: see :func:`coteach.labels.quality.known_items`.

    Example:
        >>> assumed_for(np.eye(3)[np.arange(60) % 3], (np.arange(60) % 3 + (np.arange(60) < 24)) % 3).entropy_weight
        0.0
    """
    known = np.flatnonzero(known_items(probs, labels))
    classes = probs.shape[1]
    if classes < 3:
        return Assumed(0.0, 0.0, 0.0)  # nothing can be alike
    sure = float((probs.max(1)[known] / probs.sum(1, dtype=np.float64)[known]).mean())
    unsure = max(0.0, _SURE - sure)
    some = _some(known, classes)
    if not some.size:
        return Assumed(unsure * len(known) / classes, 0.0, 0.0)
    unopposed, rate = _unopposed(probs[some], labels[some])
    if unopposed:
        return Assumed(max(unsure, unopposed) * len(known) / classes, _CLEAR, 0.0)
    return Assumed(unsure * len(known) / classes, 0.0, min(1.0, rate / _MANY_WRONG))


def _some(known: Int64[np.ndarray, " n"], classes: int) -> Int64[np.ndarray, " m"]:
    """Those that are looked at: as many as tell what is alike, none if it cannot be told of as many as can be looked at."""
    most = min(_ITEMS * classes, _WORK // classes)
    if len(known) <= most:
        return known
    if most < _LEAST * classes:
        return known[:0]
    return np.sort(
        np.random.default_rng(0).choice(known, most, replace=False)
    )  # not every n-th: labels may repeat


def _unopposed(probs: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " n"]) -> tuple[float, float]:
    """The largest ``alike`` up to which none costs much, as a share of the items of an average class; and by free confusions the share of wrong labels."""
    count, classes = probs.shape
    free_numbers = classes * (classes - 1) - 1
    by_chance = {share: free_numbers / (2 * count) * (share / (1 + share)) ** 2 for share in _SHARES}
    # log(1 + a) is about the most that it can cost: confusions that are shrunk to 1/(1+a)
    asked = [share for share in _SHARES if by_chance[share] < np.log1p(share)]
    if not asked:
        return _SHARES[-1], 0.0
    free, found = label_quality(probs, labels, tolerance=_TOLERANCE), 0.0
    for share in asked:
        one = label_quality(probs, labels, alike=share * count / classes, tolerance=_TOLERANCE)
        cost = free.log_likelihood[-1] - one.log_likelihood[-1]
        if cost > by_chance[share] + _COST * free.noise_rate:
            break
        found = share
    else:
        found = _SHARES[-1]  # those that were not asked of cost no more than chance allows
    return found, free.noise_rate
