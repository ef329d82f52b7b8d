"""The labels judged by several readings of what networks said of them.

Each reading gives ``(N, C)`` class probabilities, from which :mod:`coteach.labels.quality` estimates how likely each
label is wrong; what they say together is the mean of their posteriors. Readings err differently: the mean over the
epochs is too kind to labels that the networks learned by heart, :func:`probs_by_loss` too hard on those of
networks that have learned little.

What is assumed of the noise behind each reading: :mod:`coteach.labels.assumed_noise`.

Shape legend: ``N`` items, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int

from coteach.labels.assumed_noise import assumed_for
from coteach.labels.quality import JudgedLabels, label_quality
from coteach.labels.quality_em import joint_counts, transition_of


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


def judge_labels(readings: Sequence[Float[np.ndarray, "n c"]], labels: Int[np.ndarray, " n"]) -> JudgedLabels:
    """What the readings say of the labels together.

    Args:
        readings: class probabilities of the same items, at least one; items that one of them does not know are unknown.
        labels: ``(N,)`` given classes 0 to C-1; negative ones are no label.

    Raises:
        InputError: see :func:`coteach.labels.quality.label_quality`.
    """
    found = [label_quality(probs, labels, **assumed_for(probs, labels)._asdict()) for probs in readings]
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
