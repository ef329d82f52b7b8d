"""Labels judged by several readings."""

import numpy as np
import pytest
from ranking import average_precision

from coteach import audit
from coteach.errors import InputError
from coteach.labels.quality import label_quality
from coteach.labels.readings import judge_labels, probs_by_loss


def test_the_label_has_the_geometric_mean_and_the_others_share_the_rest():
    """Two epochs: 0.1 then 0.9 for the label, a geometric mean of 0.3; the others share 0.7."""
    epochs = np.array([[0.1, 0.6, 0.3], [0.9, 0.09, 0.01]])
    loss = -np.log(epochs[:, 0]).mean()
    found = probs_by_loss(epochs.mean(0)[None], np.array([0]), np.array([loss]))
    first, second = 0.6 + 0.09, 0.3 + 0.01
    expected = [0.3, 0.7 * first / (first + second), 0.7 * second / (first + second)]
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)


def test_nothing_changes_without_a_label_or_without_change():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(4), 30)
    labels = rng.integers(-1, 4, 30)
    loss = np.where(labels >= 0, -np.log(probs[np.arange(30), labels]), np.nan)
    np.testing.assert_allclose(probs_by_loss(probs, labels, loss), probs, rtol=1e-12)


def test_certainty_of_the_label_and_unknown_items():
    found = probs_by_loss(np.array([[1.0, 0.0], [np.nan, np.nan]]), np.array([0, 1]), np.array([0.0, np.nan]))
    assert found[0].tolist() == [1.0, 0.0]
    assert np.isnan(found[1]).all()


def learned_by_heart(epochs, *, seed=0, count=3000, classes=4):
    """Mean probabilities, loss, labels, wrong: the true class is known from the start, the label is learned, each at its own speed."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    labels = np.where(rng.random(count) < 0.3, (truth + rng.integers(1, classes, count)) % classes, truth)
    known, speed = rng.normal(4, 1, (count, 1)), rng.uniform(0.05, 1, (count, 1))
    right, given = np.eye(classes)[truth], np.eye(classes)[labels]
    noise = rng.normal(0, 1, (epochs, count, classes))
    scores = known * right + speed * np.arange(epochs)[:, None, None] * given + noise
    probs = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    loss = -np.log(probs[:, np.arange(count), labels]).mean(0)
    return probs.mean(0), loss, labels, labels != truth


def test_wrong_labels_that_were_learned_by_heart_are_found_by_the_loss():
    probs, loss, labels, wrong = learned_by_heart(30)
    alone = judge_labels([probs], labels)
    both = judge_labels([probs, probs_by_loss(probs, labels, loss)], labels)
    missed = [1 - average_precision(one.p_wrong, wrong) for one in (alone, both)]
    assert missed[1] < 0.6 * missed[0] < 0.01
    assert abs(both.noise_rate - 0.3) < abs(alone.noise_rate - 0.3)


def test_readings_are_heard_alike():
    first, _, labels, _ = learned_by_heart(2, count=300)
    second, *_ = learned_by_heart(3, count=300)
    one, two = judge_labels([first], labels), judge_labels([second], labels)
    both = judge_labels([first, second], labels)
    np.testing.assert_allclose(both.p_wrong, (one.p_wrong + two.p_wrong) / 2)
    mean = (one.posterior.astype(np.float64) + two.posterior) / 2
    np.testing.assert_array_equal(both.suggested, mean.argmax(1))
    for true in range(4):
        for given in range(4):
            assert both.joint[true, given] == pytest.approx(mean[labels == given, true].sum())
    np.testing.assert_allclose(both.transition.sum(1), 1)


def test_a_class_that_no_item_has_keeps_a_row_of_its_own():
    """As for one set of probabilities: nothing speaks against its labels, so they are mostly right."""
    probs = np.random.default_rng(0).dirichlet(np.full(4, 0.05), 2000)
    labels = probs[:, :3].argmax(1)
    probs[:, 3] = 0
    transition = judge_labels([probs, probs], labels).transition
    np.testing.assert_allclose(transition.sum(1), 1)
    np.testing.assert_allclose(transition, label_quality(probs, labels).transition, atol=1e-3)
    assert transition[3, 3] > 0.5


def test_an_item_that_one_reading_does_not_know_is_unknown():
    probs, _, labels, _ = learned_by_heart(2, count=50)
    gap = probs.copy()
    gap[7] = np.nan
    found = judge_labels([probs, gap], labels)
    assert np.isnan(found.p_wrong[7])
    assert found.suggested[7] == -1
    assert 7 not in found.ranked()
    assert np.isfinite(np.delete(found.p_wrong, 7)).all()


def learned_little(seed):
    """Probabilities by networks that take most classes for their neighbour and are never sure; of 30 % wrong labels each other class
    is as likely."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 8, 1500)
    labels = np.where(rng.random(1500) < 0.3, (truth + rng.integers(1, 8, 1500)) % 8, truth)
    taken = np.where(truth % 2 == 0, truth + (rng.random(1500) < 0.6), truth)
    scores = 0.8 * np.eye(8)[taken] + 0.4 * np.eye(8)[truth] + rng.normal(0, 0.5, (1500, 8))
    probs = np.exp(scores)
    return probs / probs.sum(1, keepdims=True), labels, labels != truth


@pytest.mark.parametrize("seed", [0, 1])
def test_what_weak_networks_confuse_is_not_taken_for_noise(seed):
    probs, labels, wrong = learned_little(seed)
    assert probs.max(1).mean() < 0.4
    free, judged = label_quality(probs, labels), judge_labels([probs], labels)
    assert average_precision(judged.p_wrong, wrong) > average_precision(free.p_wrong, wrong) + 0.01


def test_a_single_class_is_refused_by_name():
    with pytest.raises(InputError, match="1 column"):
        audit(np.ones((3, 1)), np.zeros(3, int))
