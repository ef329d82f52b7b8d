from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coteach.errors import OptionError
from coteach.labels.patterns import PatternCounts
from coteach.labels.reliability import VARIANTS, dawid_skene, learned_shares

CLASSES = 3
PRIOR = np.array([0.5, 0.3, 0.2])
# A good source, one that calls class 1 class 2, one that is poor in everything, one that is fair.
CONFUSION = np.array(
    [
        [[0.9, 0.06, 0.04], [0.05, 0.9, 0.05], [0.04, 0.06, 0.9]],
        [[0.85, 0.1, 0.05], [0.05, 0.25, 0.7], [0.05, 0.1, 0.85]],
        [[0.5, 0.3, 0.2], [0.25, 0.5, 0.25], [0.3, 0.2, 0.5]],
        [[0.75, 0.1, 0.15], [0.15, 0.75, 0.1], [0.1, 0.15, 0.75]],
    ]
)

# Two poor sources first, the second often a copy of the first; among the others are two good ones.
WITH_COPY = CONFUSION[[2, 3, 0, 3, 0]]


def every_pattern(sources, low=0):
    return np.array(list(itertools.product(range(low, CLASSES), repeat=sources)), np.int16)


def expected_counts(confusion, *, voting=1.0, copied=0.0, pixels=10**7):
    """Patterns and (k, c) pixels of each true class; `copied` is how often the second source repeats the first."""
    codes = every_pattern(len(confusion), low=0 if voting == 1 else -1)
    joint = np.empty((len(codes), CLASSES))
    for k, pattern in enumerate(codes.tolist()):
        for c in range(CLASSES):
            chance = PRIOR[c]
            for s, vote in enumerate(pattern):
                one = 1 - voting if vote < 0 else voting * confusion[s, c, vote]
                if s == 1:
                    one = copied * (vote == pattern[0]) + (1 - copied) * one
                chance *= one
            joint[k, c] = chance
    truth = np.round(joint * pixels)
    seen = truth.sum(1) > 0
    return PatternCounts(codes[seen], truth[seen].sum(1).astype(np.int64)), truth[seen]


def accuracy(shares, truth):
    return truth[np.arange(len(truth)), shares.argmax(1)].sum() / truth.sum()


@st.composite
def any_patterns(draw, min_sources=1):
    sources = draw(st.integers(min_sources, 4))
    rows = draw(
        st.lists(
            st.tuples(*[st.integers(-1, CLASSES - 1)] * sources), min_size=1, max_size=12, unique=True
        ).filter(lambda rows: max(max(row) for row in rows) >= 0)
    )
    counts = draw(st.lists(st.integers(1, 1000), min_size=len(rows), max_size=len(rows)))
    return PatternCounts(np.array(sorted(rows), np.int16), np.array(counts, np.int64))


@pytest.mark.parametrize("voting", [1.0, 0.7])
def test_known_confusions_are_found_again(voting):
    patterns, truth = expected_counts(CONFUSION, voting=voting)
    found = dawid_skene(patterns, CLASSES, max_iterations=5000, tolerance=1e-11)
    np.testing.assert_allclose(found.prior, PRIOR, atol=0.01)
    np.testing.assert_allclose(found.confusion, CONFUSION, atol=0.01)
    np.testing.assert_allclose(found.accuracy, [0.9, 0.67, 0.5, 0.75], atol=0.01)
    bayes = truth / truth.sum(1, keepdims=True)
    often = patterns.counts > 10_000  # the others are rounded to whole pixels
    np.testing.assert_allclose(found.posterior(patterns.codes)[often], bayes[often], atol=0.03)


def test_posterior_is_bayes_rule_in_a_loop():
    patterns, _ = expected_counts(CONFUSION)
    found = dawid_skene(patterns, CLASSES)
    for pattern in ([0, 2, 1, 0], [1, -1, -1, 2], [-1, -1, -1, -1]):
        chance = []
        for c in range(CLASSES):
            product = found.prior[c]
            for s, vote in enumerate(pattern):
                product *= found.confusion[s, c, vote] if vote >= 0 else 1
            chance.append(product)
        np.testing.assert_allclose(
            found.posterior(np.array([pattern], np.int16))[0], np.array(chance) / sum(chance), rtol=1e-5
        )


def test_one_iteration_by_hand():
    # Votes (0, 0, 1) of two classes: shares 2/3 and 1/3, which are the prior. Each source votes for one class only, so
    # every row of its confusion is that class, and the votes say nothing: the likelihood is 1, its logarithm 0.
    found = dawid_skene(
        PatternCounts(np.array([[0, 0, 1]], np.int16), np.array([90])), 2, max_iterations=1, tolerance=0.0
    )
    assert found.iterations == 1
    np.testing.assert_allclose(found.prior, [2 / 3, 1 / 3], atol=1e-4)
    np.testing.assert_allclose(found.confusion[2], [[0, 1], [0, 1]], atol=1e-4)
    assert found.log_likelihood == pytest.approx(0, abs=0.01)


@settings(max_examples=60)
@given(any_patterns())
def test_objective_never_falls(patterns):
    steps = np.diff(dawid_skene(patterns, CLASSES, max_iterations=60, tolerance=0.0).objective)
    assert (steps >= -1e-9 * patterns.counts.sum()).all()


@settings(max_examples=40)
@given(any_patterns(), st.integers(2, 50))
def test_more_of_the_same_pixels_change_nothing(patterns, times):
    many = PatternCounts(patterns.codes, patterns.counts * times)
    one, all_ = (dawid_skene(p, CLASSES, max_iterations=8, tolerance=0.0) for p in (patterns, many))
    np.testing.assert_allclose(one.confusion, all_.confusion, atol=1e-6)
    assert all_.log_likelihood == pytest.approx(times * one.log_likelihood, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
@settings(max_examples=25)
@given(patterns=any_patterns(min_sources=3))
def test_shares_of_any_pattern(variant, patterns):
    assume((patterns.codes >= 0).any(0).sum() >= 3)
    found = learned_shares(patterns, CLASSES, variant)
    shares = found.shares(every_pattern(patterns.codes.shape[1], low=-1))
    assert shares.dtype == np.float32
    assert shares.min() >= 0
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(shares[0], 1 / CLASSES)  # the pattern without votes
    assert found.weights.min() >= 0
    assert found.weights[(patterns.codes >= 0).any(0)].mean() == pytest.approx(1)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("copied", [0.0, 0.8])
def test_order_of_sources_is_of_no_account(variant, copied):
    patterns, _ = expected_counts(WITH_COPY, copied=copied)
    order = [2, 0, 4, 3, 1]
    turned = learned_shares(patterns.among(order), CLASSES, variant)
    straight = learned_shares(patterns, CLASSES, variant)
    np.testing.assert_allclose(
        turned.shares(patterns.codes[:, order]), straight.shares(patterns.codes), atol=1e-4
    )
    np.testing.assert_allclose(turned.weights, straight.weights[order], atol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_source_that_never_votes_changes_nothing(variant):
    patterns, _ = expected_counts(CONFUSION)
    with_silent = patterns.among([0, 1, None, 2, 3])
    found, plain = (learned_shares(p, CLASSES, variant) for p in (with_silent, patterns))
    np.testing.assert_allclose(found.shares(with_silent.codes), plain.shares(patterns.codes), atol=1e-6)
    np.testing.assert_allclose(found.weights, np.insert(plain.weights, 2, 0), atol=1e-9)
    accuracies = found.summary()["accuracy"]
    assert accuracies[2] is None
    assert None not in accuracies[:2]


def test_pixels_without_a_vote_are_passed_over():
    patterns, _ = expected_counts(CONFUSION)
    nothing = PatternCounts(np.full((1, 4), -1, np.int16), np.array([10**7]))
    both = PatternCounts.merged([nothing, patterns])
    np.testing.assert_array_equal(
        dawid_skene(both, CLASSES).confusion, dawid_skene(patterns, CLASSES).confusion
    )


def test_a_class_that_nobody_votes_for_stays_sane():
    patterns, _ = expected_counts(CONFUSION)
    found = dawid_skene(patterns, CLASSES + 1)
    assert 0 < found.prior[3] < 1e-3
    assert np.isfinite(found.confusion).all()
    assert found.shares(patterns.codes)[:, 3].max() < 0.05


def test_weights_are_log_odds_against_chance():
    patterns, _ = expected_counts(CONFUSION)
    found = learned_shares(patterns, CLASSES, "weighted-votes")
    odds = [math.log(a * 2 / (1 - a)) for a in found.accuracy.tolist()]
    np.testing.assert_allclose(found.weights, np.array(odds) / np.mean(odds), rtol=1e-6)
    w = found.weights
    shares = found.shares(np.array([[0, 1, 0, -1]], np.int16))[0]
    np.testing.assert_allclose(shares, np.array([w[0] + w[2], w[1], 0]) / w[:3].sum(), atol=1e-6)


def test_a_source_worse_than_chance_hardly_counts():
    confusion = CONFUSION.copy()
    confusion[2] = [[0.1, 0.6, 0.3], [0.6, 0.1, 0.3], [0.5, 0.4, 0.1]]
    patterns, _ = expected_counts(confusion)
    assert 0 < learned_shares(patterns, CLASSES, "weighted-votes").weights[2] < 0.05


def test_reliability_beats_equal_votes():
    patterns, truth = expected_counts(CONFUSION)
    votes = (patterns.codes[:, :, None] == np.arange(CLASSES)).sum(1)
    assert (
        accuracy(learned_shares(patterns, CLASSES).shares(patterns.codes), truth)
        > accuracy(votes, truth) + 0.03
    )


def test_copies_are_found_and_count_once():
    patterns, truth = expected_counts(WITH_COPY, copied=0.8)
    shared, independent = (learned_shares(patterns, CLASSES, v) for v in ("shared-errors", "dawid-skene"))
    assert shared.links == ((0, 1),)
    assert independent.links == ()
    best = truth.max(1).sum() / truth.sum()
    assert accuracy(shared.shares(patterns.codes), truth) > best - 0.001
    assert accuracy(independent.shares(patterns.codes), truth) < best - 0.005


def test_independent_sources_are_not_linked():
    patterns, _ = expected_counts(CONFUSION)
    shared, independent = (learned_shares(patterns, CLASSES, v) for v in ("shared-errors", "dawid-skene"))
    assert shared.links == ()
    np.testing.assert_array_equal(shared.confusion, independent.confusion)


def test_few_pixels_do_not_make_links():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, 3000)  # a link of ten classes has 810 parameters
    votes = np.where(rng.random((4, 3000)) < 0.7, truth, rng.integers(0, 10, (4, 3000)))
    codes, counts = np.unique(votes.T.astype(np.int16), axis=0, return_counts=True)
    assert learned_shares(PatternCounts(codes, counts), 10).links == ()


def test_three_sources_are_never_linked():
    patterns, _ = expected_counts(CONFUSION[:3], copied=0.9)
    assert learned_shares(patterns, CLASSES).links == ()


def test_summary_is_json():
    patterns, _ = expected_counts(WITH_COPY, copied=0.8)
    summary = json.loads(json.dumps(learned_shares(patterns, CLASSES).summary(), allow_nan=False))
    assert np.array(summary["confusion"]).shape == (5, CLASSES, CLASSES)
    assert summary["shared_errors"] == [[0, 1]]


@pytest.mark.parametrize(
    ("codes", "options", "words"),
    [
        ([[0, 1]], {}, "2 of the sources vote"),
        ([[0, 1, -1]], {}, "2 of the sources vote"),
        ([[0, 1, 1]], {"variant": "best"}, "no 'best'"),
    ],
)
def test_what_cannot_be_learned_is_refused(codes, options, words):
    patterns = PatternCounts(np.array(codes, np.int16), np.array([5]))
    with pytest.raises(OptionError, match=words):
        learned_shares(patterns, CLASSES, **options)


def test_no_votes_or_no_iterations_are_refused():
    silent = PatternCounts(np.array([[-1, -1]], np.int16), np.array([5]))
    with pytest.raises(OptionError, match="no source votes"):
        dawid_skene(silent, CLASSES)
    with pytest.raises(OptionError, match="max_iterations"):
        dawid_skene(PatternCounts(np.array([[0]], np.int16), np.array([5])), CLASSES, max_iterations=0)
