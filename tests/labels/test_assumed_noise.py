"""What is assumed of noise that the labels do not tell of."""

import numpy as np
import pytest
from noisy_scores import chosen, pair_flip, symmetric
from ranking import average_precision

from coteach.errors import InputError
from coteach.labels import assumed_noise
from coteach.labels.assumed_noise import assumed_for
from coteach.labels.quality import label_quality
from coteach.labels.readings import judge_labels

SAME, PAIRS = symmetric(0.25, 4), pair_flip(0.3, 4)


def taken_for_the_next(transition, *, count=4000, seed=0, classes=4, sure=4.0):
    """Probabilities by networks that half take a class for the next one, labels by a known transition, the truth."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % classes
    scores = sure * np.eye(classes)[truth] + rng.normal(0, 1, (count, classes))
    scores[np.arange(count), (truth + 1) % classes] += rng.uniform(0, sure, count)
    probs = np.exp(scores)
    return probs / probs.sum(1, keepdims=True), chosen(transition[truth], rng), truth


def test_noise_that_is_the_same_everywhere_is_taken_for_it_as_far_as_can_be():
    probs, labels, _ = taken_for_the_next(SAME)
    assert assumed_for(probs, labels) == (4000 / 4, 0.03, 0)


def test_noise_of_which_the_labels_speak_is_left_to_them():
    probs, labels, _ = taken_for_the_next(PAIRS)
    assert assumed_for(probs, labels) == (0, 0, 1)


def test_networks_have_learned_no_more_noise_than_there_is():
    """Of 4 % wrong labels 2.4 % are found: an emphasis of 0.24."""
    probs, labels, _ = taken_for_the_next(pair_flip(0.04, 4), count=20000, sure=9.0)
    free = label_quality(probs, labels, tolerance=1e-5)
    assert 0.02 < free.noise_rate < 0.04
    assert assumed_for(probs, labels) == pytest.approx((0, 0, 10 * free.noise_rate))


def test_unsure_networks_are_not_asked_which_class_is_mistaken():
    """The largest probabilities are 0.35 in the mean: 0.15 of the items of a class, though the labels speak of pairs."""
    rng = np.random.default_rng(0)
    truth = np.arange(4000) % 4
    largest = np.where(np.arange(4000) % 2, 0.4, 0.3)
    probs = np.repeat((1 - largest)[:, None] / 3, 4, axis=1)
    probs[np.arange(4000), truth] = largest
    labels = (truth + (rng.random(4000) < 0.4)) % 4
    found = assumed_for(7 * probs, labels)  # rows are scaled
    assert found.alike == pytest.approx(0.15 * 4000 / 4)
    assert (found.entropy_weight, found.emphasis) == (0, 1)


def test_items_that_say_nothing_do_not_count():
    probs, labels, _ = taken_for_the_next(SAME, count=2000)
    more = np.concatenate(
        [probs, np.full((3, 4), np.nan), np.zeros((4, 4)), np.full((1, 4), np.inf), probs[:7]]
    )
    none = np.concatenate([labels, np.zeros(8, int), np.full(7, -1)])
    assert assumed_for(more, none) == assumed_for(probs, labels) == (2000 / 4, 0.03, 0)
    with pytest.raises(InputError, match="no item has a label"):
        assumed_for(probs[:3], np.full(3, -1))


def test_two_classes_are_left_to_their_labels():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(2), 500)
    assert assumed_for(probs, probs.argmax(1)) == (0, 0, 0)


def allowed_shares(probs, labels):
    """Which of the shares cost little, each for itself: the rule as it is written."""
    count, classes = probs.shape
    free = label_quality(probs, labels, tolerance=1e-5)
    allowed = []
    for share in (0.1, 0.3, 1.0):
        one = label_quality(probs, labels, alike=share * count / classes, tolerance=1e-5)
        shrunk = share / (
            1 + share
        )  # a nat for two free numbers, of which one is kept, in all items together
        by_chance = (classes * (classes - 1) - 1) / 2 * shrunk**2 / count
        allowed.append(free.log_likelihood[-1] - one.log_likelihood[-1] <= 0.02 * free.noise_rate + by_chance)
    return allowed


@pytest.mark.parametrize(("count", "classes"), [(6000, 4), (300, 6)])
def test_it_costs_little_and_more_would_cost_much(count, classes):
    """Noise that speaks more and more of pairs, from not at all to nothing else."""
    found = set()
    same, pairs = symmetric(0.25, classes), pair_flip(0.3, classes)
    for weight in np.linspace(0, 1, 11):
        transition = (1 - weight) * same + weight * pairs
        probs, labels, _ = taken_for_the_next(transition, count=count, classes=classes)
        share = assumed_for(probs, labels).alike * classes / count
        allowed = [*allowed_shares(probs, labels), False]
        assert share == pytest.approx((0, 0.1, 0.3, 1.0)[allowed.index(False)])
        found.add(round(share, 1))
    assert len(found) >= 2


def test_of_very_few_items_a_class_little_is_asked_first():
    """Pairs among 40 classes of 7 or 8 items: chance would allow any number but the smallest, of which the labels tell most."""
    probs, labels, _ = taken_for_the_next(pair_flip(0.4, 40), count=300, classes=40, sure=8.0)
    assert allowed_shares(probs, labels) == [False, True, True]
    assert assumed_for(probs, labels) == (0, 0, 1)


@pytest.mark.parametrize(("count", "classes"), [(280, 40), (1000, 100)])
def test_what_is_not_asked_costs_nothing(count, classes):
    """Of few items a class the largest numbers cost no more than chance allows, whatever labels say, and the smaller ones little."""
    probs, labels, _ = taken_for_the_next(symmetric(0.3, classes), count=count, classes=classes, sure=6.0)
    assert allowed_shares(probs, labels) == [True, True, True]
    assert assumed_for(probs, labels) == (count / classes, 0.03, 0)


def test_nothing_is_computed_of_what_cannot_speak(monkeypatch):
    """Two items of each of 400 classes."""
    monkeypatch.setattr(assumed_noise, "label_quality", None)
    probs = np.eye(400)[np.arange(800) % 400] + 0.01
    assert assumed_for(probs, np.arange(800) % 400) == (2, 0.03, 0)


@pytest.mark.parametrize(
    ("items", "classes", "looked_at"),
    [
        (50, 10, 50),
        (50000, 10, 50000),
        (50001, 10, 50000),  # 5000 times the classes
        (50000, 100, 20971),  # 2 ** 21 numbers
        (50000, 144, 14563),
        (50000, 145, 0),  # 14463 are less than 100 of each class
        (2000, 1000, 2000),
    ],
)
def test_how_many_are_looked_at(items, classes, looked_at):
    known = np.arange(items) * 2
    some = assumed_noise._some(known, classes)
    assert len(some) == len(np.unique(some)) == looked_at
    assert np.isin(some, known).all()


def test_many_items_are_judged_by_some_of_them():
    """Of 30 000 that come class after class, again and again: every n-th may be of one class."""
    classes = 5
    probs, labels, _ = taken_for_the_next(symmetric(0.2, classes), count=30000, classes=classes)
    assert assumed_for(probs, labels) == (30000 / classes, 0.03, 0)


@pytest.mark.parametrize("seed", [0, 1])
def test_what_networks_confuse_is_not_taken_for_noise(seed):
    """Half of the images look like the next class, no label is mistaken for it more than for others."""
    probs, labels, truth = taken_for_the_next(SAME, seed=seed, count=2000, sure=2.0)
    free, judged = label_quality(probs, labels), judge_labels([probs], labels)
    wrong = labels != truth

    assert average_precision(judged.p_wrong, wrong) > average_precision(free.p_wrong, wrong) + 0.01
