"""Expectation-maximisation behind :mod:`coteach.labels.quality`, which tells the model.

Shape legend: ``n`` items, ``c`` classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int64

_SMOOTHING = 0.01  # pseudo-items of a row of T, as a share of the items of an average class
_EXPECTED = 0.7  # share of right labels that they speak for
_SHARPEST = 20.0
_BLUNTEST = 0.05
_TINY = 1e-6  # least probability that is believed


@dataclass(frozen=True, slots=True, eq=False)
class LabelModel:
    """What expectation-maximisation looks for.

    Args:
        transition: ``(C, C)`` p(given label | true class); rows sum to 1.
        sharpness: ``β``.
        bias: ``(C,)`` ``b``.
    """

    transition: Float64[np.ndarray, "c c"]
    sharpness: float
    bias: Float64[np.ndarray, " c"]


def believed(probs: Float64[np.ndarray, "n c"], emphasis: float = 0.0) -> Float64[np.ndarray, "n c"]:
    """Log P + τ P of rows that are scaled to sum 1; no probability is quite 0.

    Args:
        probs: ``(N, C)``, no row sums to 0.
        emphasis: ``τ``.
    """
    scaled = probs / probs.sum(1, keepdims=True)
    return np.asarray(np.log(scaled + _TINY) + emphasis * scaled)


def fit_model(
    log_probs: Float64[np.ndarray, "n c"],
    given: Int64[np.ndarray, " n"],
    max_iterations: int,
    tolerance: float,
    *,
    sharpen: bool,
    alike: float = 0.0,
    entropy_weight: float = 0.0,
) -> tuple[LabelModel, Float64[np.ndarray, "n c"], list[float]]:
    """Expectation-maximisation, from the networks' own choice as the true class.

    Args:
        log_probs: ``(N, C)`` of :func:`believed`.
        given: ``(N,)`` given classes.
        max_iterations: at least 1.
        tolerance: the end is reached when an iteration changes less than this many nats an item. What is counted leaves
            pseudo-items out, so that it may fall.
        sharpen: estimate ``β`` and ``b``; else they are 1 and 0.
        alike: see :func:`transition_of`.
        entropy_weight: nats of log-likelihood that a nat of the entropy of q(y | x) costs; only ``β`` is chosen by it.

    Returns:
        The model; p(true class | probabilities, given label); and after each iteration the mean log-likelihood less what
        entropy costs, nats.
    """
    classes = log_probs.shape[1]
    posterior = np.eye(classes)[log_probs.argmax(1)]
    model = LabelModel(transition_of(posterior, given, alike), 1.0, np.zeros(classes))
    gains: list[float] = []
    for _ in range(max_iterations):
        prior, log_prior = _prior(log_probs, model)
        posterior, evidence = _normalised(log_prior + np.log(model.transition).T[given])
        negentropy = (prior * log_prior).sum(1, keepdims=True)
        gains.append(float((evidence + entropy_weight * negentropy).mean()))
        if len(gains) > 1 and abs(gains[-1] - gains[-2]) < tolerance:
            break
        transition, sharpness, bias = transition_of(posterior, given, alike), model.sharpness, model.bias
        if sharpen:
            wanted = posterior + entropy_weight * prior * (log_prior - negentropy)  # which makes q clearer
            sharpness = _sharpness(log_probs, wanted, prior, sharpness)
            bias = _bias(sharpness * log_probs, posterior, bias)
        model = LabelModel(transition, sharpness, bias)
    return model, posterior, gains


def log_joint(
    log_probs: Float64[np.ndarray, "n c"], given: Int[np.ndarray, " n"], model: LabelModel
) -> Float64[np.ndarray, "n c"]:
    """Log of q(y | x) T[y, g]."""
    return np.asarray(_prior(log_probs, model)[1] + np.log(model.transition).T[given])


def _prior(
    log_probs: Float64[np.ndarray, "n c"], model: LabelModel
) -> tuple[Float64[np.ndarray, "n c"], Float64[np.ndarray, "n c"]]:
    """q(y | x) and its log."""
    scores = model.sharpness * log_probs + model.bias
    prior, log_total = _normalised(scores)
    return prior, scores - log_total


def _normalised(
    scores: Float64[np.ndarray, "n c"],
) -> tuple[Float64[np.ndarray, "n c"], Float64[np.ndarray, "n 1"]]:
    """Softmax of rows and log of the sum of their exponentials, which are computed once for both."""
    most = scores.max(1, keepdims=True)
    shares = np.exp(scores - most)
    total = shares.sum(1, keepdims=True)
    return shares / total, most + np.log(total)


def _sharpness(
    log_probs: Float64[np.ndarray, "n c"],
    wanted: Float64[np.ndarray, "n c"],
    prior: Float64[np.ndarray, "n c"],
    before: float,
) -> float:
    """A Newton step of β towards the rows that are wanted of q, as if those stayed where they are."""
    slope = float(((wanted - prior) * log_probs).sum())
    curvature = float(((prior * log_probs**2).sum(1) - (prior * log_probs).sum(1) ** 2).sum())
    # of classes that are equally probable everywhere, sharpness says nothing
    step = slope / curvature if curvature > _TINY else 0.0
    return float(np.clip(before + step, _BLUNTEST, _SHARPEST))


def _bias(
    scores: Float64[np.ndarray, "n c"],
    posterior: Float64[np.ndarray, "n c"],
    before: Float64[np.ndarray, " c"],
) -> Float64[np.ndarray, " c"]:
    """One step of scaling, by which each class gets as much of q as it has of the posterior."""
    prior, _ = _normalised(scores + before)
    bias = before + np.log((posterior.sum(0) + 1) / (prior.sum(0) + 1))
    return np.asarray(bias - bias.mean())


def joint_counts(
    posterior: Float64[np.ndarray, "n c"], given: Int64[np.ndarray, " n"]
) -> Float64[np.ndarray, "c c"]:
    """Expected number of items by true class and given label."""
    classes = posterior.shape[1]
    return np.stack([np.bincount(given, column, minlength=classes) for column in posterior.T])


def transition_of(
    posterior: Float64[np.ndarray, "n c"], given: Int64[np.ndarray, " n"], alike: float = 0.0
) -> Float64[np.ndarray, "c c"]:
    """p(given | true), pulled a little towards labels that are mostly right.

    Args:
        posterior: ``(N, C)`` p(true class), rows sum to 1.
        given: ``(N,)`` given classes.
        alike: items of each class that speak for noise that is the same everywhere: all classes as often mistaken as all
            items are, for every other class as often.
    """
    classes = posterior.shape[1]
    expected = np.full((classes, classes), (1 - _EXPECTED) / (classes - 1))
    np.fill_diagonal(expected, _EXPECTED)
    found = joint_counts(posterior, given)
    counts = found + _SMOOTHING * len(given) / classes * expected
    if alike > 0:
        right = found.trace() / len(given)
        same = np.full((classes, classes), (1 - right) / (classes - 1))
        np.fill_diagonal(same, right)
        counts += alike * same
    return np.asarray(counts / counts.sum(1, keepdims=True))
