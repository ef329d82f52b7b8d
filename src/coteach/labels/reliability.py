"""How reliable each source is, estimated from the sources alone, and P_soft that takes it into account.

No truth is needed: a source that keeps contradicting what the others agree on errs, and in which classes shows in its
confusion matrix. Three variants, compared with equal votes in docs/benchmarks/reliability.md:

- ``"shared-errors"``: posterior of Dawid & Skene's model in which pairs of sources may share their errors;
- ``"dawid-skene"``: the same, all sources independent;
- ``"weighted-votes"``: vote shares, each source with a weight from its accuracy.

Shape legend: ``k`` patterns, ``s`` sources, ``c`` classes, ``v`` and ``w`` classes voted for.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int16

from coteach.errors import OptionError
from coteach.labels.patterns import PatternCounts
from coteach.labels.reliability_em import Link, Model, fit_model
from coteach.labels.reliability_links import find_links
from coteach.labels.votes import check_num_classes

VARIANTS = ("shared-errors", "dawid-skene", "weighted-votes")
MIN_SOURCES = 3  # of two that disagree nobody can say which one errs
TEMPER = 0.6  # chosen on validation blocks, see docs/benchmarks/reliability.md
MAX_ITERATIONS = 300
TOLERANCE = 1e-8  # nats a pixel
_BEST, _LEAST = 0.999, 0.01  # accuracy that counts as perfect; weight of a source no better than chance


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """What was estimated of the sources, and the soft labels that follow.

    Args:
        variant: one of :data:`VARIANTS`.
        model: prior of the classes, ``(c,)``; confusions ``(s, true c, voted v)``; dependence of linked pairs.
        voting: ``(s,)`` whether the source votes anywhere; all that is said of another is the smoothing's.
        log_likelihood: of the votes, in nats, over all pixels with a vote.
        objective: ``(n,)`` log-likelihood plus log-prior after each iteration.
    """

    variant: str
    model: Model
    voting: Bool[np.ndarray, " s"]
    log_likelihood: float
    objective: Float64[np.ndarray, " n"]

    @property
    def prior(self) -> Float64[np.ndarray, " c"]:
        """Share of each true class."""
        return self.model.prior

    @property
    def confusion(self) -> Float64[np.ndarray, "s c v"]:
        """p(voted class | true class) of each source; rows sum to 1."""
        return self.model.confusion

    @property
    def links(self) -> tuple[Link, ...]:
        """Pairs of sources found to share errors, the strongest first."""
        return tuple(self.model.dependence)

    @property
    def iterations(self) -> int:
        """Of expectation-maximisation."""
        return len(self.objective)

    @property
    def accuracy(self) -> Float64[np.ndarray, " s"]:
        """Share of its votes that are right if it votes everywhere, Σ prior(c) confusion(c, c)."""
        return np.asarray(np.einsum("c,scc->s", self.prior, self.confusion))

    @property
    def weights(self) -> Float64[np.ndarray, " s"]:
        """Log-odds of the accuracy a against chance, log(a (C - 1) / (1 - a)), scaled to mean 1 over voting sources.

        Sources no better than chance keep a weight just above 0; one that never votes has 0.
        """
        right = np.clip(self.accuracy, 1e-9, _BEST)
        odds = np.maximum(np.log(right * (len(self.prior) - 1) / (1 - right)), _LEAST)
        odds[~self.voting] = 0
        return np.asarray(odds / odds[self.voting].mean())

    def posterior(self, codes: Int16[np.ndarray, "k s"]) -> Float32[np.ndarray, "k c"]:
        """p(true class | votes) of each pattern, the prior where nobody votes; rows sum to 1."""
        return self.model.posterior(codes).astype(np.float32)

    def shares(self, codes: Int16[np.ndarray, "k s"]) -> Float32[np.ndarray, "k c"]:
        """What P_soft becomes for each pattern.

        The posterior to the power of :data:`TEMPER`, rescaled, for the model's errors are alike in whole
        regions, so that it is surer than it is right; argmax is the posterior's. Weighted votes are shares of the weights.

        Args:
            codes: ``(k, s)`` votes, :data:`~coteach.labels.votes.NO_VOTE` for none.

        Returns:
            ``(k, c)`` in [0, 1]; rows sum to 1, uniform where nobody votes.
        """
        classes = len(self.prior)
        if self.variant == "weighted-votes":
            shares = _weighted_shares(codes, np.where(self.voting, self.weights, 1.0), classes)
        else:
            shares = self.model.posterior(codes) ** TEMPER
            shares /= shares.sum(axis=1, keepdims=True)
            shares[(codes < 0).all(axis=1)] = 1 / classes
        return shares.astype(np.float32)

    def summary(self) -> dict[str, object]:
        """Plain numbers and lists for JSON; sources by number, in the order of the patterns' columns."""
        accuracy = [
            value if votes else None
            for value, votes in zip(self.accuracy.tolist(), self.voting.tolist(), strict=True)
        ]
        return {
            "variant": self.variant,
            "weights": self.weights.tolist(),
            "accuracy": accuracy,
            "confusion": self.confusion.tolist(),
            "class_shares": self.prior.tolist(),
            "shared_errors": [list(link) for link in self.links],
            "log_likelihood": self.log_likelihood,
            "iterations": self.iterations,
        }


def dawid_skene(
    patterns: PatternCounts,
    num_classes: int,
    *,
    shared_errors: bool = False,
    max_iterations: int = MAX_ITERATIONS,
    tolerance: float = TOLERANCE,
) -> Reliability:
    """Estimate class shares and confusions by expectation-maximisation that starts from the vote shares.

    Args:
        patterns: how often each combination of votes occurs; those without a vote are passed over.
        num_classes: C, at least 2.
        shared_errors: look for pairs of sources that share errors; needs four that vote, else none is found.
        max_iterations: at least 1.
        tolerance: the end is reached when an iteration gains less than this many nats a pixel.

    Returns:
        The estimate. Smoothing is by pseudo-counts, so that it is the most probable one (MAP); without shared errors
        ``objective`` never falls.

    Raises:
        OptionError: ``num_classes`` or ``max_iterations`` is out of range, or nobody votes.

    Example:
        >>> codes = np.array([[0, 0, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1]], np.int16)
        >>> estimate = dawid_skene(PatternCounts(codes, np.array([40, 10, 10, 40])), 2)
        >>> estimate.accuracy.round(2).tolist()
        [1.0, 1.0, 0.8]
    """
    check_num_classes(num_classes)
    if max_iterations < 1:
        raise OptionError("max_iterations", f"is {max_iterations}", "give at least 1")
    told = (patterns.codes >= 0).any(axis=1)
    if not told.any():
        raise OptionError("weights", "no source votes at any pixel", "check the sources' codes and legends")
    voted = PatternCounts(patterns.codes[told], patterns.counts[told])
    start = _weighted_shares(voted.codes, np.ones(voted.codes.shape[1]), num_classes)
    links = find_links(voted, start) if shared_errors else ()
    fit = fit_model(voted, start, links=links, max_iterations=max_iterations, tolerance=tolerance)
    return Reliability(
        variant="shared-errors" if shared_errors else "dawid-skene",
        model=fit.model,
        voting=np.asarray((voted.codes >= 0).any(axis=0)),
        log_likelihood=fit.log_likelihood,
        objective=fit.objective,
    )


def learned_shares(patterns: PatternCounts, num_classes: int, variant: str = "shared-errors") -> Reliability:
    """Estimate the sources' reliability for soft labels, see :meth:`Reliability.shares`.

    Args:
        patterns: of all tiles together.
        num_classes: C, at least 2.
        variant: one of :data:`VARIANTS`.

    Returns:
        The estimate; the order of the sources changes it by rounding only.

    Raises:
        OptionError: no such variant, or fewer than three sources vote.
    """
    if variant not in VARIANTS:
        raise OptionError("variant", f"there is no {variant!r}", f"choose {', '.join(VARIANTS)}")
    check_enough(int((patterns.codes >= 0).any(axis=0).sum()))
    estimate = dawid_skene(patterns, num_classes, shared_errors=variant == "shared-errors")
    return dataclasses.replace(estimate, variant=variant)


def check_enough(voting: int) -> None:
    """Refuse to learn from too few sources.

    Args:
        voting: sources that vote, or can at most.

    Raises:
        OptionError: there are fewer than three.
    """
    if voting < MIN_SOURCES:
        cause = f"learned from votes, but {voting} of the sources vote; of two nobody can say which one errs"
        raise OptionError("weights", cause, f"give at least {MIN_SOURCES} sources, or equal weights")


def _weighted_shares(
    codes: Int16[np.ndarray, "k s"], weights: Float64[np.ndarray, " s"], num_classes: int
) -> Float64[np.ndarray, "k c"]:
    """Shares of the weights of those who vote; uniform where nobody does."""
    shares = np.stack([(codes == code) @ weights for code in range(num_classes)], axis=1)
    total = shares.sum(axis=1, keepdims=True)
    return np.where(total > 0, shares / np.where(total > 0, total, 1), 1 / num_classes)
