"""The noise that scores of unlearned labels show: clusters against scipy's density, and noise that was put in."""

import numpy as np
import pytest
from noisy_scores import noisy_scores, pair_flip, symmetric
from scipy.stats import multivariate_t

from coteach.labels.noise_model import noise_model
from coteach.labels.quality import label_quality
from coteach.labels.score_clusters import ScoreClusters, find_clusters

UNEQUAL = np.array([[0.9, 0.1, 0.0], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]])


@pytest.mark.parametrize("own", [True, False], ids=["a shape each", "one shape"])
def test_densities_are_those_of_scipys_t(own):
    rng = np.random.default_rng(0)
    z, mean = rng.standard_normal((7, 2)), rng.standard_normal((3, 2))
    root = np.tril(rng.uniform(0.5, 1.5, (3 if own else 1, 2, 2)))
    share = np.array([0.2, 0.3, 0.5])
    joint, counts_for = ScoreClusters(np.log(share), mean, root).log_joint(z)
    roots = root if own else root.repeat(3, 0)
    theirs = [
        multivariate_t(m, r @ r.T, df=4).logpdf(z) + np.log(s)
        for m, r, s in zip(mean, roots, share, strict=True)
    ]
    apart = joint - np.stack(theirs, axis=1)
    np.testing.assert_allclose(apart, apart[0, 0], rtol=1e-12)
    far = [[(x - m) @ np.linalg.inv(r @ r.T) @ (x - m) for m, r in zip(mean, roots, strict=True)] for x in z]
    np.testing.assert_allclose(counts_for, 6 / (4 + np.array(far)), rtol=1e-10)


@pytest.mark.parametrize(
    ("transition", "tolerance"),
    [
        (symmetric(0.0), 0.02),
        (symmetric(0.2), 0.03),
        (symmetric(0.5), 0.03),
        (pair_flip(0.45), 0.03),
        (UNEQUAL, 0.03),
        (symmetric(0.3, classes=33), 0.05),  # more classes than have shapes of their own
    ],
    ids=["none", "symmetric 20", "symmetric 50", "pair flip 45", "unequal", "33 classes"],
)
def test_the_noise_that_was_put_in_is_found(transition, tolerance):
    probs, given, truth = noisy_scores(transition, count=max(2000, 60 * len(transition)))
    found, wrong = noise_model(probs, given), given != truth
    assert found.overall == pytest.approx(wrong.mean(), abs=tolerance)
    shares = [wrong[given == code].mean() for code in range(len(transition))]
    assert np.abs(found.by_class - shares).mean() < 2 * tolerance
    if len(transition) < 33:
        np.testing.assert_allclose(found.quality.transition, transition, atol=0.1)


def test_what_was_learned_of_pair_flips_hides_them_from_the_probabilities_alone():
    """What clusters are for: the network's own word explains the labels without a single wrong one."""
    probs, given, _ = noisy_scores(pair_flip(0.45))
    assert label_quality(probs, given).noise_rate < 0.2
    assert noise_model(probs, given).overall > 0.4
    # and they tell which labels are wrong, also of other items, where largest losses do not
    others, labels, classes = noisy_scores(pair_flip(0.45), seed=1)
    wrong, right = labels != classes, noise_model(probs, given).p_right(others, labels)
    refused = np.argsort(right)[: wrong.sum()]
    assert wrong[refused].mean() > 0.9
    by_loss = np.argsort(others[np.arange(len(labels)), labels])[: wrong.sum()]
    assert wrong[by_loss].mean() < 0.7


def test_rows_are_distributions_and_their_scale_does_not_matter():
    probs, given, _ = noisy_scores(symmetric(0.3), count=300)
    found = find_clusters(probs, given).probs(probs)
    np.testing.assert_allclose(found.sum(1), 1)
    np.testing.assert_allclose(find_clusters(7 * probs, given).probs(3 * probs), found, atol=1e-4)


def test_few_items_of_a_class_are_as_wrong_as_all():
    """None of class 1 is left: its share is that of all labels."""
    probs, given, _ = noisy_scores(UNEQUAL, count=600)
    rest = given != 1
    found = noise_model(probs[rest], given[rest])
    assert found.by_class[1] == pytest.approx(found.overall)
    assert found.by_class[0] < found.by_class[2] + 0.2


@pytest.mark.parametrize("probs", [np.full((40, 3), 1 / 3), np.eye(3)[np.arange(40) % 3]])
def test_scores_without_spread_are_no_obstacle(probs):
    found = noise_model(probs, np.arange(40) % 3)
    assert 0 <= found.overall <= 1
    assert np.isfinite(found.p_right(probs, np.arange(40) % 3)).all()
