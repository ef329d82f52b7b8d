"""The labels judged by several readings of what networks said of them.

Each reading gives ``(N, C)`` class probabilities, from which :mod:`coteach.labels.quality` estimates how likely each
label is wrong; what they say together is the mean of their posteriors. Readings err differently: the mean over the
epochs is too kind to labels that the networks learned by heart, :func:`probs_by_loss` too hard on those of
networks that have learned little.

Networks that are unsure of most items cannot tell what they confuse themselves from what the labels confuse: given a free
choice of which class is mistaken for which, the model explains the one by the other. So the less sure a reading is, the
more speaks for noise that is the same everywhere (:func:`alike_for`).

Shape legend: ``N`` items, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int

from coteach.labels.quality import JudgedLabels, label_quality
from coteach.labels.quality_em import joint_counts, transition_of

_SURE = 0.5  # mean largest probability from which a reading is taken at its word


def probs_by_loss(
    probs: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " n"], loss: Float[np.ndarray, " n"]
) -> Float64[np.ndarray, "n c"]:
    """Class probabilities in which the given label has its geometric mean over the epochs, not its arithmetic one.

    Of a wrong label that was learned late, the arithmetic mean soon remembers little else; the mean loss does not
    forget the epochs in which it was not believed. So the label gets ``exp(-mean loss)``, and the other classes share
    the rest as their means do.

    Args:
        probs: ``(N, C)`` mean class probabilities over the epochs.
        labels: ``(N,)`` given classes; rows with a negative one stay as they are.
        loss: ``(N,)`` mean cross-entropy of the given label over the same epochs, nats.

    Returns:
        ``(N, C)``, rows sum to 1.

    Example:
        >>> np.round(probs_by_loss(np.array([[0.5, 0.4, 0.1]]), np.array([0]), np.array([np.log(5)])), 2)
        array([[0.2 , 0.64, 0.16]])
    """
    rows = np.flatnonzero(labels >= 0)
    own = np.exp(-loss[rows].astype(np.float64))
    others = probs[rows].astype(np.float64)
    others[np.arange(len(rows)), labels[rows]] = 0
    total = others.sum(1)
    others *= np.divide(1 - own, total, out=np.zeros_like(own), where=total > 0)[:, None]
    others[np.arange(len(rows)), labels[rows]] = own
    found = probs.astype(np.float64)
    found[rows] = others
    return found


def alike_for(probs: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " m"]) -> float:
    """How many items of each class are to speak for noise that is the same everywhere, see :func:`label_quality`.

    As many as the items of a class of average size, times what the mean largest probability lacks of one half: 0.3 times
    where it is 0.2, none where networks are sure of most items, so never of two classes.

    Args:
        probs: ``(N, C)`` class probabilities; rows are scaled to sum 1.
        labels: ``(N,)`` given classes; items with a negative one are left out.

    Example:
        >>> alike_for(np.array([[0.3, 0.3, 0.2, 0.2]] * 40), np.arange(40) % 4)
        2.0
    """
    if len(probs) != len(labels) or probs.shape[1] < 2:
        return 0.0  # label_quality refuses them
    total = probs.sum(1, dtype=np.float64)
    known = (labels >= 0) & (total > 0)  # NaN is not
    if not known.any():
        return 0.0
    sure = float((probs[known].max(1) / total[known]).mean())
    return max(0.0, _SURE - sure) * int(np.count_nonzero(known)) / int(probs.shape[1])


def judge_labels(readings: Sequence[Float[np.ndarray, "n c"]], labels: Int[np.ndarray, " n"]) -> JudgedLabels:
    """What the readings say of the labels together.

    Args:
        readings: class probabilities of the same items, at least one; items that one of them does not know are unknown.
        labels: ``(N,)`` given classes 0 to C-1; negative ones are no label.

    Raises:
        InputError: see :func:`coteach.labels.quality.label_quality`.
    """
    found = [label_quality(probs, labels, alike=alike_for(probs, labels)) for probs in readings]
    posterior = np.stack([one.posterior for one in found]).mean(0, dtype=np.float64)
    known = np.isfinite(posterior).all(1)
    given = labels[known].astype(np.int64)
    suggested = np.full(len(labels), -1)
    suggested[known] = posterior[known].argmax(1)
    return JudgedLabels(
        p_wrong=np.stack([one.p_wrong for one in found]).mean(0),  # in 64 bits: equal ones are rare
        suggested=suggested,
        posterior=posterior.astype(np.float32),
        transition=transition_of(posterior[known], given),  # also of a class that no item has
        joint=joint_counts(posterior[known], given),
    )
