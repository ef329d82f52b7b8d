"""The noise that scores of unlearned labels show: clusters against scipy's density, and noise that was put in."""

import numpy as np
import pytest
from noisy_scores import noisy_scores, pair_flip, symmetric
from scipy.special import softmax
from scipy.stats import multivariate_t

import coteach.labels.noise_model
from coteach.labels.noise_model import _drawn, noise_model
from coteach.labels.quality import label_quality
from coteach.labels.quality_em import transition_of
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
        (pair_flip(0.45, classes=16), 0.03),
    ],
    ids=["none", "symmetric 20", "symmetric 50", "pair flip 45", "unequal", "33 classes", "16 classes"],
)
def test_the_noise_that_was_put_in_is_found(transition, tolerance):
    probs, given, truth = noisy_scores(transition, count=max(2000, 60 * len(transition)))
    found, wrong = noise_model(probs, given), given != truth
    assert found.overall == pytest.approx(wrong.mean(), abs=tolerance)
    shares = [wrong[given == code].mean() for code in range(len(transition))]
    assert np.abs(found.by_class - shares).mean() < 2 * tolerance
    if len(transition) < 33:
        # the model's own is drawn towards noise that is the same everywhere; what it counts is not
        counted = found.quality.joint / found.quality.joint.sum(1, keepdims=True)
        np.testing.assert_allclose(counted, transition, atol=0.1)


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


def test_clusters_of_all_items_name_classes_that_few_labels_name_wrongly():
    """Of eight labels of a class five and more may be wrong by chance, where 45 % are: four of five times in one class or another."""
    shares = {"alone": [], "beside": []}
    for seed in range(5):
        probs, given, truth = noisy_scores(pair_flip(0.45), 2000, seed=seed, spread=0.3)
        few = (probs[:40], given[:40])
        rest = (probs[40:], given[40:])
        for name, model in (("alone", noise_model(*few)), ("beside", noise_model(*few, beside=rest))):
            believed = model.p_right(*rest) > 0.5
            shares[name].append((given == truth)[40:][believed].mean())
    assert min(shares["beside"]) > 0.97
    assert min(shares["alone"]) < 0.7


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


@pytest.mark.parametrize("transition", [symmetric(0.0, 10), symmetric(0.2, 10), pair_flip(0.4, 10)])
def test_of_few_labels_clusters_do_not_follow_the_given_ones(transition):
    """Fifteen of a class: shapes of their own confirmed the labels, and of 40 % wrong ones 18 were found at this spread."""
    errors = []
    for seed in range(2):
        probs, given, truth = noisy_scores(transition, 150, seed, spread=1.0, unclear=0.2)
        errors.append(noise_model(probs, given).overall - (given != truth).mean())
    assert abs(np.mean(errors)) < (0.03 if transition[0][0] > 0.7 else 0.12)


@pytest.mark.parametrize("seed", range(3))
def test_what_networks_confuse_is_no_noise(seed):
    """Six of ten classes look like one another by twos; all labels are right. A free choice of the noise explains it, too."""
    rng = np.random.default_rng(seed)
    truth = np.arange(200) % 10
    alike = np.eye(10)[truth] + 0.7 * np.eye(10)[truth ^ 1] * (truth < 6)[:, None]
    probs = softmax(3 * alike + 1.2 * rng.standard_normal((200, 10)), axis=1)
    free = label_quality(find_clusters(probs, truth).probs(probs), truth, tolerance=1e-5)
    found = noise_model(probs, truth)
    assert free.noise_rate > 0.05
    assert found.overall < 0.02


def test_networks_that_tell_the_classes_apart_name_the_labels_that_are_right():
    probs, given, _ = noisy_scores(symmetric(0.3, 5), 400)
    assert noise_model(probs, given).agreed > 0.95
    others = np.random.default_rng(0).permutation(len(given))
    assert noise_model(probs[others], given).agreed < 0.3  # of other items
    perfect = noise_model(np.eye(5)[given], given)
    assert perfect.agreed == pytest.approx(1, abs=0.01)


def test_rows_of_two_networks_speak_for_the_labels_once():
    probs, given, _ = noisy_scores(pair_flip(0.4, 4), 60, spread=1.0, unclear=0.3)
    twice = np.concatenate([probs, probs]), np.tile(given, 2)
    once, both = noise_model(probs, given), noise_model(*twice, copies=2)
    np.testing.assert_allclose(both.p_right(probs, given), once.p_right(probs, given), atol=0.01)
    shape = find_clusters(probs, given).root
    np.testing.assert_allclose(find_clusters(*twice, copies=2).root, shape, atol=1e-6)
    assert np.abs(find_clusters(*twice).root - shape).max() > 0.05


def test_noise_that_is_the_same_everywhere_has_items_in_its_favour():
    """By hand: 10 items of three classes, 8 of them right; 5 more of each class, 4 of them right, half one a wrong class."""
    posterior = np.eye(3)[[0] * 4 + [1] * 3 + [2] * 3]
    given = np.array([0, 0, 0, 1, 1, 1, 0, 2, 2, 2])
    counts = np.array([[7, 1.5, 0.5], [1.5, 6, 0.5], [0.5, 0.5, 7]])
    # and a hundredth of an average class as everywhere, 0.7 of it right
    counts += 0.1 / 3 * np.array([[0.7, 0.15, 0.15], [0.15, 0.7, 0.15], [0.15, 0.15, 0.7]])
    found = transition_of(posterior, given, alike=5.0)
    np.testing.assert_allclose(found, counts / counts.sum(1, keepdims=True))


@pytest.mark.parametrize("probs", [np.full((40, 3), 1 / 3), np.eye(3)[np.arange(40) % 3]])
def test_scores_without_spread_are_no_obstacle(probs):
    found = noise_model(probs, np.arange(40) % 3)
    assert 0 <= found.overall <= 1
    assert np.isfinite(found.p_right(probs, np.arange(40) % 3)).all()


@pytest.mark.parametrize("classes", [60, 128, 129, 1000])
def test_the_work_of_many_classes_is_bounded_and_each_class_keeps_its_part(classes):
    """Few of one class, and none of another, among many."""
    rng = np.random.default_rng(0)
    labels = rng.integers(3, classes, 32768)
    labels[rng.permutation(32768)[:15]] = np.repeat([0, 1], [10, 5])
    drawn = _drawn(labels, classes)
    assert (np.diff(drawn) > 0).all()
    had, kept = (np.bincount(one, minlength=classes) for one in (labels, labels[drawn]))
    assert (kept >= np.minimum(had, 8)).all()
    assert kept[1] == 5
    share = min(1, 2**26 / classes**2 / 32768) if classes <= 128 else 2**21 / classes / 32768
    assert (kept[3:] <= np.maximum(had[3:] * share, 8) + 1).all()
    assert (kept[3:] >= np.minimum(had[3:], np.floor(had[3:] * share) - 1)).all()
    # evenly over a data set, not its beginning
    often = np.argmax(had)
    gaps = np.diff(np.flatnonzero(np.isin(np.flatnonzero(labels == often), drawn)))
    assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("classes", [2, 10, 40])
def test_of_few_classes_all_labels_are_looked_at(classes):
    labels = np.arange(32768) % classes
    np.testing.assert_array_equal(_drawn(labels, classes), np.arange(32768))


def test_of_more_classes_networks_are_taken_at_their_word(monkeypatch):
    """And as many iterations are made as the work allows."""
    monkeypatch.setattr(coteach.labels.noise_model, "_CLUSTERED", 5)
    probs, given, truth = noisy_scores(symmetric(0.3, 6), 3000)
    found, plain = noise_model(probs, given), label_quality(probs, given, tolerance=1e-5)
    assert found.overall == pytest.approx((given != truth).mean(), abs=0.03)
    np.testing.assert_allclose(found.p_right(probs, given), 1 - plain.p_wrong, rtol=1e-6)
    monkeypatch.setattr(coteach.labels.noise_model, "_WORK", 3 * probs.size)
    assert len(noise_model(probs, given).quality.log_likelihood) == 3


def test_what_is_drawn_is_enough(monkeypatch):
    """The first of the labels are of class 0 alone: a sixth of all, of every class."""
    probs, given, truth = noisy_scores(symmetric(0.3, 12), 12000)
    order = np.argsort(given, kind="stable")
    probs, given, truth = probs[order], given[order], truth[order]
    monkeypatch.setattr(coteach.labels.noise_model, "_WORK", 2000 * 12**2)
    found = noise_model(probs, given)
    assert len(found.quality.p_wrong) == pytest.approx(2000, abs=12)
    assert found.overall == pytest.approx((given != truth).mean(), abs=0.03)
