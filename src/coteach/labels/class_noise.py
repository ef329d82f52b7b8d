"""Known noise in the labels of items: symmetric, pair flip, asymmetric, instance-dependent.

Every function gives the noisy labels and the transition matrix ``T`` that made them: ``T[i, j]`` is the probability
that an item of class ``i`` is labelled ``j``. Rates are expectations, each item being drawn by itself; with ``exact``
the number of wrong labels of each class is fixed instead. Errors of maps, which have shapes, are in
:mod:`coteach.labels.noise`.

| noise | from |
|---|---|
| symmetric, pair flip | Han et al. 2018 (the wrong class is always another one) |
| asymmetric | Patrini et al. 2017, their pairs of CIFAR-10 |
| instance-dependent | Xia et al. 2020, algorithm 2 |
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int, Int64
from scipy.special import softmax
from scipy.stats import truncnorm

from coteach.errors import InputError, OptionError

# truck -> automobile, bird -> airplane, deer -> horse, cat <-> dog
CIFAR10_CONFUSIONS: Mapping[int, int] = MappingProxyType({9: 1, 2: 0, 4: 7, 3: 5, 5: 3})
_SPREAD = 0.1  # standard deviation of the items' own rates (Xia et al. 2020)


class NoisyLabels(NamedTuple):
    """Labels that are partly wrong.

    Args:
        labels: int64, shaped like the clean ones.
        transition: ``(K, K)`` float64; rows sum to 1.
    """

    labels: Int64[np.ndarray, "*items"]
    transition: Float64[np.ndarray, "k k"]


def symmetric_noise(
    labels: Int[np.ndarray, "*items"], num_classes: int, rate: float, *, seed: int, exact: bool = False
) -> NoisyLabels:
    """A label is wrong with probability ``rate``; every other class is equally likely.

    Args:
        labels: classes 0 to K-1, any shape; negative ones are no label and stay.
        num_classes: ``K``, at least 2.
        rate: in [0, 1].
        seed: of all that is random.
        exact: fix the number of wrong labels of each class instead of drawing each item.

    Raises:
        OptionError: the rate is no share, or there are not two classes.
        InputError: a label is K or more.

    Example:
        >>> symmetric_noise(np.array([0, 1, 2]), 3, 0.5, seed=0).transition[0]
        array([0.5 , 0.25, 0.25])
    """
    _check(num_classes, rate)
    other = (np.ones((num_classes, num_classes)) - np.eye(num_classes)) / (num_classes - 1)
    return transition_noise(labels, _mixed(other, rate), seed=seed, exact=exact)


def pair_flip_noise(
    labels: Int[np.ndarray, "*items"], num_classes: int, rate: float, *, seed: int, exact: bool = False
) -> NoisyLabels:
    """A label is wrong with probability ``rate``; class ``i`` is then called ``i + 1``, the last one 0.

    Args:
        labels: see :func:`symmetric_noise`.
        num_classes: see there.
        rate: see there.
        seed: see there.
        exact: see there.

    Raises:
        OptionError: see there.
        InputError: see there.
    """
    _check(num_classes, rate)
    following = np.roll(np.eye(num_classes), 1, axis=1)
    return transition_noise(labels, _mixed(following, rate), seed=seed, exact=exact)


def asymmetric_noise(
    labels: Int[np.ndarray, "*items"],
    num_classes: int,
    rate: float,
    confusions: Mapping[int, int] = CIFAR10_CONFUSIONS,
    *,
    seed: int,
    exact: bool = False,
) -> NoisyLabels:
    """Labels of some classes are wrong with probability ``rate``, each class being taken for one other.

    Args:
        labels: see :func:`symmetric_noise`.
        num_classes: see there.
        rate: in [0, 1], of the classes that are mistaken; the others keep their labels.
        confusions: class -> what it is taken for; by default that of CIFAR-10.
        seed: see there.
        exact: see there.

    Raises:
        OptionError: see there; or a confusion names a class that does not exist.
        InputError: see there.
    """
    _check(num_classes, rate)
    wrong = np.eye(num_classes)
    for source, target in confusions.items():
        if not (0 <= source < num_classes and 0 <= target < num_classes):
            cause = f"{source} -> {target} does not fit {num_classes} classes"
            raise OptionError("confusions", cause, f"use classes 0 to {num_classes - 1}")
        wrong[source] = np.eye(num_classes)[target]
    return transition_noise(labels, _mixed(wrong, rate), seed=seed, exact=exact)


def transition_noise(
    labels: Int[np.ndarray, "*items"],
    transition: Float[np.ndarray, "k k"],
    *,
    seed: int,
    exact: bool = False,
) -> NoisyLabels:
    """Noise by any transition matrix.

    Args:
        labels: see :func:`symmetric_noise`.
        transition: ``(K, K)``, p(label | true class); rows sum to 1.
        seed: see there.
        exact: each class is given out in the shares of its row, to within one item.

    Raises:
        OptionError: the matrix is no transition matrix.
        InputError: a label is K or more.
    """
    matrix = transition.astype(np.float64)
    if (matrix < 0).any() or not np.allclose(matrix.sum(1), 1):
        raise OptionError("transition", "a row is no distribution", "give p(label | true class) in each row")
    noisy = _flat(labels, len(matrix))
    rng = np.random.default_rng(seed)
    for code, row in enumerate(matrix):
        items = np.flatnonzero(noisy.clean == code)
        drawn = _dealt(row, len(items), rng) if exact else rng.choice(len(row), len(items), p=row / row.sum())
        noisy.given[items] = drawn
    return NoisyLabels(noisy.given.reshape(labels.shape), matrix)


def instance_dependent_noise(
    labels: Int[np.ndarray, " n"],
    features: Float[np.ndarray, "m f"],
    num_classes: int,
    rate: float,
    *,
    seed: int,
    exact: bool = False,
) -> NoisyLabels:
    """A label is wrong as the item's features will: alike items are taken for the same wrong class.

    Each item has a rate of its own, drawn from a normal distribution about ``rate`` (standard deviation 0.1) cut to
    [0, 1]. Its wrong classes are as likely as the softmax of a random projection of its features says; each true
    class has a projection of its own.

    Args:
        labels: ``(N,)`` classes 0 to K-1; negative ones are no label and stay.
        features: ``(N, F)``, best standardised; the flattened image, or an embedding.
        num_classes: ``K``, at least 2.
        rate: mean of the items' rates before they are cut, in [0, 1].
        seed: of all that is random.
        exact: in each class as many labels are wrong as its items' rates sum up to, to within one.

    Returns:
        The labels; row ``i`` of the transition is the mean over the items of class ``i`` (a class without items
        keeps its label).

    Raises:
        OptionError: the rate is no share, or there are not two classes.
        InputError: a label is K or more, or there is not one row of features an item.
    """
    _check(num_classes, rate)
    if len(features) != len(labels):
        raise InputError("features", f"{len(features)} rows for {len(labels)} labels", "give one row an item")
    rng = np.random.default_rng(seed)
    noisy = _flat(labels, num_classes)
    low, high = -rate / _SPREAD, (1 - rate) / _SPREAD
    own_rate = truncnorm.rvs(low, high, loc=rate, scale=_SPREAD, size=len(labels), random_state=rng)
    transition = np.eye(num_classes)
    for code in range(num_classes):
        projection = rng.standard_normal((features.shape[1], num_classes))
        items = np.flatnonzero(noisy.clean == code)
        if not len(items):
            continue
        scores = features[items].astype(np.float64) @ projection
        scores[:, code] = -np.inf
        other = softmax(scores, axis=1)
        q = own_rate[items]
        transition[code] = ((1 - q)[:, None] * np.eye(num_classes)[code] + q[:, None] * other).mean(0)
        wrong = _systematic(q, rng) if exact else rng.random(len(q)) < q
        noisy.given[items[wrong]] = _draw(other[wrong], rng)
    return NoisyLabels(noisy.given, transition)


class _Flat(NamedTuple):
    clean: Int64[np.ndarray, " n"]
    given: Int64[np.ndarray, " n"]


def _flat(labels: Int[np.ndarray, "*items"], num_classes: int) -> _Flat:
    clean = labels.ravel().astype(np.int64)
    if clean.size and clean.max() >= num_classes:
        cause = f"class {clean.max()} for {num_classes} classes"
        raise InputError("labels", cause, f"use 0 to {num_classes - 1}, negative for no label")
    return _Flat(clean, clean.copy())


def _check(num_classes: int, rate: float) -> None:
    if num_classes < 2:
        raise OptionError("num_classes", f"{num_classes} leaves no wrong class", "give at least 2")
    if not 0 <= rate <= 1:
        raise OptionError("rate", f"{rate} is outside [0, 1]", "give a share of the labels")


def _mixed(wrong: Float64[np.ndarray, "k k"], rate: float) -> Float64[np.ndarray, "k k"]:
    return (1 - rate) * np.eye(len(wrong)) + rate * wrong


def _dealt(row: Float64[np.ndarray, " k"], count: int, rng: np.random.Generator) -> Int64[np.ndarray, " m"]:
    """``count`` labels in the shares of ``row``: whole parts first, the rest to the largest remainders."""
    wanted = row * count
    given = np.floor(wanted + 1e-9).astype(np.int64)
    # a random order first, so that equal remainders do not always favour the lower class
    order = rng.permutation(len(row))
    largest = order[np.argsort(-(wanted - given)[order], kind="stable")]
    given[largest[: count - given.sum()]] += 1
    return rng.permutation(np.repeat(np.arange(len(row)), given))


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
