"""Which pairs of sources share their errors."""

from __future__ import annotations

import itertools
import math

import numpy as np
from jaxtyping import Float64

from coteach.labels.patterns import PatternCounts
from coteach.labels.reliability_em import Link, fit_model

MIN_GAIN = 0.03  # nats a pixel; weaker ties cost more in free parameters than they tell, see docs/benchmarks
MIN_GROUPS = 3  # independent witnesses without which a hidden class cannot be told from a shared error
_ITERATIONS = 40  # of each candidate; enough to rank them
_TOLERANCE = 1e-6


def find_links(patterns: PatternCounts, start: Float64[np.ndarray, "k c"]) -> tuple[Link, ...]:
    """Link the pair that explains the votes best, then the next, while it pays and three groups remain.

    Whether errors are shared is judged by the likelihood: two copies of one map agree more often than any accuracy
    could explain to the other sources. The fit of every candidate starts from the vote shares, as the fit without
    links ends at a truth of which the copies are the best witnesses.

    Args:
        patterns: every one with at least one vote.
        start: p(true class) of each pattern, see :func:`~coteach.labels.reliability_em.fit_model`.

    Returns:
        Pairs of source numbers, a forest, the strongest first; among equals the lowest numbers.
    """
    voting = np.flatnonzero((patterns.codes >= 0).any(axis=0)).tolist()
    links: tuple[Link, ...] = ()
    reached = _log_likelihood(patterns, start, links)
    needed = MIN_GAIN + _price(start.shape[1], float(patterns.counts.sum()))
    while len(voting) - len(links) > MIN_GROUPS:
        group = _groups(voting, links)
        candidates = [pair for pair in itertools.combinations(voting, 2) if group[pair[0]] != group[pair[1]]]
        values = [_log_likelihood(patterns, start, (*links, pair)) for pair in candidates]
        best = int(np.argmax(values))
        if values[best] - reached < needed:
            break
        reached = values[best]
        links = (*links, candidates[best])
    return links


def _log_likelihood(
    patterns: PatternCounts, start: Float64[np.ndarray, "k c"], links: tuple[Link, ...]
) -> float:
    """Nats a pixel."""
    fit = fit_model(patterns, start, links=links, max_iterations=_ITERATIONS, tolerance=_TOLERANCE)
    return fit.log_likelihood / float(patterns.counts.sum())


def _price(classes: int, pixels: float) -> float:
    """What a link's free parameters gain by chance, by Schwarz's criterion (BIC), in nats a pixel."""
    parameters = classes * (classes - 1) ** 2
    return parameters * math.log(pixels) / (2 * pixels)


def _groups(sources: list[int], links: tuple[Link, ...]) -> dict[int, int]:
    """Source -> a number that linked sources have in common."""
    group = {source: source for source in sources}
    for first, second in links:
        old, new = group[second], group[first]
        group = {source: new if number == old else number for source, number in group.items()}
    return group
