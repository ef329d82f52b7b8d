"""How many labels are wrong, and which, from what networks say of items whose labels they have not learned.

First the cluster of each hidden class is found among the scores (:mod:`coteach.labels.score_clusters`): what a network says of
a class may be half another's name. Then :mod:`coteach.labels.quality` says, with p(class | cluster) in place of the network's
probabilities, how sharp the clusters are and how labels are mistaken: without that, every item between two clusters
would pass for a wrong label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int

from coteach.labels.quality import LabelQuality, label_quality
from coteach.labels.score_clusters import ScoreClusters, find_clusters

_AS_ALL = 10  # items of each class that are as wrong as all, so that few items tell little of their class
_ITERATIONS = 200
_TOLERANCE = 1e-5  # nats an item


@dataclass(frozen=True, slots=True, eq=False)
class NoiseModel:
    """What is known of the labels' noise.

    Args:
        clusters: of the hidden classes.
        quality: of the labels it was made of.
        by_class: ``(C,)`` share of wrong labels among those that name each class, in [0, 1].
    """

    clusters: ScoreClusters
    quality: LabelQuality
    by_class: Float64[np.ndarray, " c"]

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
        posterior = self.quality.posterior_of(self.clusters.probs(probs), labels)
        return np.asarray(posterior[np.arange(len(labels)), labels])


def noise_model(probs: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " n"]) -> NoiseModel:
    """Estimate the noise.

    Args:
        probs: ``(n, C)`` class probabilities of items whose labels the network has not learned, ``C`` at least 2; rows
            are scaled to sum 1, none of them sums to 0.
        labels: ``(n,)`` given classes, 0 to C-1.

    Raises:
        InputError: shapes do not fit, or a label is C or more.
    """
    clusters = find_clusters(probs, labels)
    quality = label_quality(clusters.probs(probs), labels, max_iterations=_ITERATIONS, tolerance=_TOLERANCE)
    classes = probs.shape[1]
    wrong = np.bincount(labels, quality.p_wrong, minlength=classes) + _AS_ALL * quality.noise_rate
    count = np.bincount(labels, minlength=classes) + _AS_ALL
    return NoiseModel(clusters, quality, wrong / count)
