"""Known noise in the labels of items: symmetric, pair flip, asymmetric, instance-dependent.

Every function gives the noisy labels and the transition matrix ``T`` that made them: ``T[i, j]`` is the probability
that an item of class ``i`` is labelled ``j``. Rates are expectations, each item being drawn by itself (of instance-dependent
noise they are the published ones, below what comes of them if they are small); with ``exact`` the number of wrong labels
of each class is fixed instead. Errors of maps, which have shapes, are in
:mod:`coteach.labels.map_noise`.

| noise | from |
|---|---|
| symmetric, pair flip | Han et al. 2018 (the wrong class is always another one) |
| asymmetric | Patrini et al. 2017, their pairs of CIFAR-10 |
| instance-dependent | Xia et al. 2020, see :mod:`coteach.labels.instance_noise` |
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from coteach.errors import OptionError
from coteach.labels.given_array import given_array
from coteach.labels.instance_noise import instance_dependent_noise
from coteach.labels.noisy_labels import NoisyLabels, check_noise, flat_labels, generator

__all__ = [
    "CIFAR10_CONFUSIONS",
    "NoisyLabels",
    "asymmetric_noise",
    "instance_dependent_noise",
    "pair_flip_noise",
    "symmetric_noise",
    "transition_noise",
]

# truck -> automobile, bird -> airplane, deer -> horse, cat <-> dog
CIFAR10_CONFUSIONS: Mapping[int, int] = MappingProxyType({9: 1, 2: 0, 4: 7, 3: 5, 5: 3})


_ROUNDING = 1e-2  # how far rows may be from summing to 1: they are scaled


def symmetric_noise(
    labels: Any, num_classes: int, rate: float, *, seed: int | np.random.Generator, exact: bool = False
) -> NoisyLabels:
    """A label is wrong with probability ``rate``; every other class is equally likely.

    Args:
        labels: integer classes 0 to K-1, any shape: an array, a tensor, or a list; negative ones are no label and stay.
        num_classes: ``K``, at least 2.
        rate: in [0, 1].
        seed: of all that is random: a number from 0 on, or a generator, which is drawn from.
        exact: fix the number of wrong labels of each class instead of drawing each item.

    Raises:
        OptionError: the rate is no share, or there are not two classes.
        InputError: a label is K or more.

    Example:
        >>> symmetric_noise(np.array([0, 1, 2]), 3, 0.5, seed=0).transition[0]
        array([0.5 , 0.25, 0.25])
    """
    check_noise(num_classes, rate)
    other = (np.ones((num_classes, num_classes)) - np.eye(num_classes)) / (num_classes - 1)
    return transition_noise(labels, _mixed(other, rate), seed=seed, exact=exact)


def pair_flip_noise(
    labels: Any, num_classes: int, rate: float, *, seed: int | np.random.Generator, exact: bool = False
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
    check_noise(num_classes, rate)
    following = np.roll(np.eye(num_classes), 1, axis=1)
    return transition_noise(labels, _mixed(following, rate), seed=seed, exact=exact)


def asymmetric_noise(
    labels: Any,
    num_classes: int,
    rate: float,
    confusions: Mapping[int, int] = CIFAR10_CONFUSIONS,
    *,
    seed: int | np.random.Generator,
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
    check_noise(num_classes, rate)
    wrong = np.eye(num_classes)
    for source, target in confusions.items():
        if not (0 <= source < num_classes and 0 <= target < num_classes):
            cause = f"{source} -> {target} does not fit {num_classes} classes"
            raise OptionError("confusions", cause, f"use classes 0 to {num_classes - 1}")
        wrong[source] = np.eye(num_classes)[target]
    return transition_noise(labels, _mixed(wrong, rate), seed=seed, exact=exact)


def transition_noise(
    labels: Any,
    transition: Any,
    *,
    seed: int | np.random.Generator,
    exact: bool = False,
) -> NoisyLabels:
    """Noise by any transition matrix.

    Args:
        labels: see :func:`symmetric_noise`.
        transition: ``(K, K)``, an array or nested lists, p(label | true class); rows sum to 1, but for rounding.
        seed: see there.
        exact: each class is given out in the shares of its row, to within one item.

    Raises:
        OptionError: the matrix is no transition matrix.
        InputError: a label is K or more.
    """
    given = given_array(transition)
    if given is None or given.ndim != 2 or len(given) != given.shape[1]:
        cause = "rows are of unequal length" if given is None else f"shape {given.shape} is not square"
        raise OptionError("transition", cause, "give one row and one column a class")
    matrix = given.astype(np.float64)
    if (matrix < 0).any() or not np.allclose(matrix.sum(1), 1, atol=_ROUNDING):
        raise OptionError("transition", "a row is no distribution", "give p(label | true class) in each row")
    matrix /= matrix.sum(1, keepdims=True)  # rows of rounded numbers
    noisy = flat_labels(labels, len(matrix))
    rng = generator(seed)
    for code, row in enumerate(matrix):
        items = np.flatnonzero(noisy.clean == code)
        drawn = _dealt(row, len(items), rng) if exact else rng.choice(len(row), len(items), p=row)
        noisy.given[items] = drawn
    return NoisyLabels(noisy.given.reshape(noisy.shape), matrix)


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
