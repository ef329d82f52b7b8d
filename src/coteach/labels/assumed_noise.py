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

from coteach.labels.quality import label_quality

_SURE = 0.5  # mean largest probability from which a reading is taken at its word
_SHARES = (0.1, 0.3, 1.0)  # of the items of a class
_COST = 0.02  # nats a wrong label
_TOLERANCE = 1e-5  # nats an item
_ITEMS = 2000  # looked at, times classes
_WORK = 1 << 22  # numbers looked at
_CLEAR = 0.03  # nats of log-likelihood a nat of entropy


class Assumed(NamedTuple):
    """What is assumed of the noise behind one reading, as :func:`label_quality` takes it.

    Args:
        alike: items of each class that speak for noise that is the same everywhere, >= 0.
        entropy_weight: how much speaks for images whose class is clear, nats of log-likelihood a nat of entropy, >= 0.
    """

    alike: float
    entropy_weight: float


def assumed_for(probs: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " m"]) -> Assumed:
    """What is to be assumed of the noise behind a reading.

    ``alike`` is the largest of a few numbers that the labels hardly speak against: of their log-likelihood it costs no more
    than free confusions gain by chance (half a nat for each number, times (a/(1+a))² if they are shrunk to 1/(1+a)),
    and 0.02 nats for each label that is wrong by free confusions. It is at least as many as the items of a class of average
    size, times what the mean largest probability lacks of one half. With two classes it is 0.

    Confusions that labels speak for tell how many are wrong. Without them, that is a question of how clear the images are:
    networks that are unsure since labels are wrong look like networks that are unsure of right ones. There, the clearer is
    assumed.

    Args:
        probs: ``(N, C)`` class probabilities; rows are scaled to sum 1.
        labels: ``(N,)`` given classes; items with a negative one are left out.
    """
    classes = probs.shape[1]
    if len(probs) != len(labels) or classes < 3:
        return Assumed(0.0, 0.0)  # label_quality refuses them, or nothing can be alike
    total = probs.sum(1, dtype=np.float64)
    known = np.flatnonzero((labels >= 0) & (total > 0))  # NaN is not
    if not known.size:
        return Assumed(0.0, 0.0)
    sure = float((probs[known].max(1) / total[known]).mean())
    some = _some(known, classes)
    unopposed = _unopposed(probs[some], labels[some])
    return Assumed(max(0.0, _SURE - sure, unopposed) * len(known) / classes, _CLEAR if unopposed else 0.0)


def _some(known: Int64[np.ndarray, " n"], classes: int) -> Int64[np.ndarray, " m"]:
    """As many of them as tell what is alike, no more than can be looked at in seconds."""
    most = min(_ITEMS * classes, _WORK // classes)
    if len(known) <= most:
        return known
    return np.sort(
        np.random.default_rng(0).choice(known, most, replace=False)
    )  # not every n-th: labels may repeat


def _unopposed(probs: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " n"]) -> float:
    """The largest ``alike`` that costs little, as a share of the items of an average class."""
    count, classes = probs.shape
    free = label_quality(probs, labels, tolerance=_TOLERANCE)
    chance = (classes * (classes - 1) - 1) / (2 * count)
    found = 0.0
    for share in _SHARES:
        one = label_quality(probs, labels, alike=share * count / classes, tolerance=_TOLERANCE)
        cost = free.log_likelihood[-1] - one.log_likelihood[-1]
        if cost > _COST * free.noise_rate + chance * (share / (1 + share)) ** 2:
            break
        found = share
    return found
