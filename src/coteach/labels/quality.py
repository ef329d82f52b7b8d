"""What networks thought of items while they learned -> how likely each given label is wrong.

A hidden true class ``y`` stands behind every item. The networks' mean class probabilities ``P̄`` speak of it, but not in
its own terms: averaged over epochs they are too blunt, and they lean towards classes that the noise has made frequent.
So ``q(y | x) ∝ (P̄(y) exp(τ P̄(y)))^β exp(b_y)``; the given label ``g`` follows from it by a transition ``T[y, g]``. Expectation-
maximisation finds ``β``, ``b`` and ``T`` under which the given labels are most likely, and with them

    p(y | x, g) ∝ q(y | x) T[y, g],      p(wrong) = 1 - p(g | x, g).

A network that learned the wrong labels, too, gives ``P̄`` that already holds the noise; sharpening is what takes it out. Of noise that
goes from class to class it leaves some, since a share of every image's probability is that noise: ``τ``, which is given, not estimated,
lets large probabilities count for more than by their logarithm.
Where ``P̄`` does speak in terms of the true class, ``sharpen=False`` keeps ``β`` and ``b`` at 1 and 0: the freedom would only be misused.
Nothing has to be known of the noise; that it leaves the true class the most frequent one among most items of a class
is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int64
from scipy.special import softmax

from coteach.errors import InputError
from coteach.labels.quality_em import LabelModel, believed, fit_model, joint_counts, log_joint

TOLERANCE = 1e-6  # nats an item
MAX_ITERATIONS = 500


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class JudgedLabels:
    """What is known of the labels.

    Shape legend: ``N`` items, ``C`` classes.

    Args:
        p_wrong: ``(N,)`` float64 in [0, 1]; NaN of items without a label or without probabilities.
        suggested: ``(N,)`` int64, the most probable true class, ties to the lowest; -1 where ``p_wrong`` is NaN.
        posterior: ``(N, C)`` float32, p(true class | probabilities, given label); NaN likewise.
        transition: ``(C, C)`` float64, p(given label | true class); rows sum to 1.
        joint: ``(C, C)`` float64, expected number of items by true class (rows) and given label.
    """

    p_wrong: Float64[np.ndarray, " n"]
    suggested: Int64[np.ndarray, " n"]
    posterior: Float32[np.ndarray, "n c"]
    transition: Float64[np.ndarray, "c c"]
    joint: Float64[np.ndarray, "c c"]

    @property
    def noise_rate(self) -> float:
        """Estimated share of the labels that are wrong."""
        return float(np.nanmean(self.p_wrong))

    def ranked(self) -> Int64[np.ndarray, " m"]:
        """Ids of the items with a label, the most probably wrong first; equal ones in order of their ids."""
        order = np.argsort(-self.p_wrong, kind="stable")
        return np.asarray(order[: int(np.isfinite(self.p_wrong).sum())], np.int64)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LabelQuality(JudgedLabels):
    """What one set of probabilities says of the labels, and the model by which it does.

    Args:
        sharpness: ``β``.
        emphasis: ``τ``.
        bias: ``(C,)`` ``b``; mean 0.
        log_likelihood: ``(n,)`` mean log-likelihood of the given labels after each iteration, nats; with an
            ``entropy_weight`` less what the entropy costs.
    """

    sharpness: float
    emphasis: float
    bias: Float64[np.ndarray, " c"]
    log_likelihood: Float64[np.ndarray, " i"]

    def posterior_of(
        self, probs: Float[np.ndarray, "m c"], labels: Int[np.ndarray, " m"]
    ) -> Float64[np.ndarray, "m c"]:
        """p(true class | probabilities, given label) of other items, by the same model.

        Args:
            probs: ``(M, C)`` class probabilities; rows are scaled to sum 1, none of them sums to 0.
            labels: ``(M,)`` given classes 0 to C-1.
        """
        rows = probs.astype(np.float64)
        model = LabelModel(self.transition, self.sharpness, self.bias)
        joint = log_joint(believed(rows, self.emphasis), labels, model)
        return np.asarray(softmax(joint, axis=1))


def label_quality(
    probs: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " n"],
    *,
    sharpen: bool = True,
    alike: float = 0.0,
    entropy_weight: float = 0.0,
    emphasis: float = 0.0,
    max_iterations: int = MAX_ITERATIONS,
    tolerance: float = TOLERANCE,
) -> LabelQuality:
    """Estimate how likely each label is wrong.

    Args:
        probs: ``(N, C)`` class probabilities, best the mean over networks and epochs (``label_history.npz``) or
            out-of-fold ones; rows are scaled to sum 1. A row that sums to 0 or holds NaN says nothing.
        labels: ``(N,)`` given classes 0 to C-1; negative ones are no label.
        sharpen: estimate ``β`` and ``b``; else they are 1 and 0, and ``P̄`` is taken at its word (but for ``emphasis``).
        alike: items of each class that speak for noise that is the same everywhere, >= 0: few labels tell little of
            which class is mistaken for which, and what the networks confuse would pass for it.
        entropy_weight: nats of log-likelihood that ``β`` gives for a nat less mean entropy of q(y | x), >= 0, such as 0.03: unsure networks
            may have learned wrong labels, or be unsure of right ones, and more weight takes more of it for noise
            (entropy as a regulariser: Grandvalet & Bengio 2004).
        emphasis: ``τ``, >= 0, such as 1: by how much large probabilities count for more than by their logarithm, against noise from class to
            class that the networks have learned.
        max_iterations: of expectation-maximisation, at least 1.
        tolerance: the end is reached when an iteration changes less than this many nats an item.

    Returns:
        The estimate. The order of the items changes it by rounding only.

    Raises:
        InputError: shapes do not fit, a label is C or more, a probability is negative, no item has both, or an option is
            out of its range.

    Example:
        >>> probs = np.array([[0.9, 0.1]] * 40 + [[0.2, 0.8]] * 40)
        >>> labels = np.array([0] * 39 + [1] + [1] * 40)
        >>> label_quality(probs, labels).ranked()[0]
        np.int64(39)
    """
    known = known_items(probs, labels)
    if max_iterations < 1:
        raise InputError("max_iterations", f"is {max_iterations}", "give at least 1")
    for name, weight in (("alike", alike), ("entropy_weight", entropy_weight), ("emphasis", emphasis)):
        if not 0 <= weight < np.inf:
            raise InputError(name, f"is {weight}", "give a number of at least 0")
    rows = probs[known].astype(np.float64)
    log_probs = believed(rows, emphasis)
    given = labels[known].astype(np.int64)
    model, posterior, gains = fit_model(
        log_probs,
        given,
        max_iterations,
        tolerance,
        sharpen=sharpen,
        alike=alike,
        entropy_weight=entropy_weight,
    )
    own = posterior[np.arange(len(given)), given]
    p_wrong, suggested = np.full(len(labels), np.nan), np.full(len(labels), -1)
    p_wrong[known] = np.clip(1 - own, 0, 1)
    suggested[known] = posterior.argmax(1)
    everywhere = np.full(probs.shape, np.nan, np.float32)
    everywhere[known] = posterior
    return LabelQuality(
        p_wrong=p_wrong,
        suggested=suggested,
        posterior=everywhere,
        transition=model.transition,
        joint=joint_counts(posterior, given),
        sharpness=model.sharpness,
        emphasis=emphasis,
        bias=model.bias,
        log_likelihood=np.array(gains),
    )


def known_items(probs: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
    """Which items have a label and probabilities.

    Args:
        probs: ``(N, C)`` class probabilities; a row that sums to 0 or holds NaN says nothing.
        labels: ``(N,)`` given classes 0 to C-1; negative ones are no label.

    Returns:
        ``(N,)`` bool, at least one of them true.

    Raises:
        InputError: shapes do not fit, a label is C or more, a probability is negative, or no item has both.
    """
    if len(probs) != len(labels):
        raise InputError("labels", f"{len(labels)} for {len(probs)} rows of probs", "give one an item")
    if probs.shape[1] < 2:
        raise InputError("probs", f"{probs.shape[1]} column", "give one a class, at least 2")
    if labels.size and labels.max() >= probs.shape[1]:
        cause = f"{labels.max()} is not below the number of classes, {probs.shape[1]}"
        raise InputError("labels", cause, "give classes 0 to C-1")
    if (probs < 0).any():
        raise InputError("probs", "hold a negative number", "give probabilities, not scores")
    total = probs.sum(1, dtype=np.float64)  # votes of many overflow half precision
    known: Bool[np.ndarray, " m"] = (labels >= 0) & np.isfinite(total) & (total > 0)
    if not known.any():
        raise InputError("labels", "no item has a label and probabilities", "check what was recorded")
    return known
