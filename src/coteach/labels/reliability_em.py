"""The model behind estimated reliability: a hidden true class, and what each source makes of it.

After Dawid & Skene (Applied Statistics 28, 1979): given the true class c, source s votes v with probability
``confusion[s, c, v]``, independently of the other sources. *Linked* pairs are an exception: their joint
``p(v, w | c)`` is free, so that two maps with a common ancestor are not counted as two witnesses. The links form a
forest, so that ``p(votes | c)`` is the product over the sources times, a link, ``p(v, w | c) / (p(v | c) p(w | c))``.
A source that does not vote leaves its factors out: it is missing at random.

Shape legend: ``k`` patterns, ``s`` sources, ``c`` true classes, ``v`` and ``w`` classes voted for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int16, Int64
from scipy import special

from coteach.labels.patterns import PatternCounts

Link = tuple[int, int]
SMOOTHING = 1e-5  # pseudo-counts of a class and of a row of a confusion, as a share of all pixels
LINK_SMOOTHING = 1e-4  # pull of a link's table towards independence, likewise
EXPECTED = 0.7  # accuracy that the pseudo-counts speak for; all that is known of a class nobody votes for


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Probabilities of the true class and of the votes given it.

    Args:
        prior: ``(c,)`` sum 1.
        confusion: ``(s, c, v)`` rows sum to 1.
        dependence: link -> ``(c, v, w)`` log p(v, w | c) - log p(v | c) - log p(w | c).
    """

    prior: Float64[np.ndarray, " c"]
    confusion: Float64[np.ndarray, "s c v"]
    dependence: Mapping[Link, Float64[np.ndarray, "c v w"]]

    def log_joint(self, codes: Int16[np.ndarray, "k s"]) -> Float64[np.ndarray, "k c"]:
        """Log of p(true class, votes) of each pattern, in nats."""
        classes = len(self.prior)
        total = np.repeat(np.log(self.prior)[:, None], len(codes), axis=1)
        for source, confusion in enumerate(self.confusion):
            total += _looked_up(np.log(confusion), codes[:, source].astype(np.int64))
        for link, table in self.dependence.items():
            total += _looked_up(table.reshape(classes, -1), _pair_index(codes, link, classes))
        return np.ascontiguousarray(total.T)

    def posterior(self, codes: Int16[np.ndarray, "k s"]) -> Float64[np.ndarray, "k c"]:
        """p(true class | votes) of each pattern; rows sum to 1."""
        return np.asarray(special.softmax(self.log_joint(codes), axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A model and how it was reached.

    Args:
        model: the last of the iterations.
        objective: ``(n,)`` what EM maximises, after each iteration: log-likelihood plus log-prior, nats.
        log_likelihood: of the votes under the model, nats.
    """

    model: Model
    objective: Float64[np.ndarray, " n"]
    log_likelihood: float


def fit_model(
    patterns: PatternCounts,
    start: Float64[np.ndarray, "k c"],
    *,
    links: tuple[Link, ...] = (),
    max_iterations: int,
    tolerance: float,
) -> Fit:
    """Expectation-maximisation from a first guess of the true classes.

    The estimate is the most probable one (MAP) under Dirichlet priors whose pseudo-counts grow with the number of
    pixels: twice the pixels give the same model. Without links the objective never falls; with links the tables are
    those of the pixels where both sources vote, and it may fall where one of them is often silent.

    Args:
        patterns: every one with at least one vote.
        start: p(true class) of each pattern; it decides which hidden class is which, and which optimum is found.
        links: pairs of sources with a joint table of their own; a forest.
        max_iterations: at least 1.
        tolerance: the end is reached when an iteration gains less than this many nats a pixel.
    """
    pixels = int(patterns.counts.sum())
    posterior, objective = start, [-np.inf]
    for _ in range(max_iterations):
        model = _maximise(patterns, posterior, links)
        joint = model.log_joint(patterns.codes)
        evidence = np.asarray(special.logsumexp(joint, axis=1))
        log_likelihood = float(patterns.counts @ evidence)
        objective.append(log_likelihood + _log_prior(model, pixels))
        if objective[-1] - objective[-2] < tolerance * pixels:
            break
        posterior = np.exp(joint - evidence[:, None])
    return Fit(model, np.array(objective[1:]), log_likelihood)


def _maximise(
    patterns: PatternCounts, posterior: Float64[np.ndarray, "k c"], links: tuple[Link, ...]
) -> Model:
    """The M-step: the most probable model if the true classes were known to be these."""
    pixels = patterns.counts.sum()
    classes = posterior.shape[1]
    weight = posterior * patterns.counts[:, None]
    prior = weight.sum(axis=0) + SMOOTHING * pixels
    votes = patterns.codes.T.astype(np.int64)
    confusion = np.stack([_tallies(of_one, weight, classes) for of_one in votes])
    confusion += SMOOTHING * pixels * _expected(classes)
    confusion /= confusion.sum(axis=2, keepdims=True)
    dependence = {}
    for first, second in links:
        index = _pair_index(patterns.codes, (first, second), classes)
        table = _tallies(index, weight, classes**2).reshape(classes, classes, classes)
        apart = confusion[first][:, :, None] * confusion[second][:, None, :]
        table += LINK_SMOOTHING * pixels * apart
        table /= table.sum(axis=(1, 2), keepdims=True)
        marginals = table.sum(axis=2, keepdims=True) * table.sum(axis=1, keepdims=True)
        dependence[first, second] = np.log(table) - np.log(marginals)
    return Model(prior / prior.sum(), confusion, dependence)


def _log_prior(model: Model, pixels: int) -> float:
    """What the pseudo-counts of classes and confusions add to the log-likelihood, up to a constant."""
    rows = (_expected(len(model.prior)) * np.log(model.confusion)).sum()
    return float(SMOOTHING * pixels * (np.log(model.prior).sum() + rows))


def _expected(classes: int) -> Float64[np.ndarray, "c c"]:
    """The confusion that the pseudo-counts speak for."""
    rows = np.full((classes, classes), (1 - EXPECTED) / (classes - 1))
    np.fill_diagonal(rows, EXPECTED)
    return rows


def _pair_index(codes: Int16[np.ndarray, "k s"], link: Link, classes: int) -> Int64[np.ndarray, " k"]:
    """Number of the pair of votes; -1 unless both vote."""
    first, second = (codes[:, source].astype(np.int64) for source in link)
    return np.where((first >= 0) & (second >= 0), first * classes + second, -1)


def _tallies(
    index: Int64[np.ndarray, " k"], weight: Float64[np.ndarray, "k c"], size: int
) -> Float64[np.ndarray, "c n"]:
    """Weights of each class summed by index; negative indices left out."""
    sums = [np.bincount(index + 1, column, minlength=size + 1)[1:] for column in weight.T]
    return np.stack(sums)


def _looked_up(
    table: Float64[np.ndarray, "c n"], index: Int64[np.ndarray, " k"]
) -> Float64[np.ndarray, "c k"]:
    """The table's columns at an index, 0 where it is negative."""
    return np.where(index >= 0, table[:, index], 0.0)
