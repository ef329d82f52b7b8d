"""Where networks place the items of a hidden class: a cluster a class among their scores, found although labels are wrong.

A network that learns from wrong labels says of a class what its labels say: where 45 of 100 sevens are labelled 8, it gives
sevens 0.55 and 0.45. Taken at its word it finds hardly a label wrong. But it says so of all sevens and of nothing else: the
logarithms ``z`` of its probabilities form one cluster a hidden class, wherever that lies. So

    z | y ~ t_4(μ_y, Σ_y),    g | y ~ T[y],

with Student's distribution of 4 degrees of freedom for those far out, by expectation-maximisation from the given labels ``g`` (normal
distributions of one shape with wrong labels: Lawrence & Schölkopf, ICML 2001; EM of t mixtures: Peel & McLachlan 2000).

Shape legend: ``n`` items, ``c`` classes, ``p = c - 1`` coordinates, ``k`` shapes: one a class, or 1 for all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int
from scipy.linalg import helmert, solve_triangular
from scipy.special import softmax

from coteach.labels.quality_em import believed, transition_of

_FREEDOM = 4.0
_SHARED = 0.3  # least part of each Σ_y that is the mean of all
_NUMBERS = 2  # items of a class for each number of its shape, with which half of it is its own
_OWN_SHAPES = (
    10  # classes; with more, all clusters have one shape, which takes fewer items to find and less work
)
_RIDGE = 1e-3  # of the mean variance, added to all of them
_ITERATIONS = 60
_LOOSE_ITERATIONS = 10
_LOOSE = 0.5  # share of labels that are right in these, beside those that are right by chance
_TINY = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class ScoreClusters:
    """The clusters.

    Args:
        log_share: ``(C,)`` logarithm of each hidden class's part of the items.
        mean: ``(C, p)`` ``μ``.
        root: ``(k, p, p)`` lower triangular, ``Σ = root rootᵀ``.
    """

    log_share: Float64[np.ndarray, " c"]
    mean: Float64[np.ndarray, "c p"]
    root: Float64[np.ndarray, "k p p"]

    def probs(self, probs: Float[np.ndarray, "n c"]) -> Float64[np.ndarray, "n c"]:
        """p(hidden class | what a network says), without the given labels; rows sum to 1.

        Args:
            probs: ``(n, C)`` class probabilities of the network; rows are scaled to sum 1, none of them sums to 0.
        """
        return np.asarray(softmax(self.log_joint(_coordinates(probs))[0], axis=1))

    def log_joint(
        self, z: Float64[np.ndarray, "n p"]
    ) -> tuple[Float64[np.ndarray, "n c"], Float64[np.ndarray, "n c"]]:
        """Log p(z, y) but for a constant, and how much each item counts in the cluster: less, the farther out."""
        p = z.shape[1]
        far = self._distance(z)
        volume = np.log(np.diagonal(self.root, axis1=1, axis2=2)).sum(1)
        log_density = -(_FREEDOM + p) / 2 * np.log1p(far / _FREEDOM) - volume
        return self.log_share + log_density, (_FREEDOM + p) / (_FREEDOM + far)

    def _distance(self, z: Float64[np.ndarray, "n p"]) -> Float64[np.ndarray, "n c"]:
        """Squared, in units of each cluster's shape (Mahalanobis)."""
        if len(self.root) == 1:
            both = solve_triangular(self.root[0], np.concatenate([z, self.mean]).T, lower=True).T
            here, centre = both[: len(z)], both[len(z) :]
            square = (here**2).sum(1)[:, None] - 2 * here @ centre.T + (centre**2).sum(1)
            return np.asarray(np.maximum(square, 0.0))
        whiten = np.linalg.inv(
            self.root
        )  # for small shapes products are several times faster than substitution
        columns = np.ascontiguousarray(z.T)
        apart = (one @ columns - (one @ mean)[:, None] for one, mean in zip(whiten, self.mean, strict=True))
        return np.stack([np.square(one).sum(0) for one in apart], axis=1)


def find_clusters(
    probs: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " n"], *, alike: float = 0.0, copies: int = 1
) -> ScoreClusters:
    """Find the cluster of each hidden class.

    Args:
        probs: ``(n, C)`` class probabilities of items whose labels the network has not learned; rows are scaled to sum 1,
            none of them sums to 0.
        labels: ``(n,)`` given classes, 0 to C-1.
        alike: of ``T``, see :func:`coteach.labels.quality_em.transition_of`.
        copies: rows of each item, as of several networks.

    Example:
        >>> said = np.array([[0.6, 0.4]] * 50 + [[0.2, 0.8]] * 50) + 0.01 * np.sin(np.arange(100))[:, None]
        >>> labels = np.array([0] * 30 + [1] * 20 + [1] * 50)
        >>> find_clusters(said, labels).probs(said).argmax(1).tolist() == [0] * 50 + [1] * 50
        True
    """
    classes = probs.shape[1]
    z, given = _coordinates(probs), labels.astype(np.int64)
    share, counts_for = np.eye(classes)[given], np.ones((len(given), classes))
    # labels that are taken for certain at the start would confirm themselves
    transition = _LOOSE * np.eye(classes) + (1 - _LOOSE) / classes
    for iteration in range(_ITERATIONS):
        if iteration >= _LOOSE_ITERATIONS:
            transition = transition_of(share, given, alike)
        clusters = _fit(z, share, counts_for, copies)
        joint, counts_for = clusters.log_joint(z)
        share = np.asarray(softmax(joint + np.log(transition).T[given], axis=1))
    return clusters


def _coordinates(probs: Float[np.ndarray, "n c"]) -> Float64[np.ndarray, "n p"]:
    """Logarithms of the probabilities without their mean, which says nothing: an orthonormal basis of the rest."""
    return np.asarray(believed(probs.astype(np.float64)) @ helmert(probs.shape[1]).T)


def _fit(
    z: Float64[np.ndarray, "n p"],
    share: Float64[np.ndarray, "n c"],
    counts_for: Float64[np.ndarray, "n c"],
    copies: int,
) -> ScoreClusters:
    """The clusters for given shares of each item in each."""
    classes, p = share.shape[1], z.shape[1]
    total = share.sum(0) + _TINY
    weight = share * counts_for
    mean = (weight.T @ z + _TINY * z.mean(0)) / (weight.sum(0) + _TINY)[:, None]
    if classes > _OWN_SHAPES:
        spread = (z * weight.sum(1)[:, None]).T @ z - (mean * weight.sum(0)[:, None]).T @ mean
        shapes = _round(spread[None] / len(z), p)
    else:
        own = np.stack([_spread(z - m, w) for m, w in zip(mean, weight.T, strict=True)])
        pooled = _round(own.sum(0)[None] / len(z), p)
        # a class of few items has no shape of its own: it would be that of the given labels, and confirm them
        needed = _NUMBERS * copies * p * (p + 1) / 2
        pull = np.maximum(_SHARED, needed / (total + needed))[:, None, None]
        shapes = (1 - pull) * own / total[:, None, None] + pull * pooled
    return ScoreClusters(np.log(total / total.sum()), mean, np.linalg.cholesky(shapes))


def _spread(
    apart: Float64[np.ndarray, "n p"], weight: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, "p p"]:
    return np.asarray((apart * weight[:, None]).T @ apart)


def _round(shape: Float64[np.ndarray, "1 p p"], p: int) -> Float64[np.ndarray, "1 p p"]:
    """Symmetric in spite of rounding, and never flat."""
    ridge = _RIDGE * np.trace(shape[0]) / p + _TINY
    return np.asarray((shape + shape.swapaxes(1, 2)) / 2 + ridge * np.eye(p))
