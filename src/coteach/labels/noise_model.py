"""How many labels are wrong, and which, from what networks say of items whose labels they have not learned.

First the cluster of each hidden class is found among the scores (:mod:`coteach.labels.score_clusters`): what a network says of
a class may be half another's name. Then :mod:`coteach.labels.quality` says, with p(class | cluster) in place of the network's
probabilities, how sharp the clusters are and how labels are mistaken: without that, every item between two clusters
would pass for a wrong label. Clusters of many classes need more items of each than can be looked at in seconds: there the
networks are taken at their word.

Of few labels a free choice of which class is mistaken for which explains too much: what the networks confuse would
pass for noise. So noise that is the same everywhere has a number of items in its favour, which many labels outvote.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int, Int64

from coteach.labels.quality import LabelQuality, label_quality
from coteach.labels.score_clusters import ScoreClusters, find_clusters

_AS_ALL = 10  # items of each class that are as wrong as all, so that few items tell little of their class
# items of each class that speak for noise that is the same everywhere, which has one number, for each further number of a
# free row; with two classes there is none
_ALIKE = 10
_ALIKE_CLASSES = 10  # of more classes no more items
_ITERATIONS = 200
_TOLERANCE = 1e-5  # nats an item
_CLUSTERED = 128  # classes; of more no clusters are looked for
_WORK = (
    1 << 26
)  # numbers: items times classes squared in the clusters, items times classes times iterations without them
_LARGEST = 1 << 21  # probabilities of more classes than are clustered
_LEAST = 8  # items that each class keeps, if it has them


@dataclass(frozen=True, slots=True, eq=False)
class NoiseModel:
    """What is known of the labels' noise.

    Args:
        clusters: of the hidden classes; None of more than 128 classes.
        quality: of the labels it was made of, at most as many as can be looked at in seconds.
        by_class: ``(C,)`` share of wrong labels among those that name each class, in [0, 1].
        agreed: how far the networks' likeliest classes agree with the labels, as a share of what they would if they named
            every label that is taken for right; 0 by chance, at most 1. How well they tell the classes apart.
    """

    clusters: ScoreClusters | None
    quality: LabelQuality
    by_class: Float64[np.ndarray, " c"]
    agreed: float

    @property
    def overall(self) -> float:
        """Share of wrong labels, in [0, 1]."""
        return self.quality.noise_rate

    def p_right(
        self, probs: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " n"]
    ) -> Float64[np.ndarray, " n"]:
        """How likely the labels of other items are right.

        Args:
            probs: ``(n, C)`` class probabilities of the same network.
            labels: ``(n,)`` given classes, 0 to C-1.
        """
        said = probs if self.clusters is None else self.clusters.probs(probs)
        posterior = self.quality.posterior_of(said, labels)
        return np.asarray(posterior[np.arange(len(labels)), labels])


def noise_model(
    probs: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " n"],
    *,
    copies: int = 1,
    beside: tuple[Float[np.ndarray, "m c"], Int[np.ndarray, " m"]] | None = None,
) -> NoiseModel:
    """Estimate the noise.

    Where labels of a class half name one other, few labels do not tell which of the two it is, and clusters that are named
    wrongly take their neighbours' places. So clusters are found among all items if there are more: what a network says of
    labels that it has learned hides how many are wrong, but not which items are alike.

    Args:
        probs: ``(n, C)`` class probabilities of items whose labels the network has not learned, ``C`` at least 2; rows
            are scaled to sum 1, none of them sums to 0.
        labels: ``(n,)`` given classes, 0 to C-1.
        copies: rows of each item, as of several networks.
        beside: the same of items whose labels may have been learned: for the clusters only.

    Raises:
        InputError: shapes do not fit, or a label is C or more.
    """
    classes = probs.shape[1]
    drawn = _drawn(labels, classes)
    probs, labels = probs[drawn], labels[drawn]
    clusters, said, alike = None, probs, 0.0  # without clusters the same word would hide all other noise
    if classes <= _CLUSTERED:
        alike = float(_ALIKE * copies * (min(classes, _ALIKE_CLASSES) - 2))
        clusters = _clusters(probs, labels, alike, copies, beside)
        said = clusters.probs(probs)
    quality = label_quality(
        said,
        labels,
        alike=alike,
        max_iterations=max(1, min(_ITERATIONS, _WORK // probs.size)),
        tolerance=_TOLERANCE,
    )
    wrong = np.bincount(labels, quality.p_wrong, minlength=classes) + _AS_ALL * quality.noise_rate
    count = np.bincount(labels, minlength=classes) + _AS_ALL
    return NoiseModel(clusters, quality, wrong / count, _agreed(probs, labels, 1 - quality.noise_rate))


def _clusters(
    probs: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " n"],
    alike: float,
    copies: int,
    beside: tuple[Float[np.ndarray, "m c"], Int[np.ndarray, " m"]] | None,
) -> ScoreClusters:
    """Of these items, or of these and those beside them."""
    if beside is None:
        return find_clusters(probs, labels, alike=alike, copies=copies)
    rows, given = (np.concatenate(parts) for parts in zip((probs, labels), beside, strict=True))
    drawn = _drawn(given, probs.shape[1])
    return find_clusters(rows[drawn], given[drawn], copies=copies)  # so many need nothing in their favour


def _agreed(probs: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " n"], right: float) -> float:
    """What :class:`NoiseModel` says, if so large a share of the labels is right."""
    named, classes = probs.argmax(1), probs.shape[1]
    chance = (
        float(np.bincount(named, minlength=classes) @ np.bincount(labels, minlength=classes))
        / len(labels) ** 2
    )
    beyond = float((named == labels).mean()) - chance
    return min(1.0, max(0.0, beyond) / (right - chance)) if right > chance else 0.0


def _drawn(labels: Int[np.ndarray, " n"], classes: int) -> Int64[np.ndarray, " m"]:
    """Which items are looked at: of each given class the same part, evenly spaced, but never less than a few."""
    most = _WORK // classes**2 if classes <= _CLUSTERED else _LARGEST // classes
    if len(labels) <= most:
        return np.arange(len(labels))
    order = np.argsort(labels, kind="stable")
    has = np.bincount(labels, minlength=classes)
    gets = np.minimum(has, np.maximum(has * most // len(labels), _LEAST))
    own = labels[order]
    rank = np.arange(len(labels)) - (has.cumsum() - has)[own]
    has, gets = has[own], gets[own]
    return np.sort(order[rank * gets // has != (rank + 1) * gets // has])
