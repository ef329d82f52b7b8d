"""How likely each label is wrong: by hand, in simulations where the truth is known, and properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noisy_scores import learned_all_labels, noisy_scores, pair_flip
from ranking import average_precision

from coteach.errors import InputError
from coteach.labels.quality import label_quality


def simulated(seed, transition, size=4000, spread=1.5, blunt=1.0):
    """Probabilities that are right about the true class, blunted by a power, and labels drawn from a known T."""
    rng = np.random.default_rng(seed)
    classes = len(transition)
    scores = spread * rng.normal(size=(size, classes))
    exact = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    truth = (exact.cumsum(1) < rng.random((size, 1))).sum(1).clip(max=classes - 1)
    labels = (transition[truth].cumsum(1) < rng.random((size, 1))).sum(1).clip(max=classes - 1)
    shown = exact**blunt
    return shown / shown.sum(1, keepdims=True), truth, labels.astype(np.int64)


PAIRS = np.array([[0.7, 0.3, 0, 0], [0, 0.9, 0.1, 0], [0, 0, 0.8, 0.2], [0.1, 0, 0, 0.9]])


@pytest.mark.parametrize("emphasis", [0, 2.0])
def test_the_posterior_is_that_of_bayes_by_hand(emphasis):
    probs, _, labels = simulated(0, PAIRS, size=300)
    found = label_quality(probs, labels, emphasis=emphasis)
    others = found.posterior_of(5 * probs, labels)
    for i in range(20):
        joint = [
            ((probs[i, y] + 1e-6) * np.exp(emphasis * probs[i, y])) ** found.sharpness
            * np.exp(found.bias[y])
            * found.transition[y, labels[i]]
            for y in range(4)
        ]
        assert found.p_wrong[i] == pytest.approx(1 - joint[labels[i]] / sum(joint), abs=2e-4)
        assert found.suggested[i] == np.argmax(joint)
        np.testing.assert_allclose(others[i], np.divide(joint, sum(joint)), atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_emphasis_takes_out_noise_from_class_to_class_that_networks_have_learned(seed):
    probs, labels, truth = noisy_scores(pair_flip(0.35), seed=seed)
    plain, more = (
        average_precision(label_quality(probs, labels, emphasis=emphasis).p_wrong, labels != truth)
        for emphasis in (0, 1)
    )
    assert more > plain + 0.01


def test_sure_networks_leave_nothing_to_estimate():
    truth = np.repeat([0, 1], 50)
    labels = truth.copy()
    labels[:5], labels[50:60] = 1, 0
    probs = np.where(truth[:, None] == [0, 1], 0.999, 0.001)
    found = label_quality(probs, labels)
    smoothing = 0.01 * 100 / 2
    expected = (45 + 0.7 * smoothing) / (50 + smoothing)
    assert found.transition[0, 0] == pytest.approx(expected, abs=1e-3)
    assert found.noise_rate == pytest.approx(0.15, abs=1e-3)
    np.testing.assert_array_equal(found.suggested, truth)
    np.testing.assert_allclose(found.joint, [[45, 5], [10, 40]], atol=0.1)
    assert set(found.ranked()[:15]) == set(np.flatnonzero(labels != truth))


def objective(probs, labels, found, sharpness, weight):
    """Mean log-likelihood less weighted entropy of q, by the formulas of the module."""
    scores = sharpness * np.log(probs + 1e-6) + found.bias
    q = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    entropy = -(q * np.log(q)).sum(1)
    return np.log((q * found.transition[:, labels].T).sum(1)).mean() - weight * entropy.mean()


@pytest.mark.parametrize("weight", [0.0, 0.03, 0.1])
def test_the_sharpness_is_where_likelihood_less_entropy_is_greatest(weight):
    probs, _, labels = simulated(3, PAIRS, size=2000)
    found = label_quality(probs, labels, entropy_weight=weight, tolerance=1e-12, max_iterations=2000)
    best = objective(probs, labels, found, found.sharpness, weight)
    assert found.log_likelihood[-1] == pytest.approx(best, abs=1e-9)
    assert (np.diff(found.log_likelihood)[:-1] > 0).all()  # the last one ends it
    for factor in (0.97, 0.99, 1.01, 1.03):
        assert objective(probs, labels, found, factor * found.sharpness, weight) < best


def test_the_clearer_images_are_assumed_to_be_the_more_labels_are_wrong():
    """One who has learned wrong labels says how often each is given; that is no noise, or much, as one assumes."""
    probs, labels, truth = learned_all_labels(3.0)
    rates = [label_quality(probs, labels, entropy_weight=weight).noise_rate for weight in (0, 0.05, 0.2)]
    assert rates[0] < rates[1] < rates[2] < (labels != truth).mean()
    assert rates[2] > 2 * rates[0]


@pytest.mark.parametrize("blunt", [0.5, 1.0])
def test_a_known_transition_is_found(blunt):
    probs, truth, labels = simulated(1, PAIRS, size=20000, spread=4, blunt=blunt)
    found = label_quality(probs, labels)
    np.testing.assert_allclose(found.transition, PAIRS, atol=0.03)
    assert found.noise_rate == pytest.approx((labels != truth).mean(), abs=0.01)
    assert found.sharpness == pytest.approx(1 / blunt, rel=0.1)


def test_probabilities_of_being_wrong_are_calibrated():
    probs, truth, labels = simulated(2, PAIRS, size=20000, spread=3, blunt=0.6)
    found = label_quality(probs, labels)
    wrong = labels != truth

    def miscalibration(said):
        places = np.digitize(said, np.arange(0.1, 1, 0.1))
        gaps = [
            abs((wrong[places == b].mean() - said[places == b].mean()) * (places == b).mean())
            for b in set(places)
        ]
        return sum(gaps)

    assert miscalibration(found.p_wrong) < 0.02
    assert miscalibration(1 - probs[np.arange(len(labels)), labels]) > 0.1


def test_it_ranks_better_than_the_probability_of_the_label_where_classes_are_confused():
    probs, truth, labels = simulated(3, PAIRS, spread=3)
    wrong = labels != truth

    own = probs[np.arange(len(labels)), labels]
    assert (
        average_precision(label_quality(probs, labels).p_wrong, wrong) > average_precision(-own, wrong) + 0.05
    )


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), blunt=st.floats(0.3, 2))
def test_the_likelihood_never_falls_and_the_order_of_items_does_not_matter(seed, blunt):
    probs, _, labels = simulated(seed, PAIRS, size=400, blunt=blunt)
    found = label_quality(probs, labels, max_iterations=60, tolerance=1e-9)
    # the pull of the pseudo-counts is no part of the likelihood
    assert (np.diff(found.log_likelihood) > -1e-4).all()
    order = np.random.default_rng(seed).permutation(len(labels))
    again = label_quality(probs[order], labels[order], max_iterations=60, tolerance=1e-9)
    np.testing.assert_allclose(again.p_wrong, found.p_wrong[order], atol=1e-6)
    np.testing.assert_allclose(found.transition.sum(1), 1)
    assert found.joint.sum() == pytest.approx(len(labels))


def test_more_epochs_of_the_same_change_nothing():
    probs, _, labels = simulated(4, PAIRS, size=500)
    np.testing.assert_allclose(
        label_quality(7 * probs, labels).p_wrong, label_quality(probs, labels).p_wrong, atol=1e-9
    )


def test_items_without_label_or_probabilities_are_left_out():
    probs, _, labels = simulated(5, PAIRS, size=500)
    alone = label_quality(probs[3:], labels[3:])
    probs[0], probs[1], labels[2] = 0, np.nan, -1
    found = label_quality(probs, labels)
    assert np.isnan(found.p_wrong[:3]).all()
    assert found.suggested[:3].tolist() == [-1] * 3
    np.testing.assert_allclose(found.p_wrong[3:], alone.p_wrong)
    assert not {0, 1, 2} & set(found.ranked().tolist())
    assert len(found.ranked()) == 497


def test_a_class_that_nobody_predicts_and_equal_probabilities_are_no_trouble():
    labels = np.array([0, 1, 2] * 20)
    found = label_quality(np.full((60, 3), 1 / 3), labels)
    assert np.isfinite(found.p_wrong).all()
    assert np.isfinite(found.transition).all()


@pytest.mark.parametrize(
    ("probs", "labels", "text"),
    [
        (np.ones((3, 2)), np.array([0, 1]), "2 for 3 rows"),
        (np.ones((2, 2)), np.array([0, 2]), "not below the number of classes, 2"),
        (np.array([[1.0, -1.0]]), np.array([0]), "negative"),
        (np.ones((2, 2)), np.array([-1, -1]), "no item has a label"),
        (np.ones((2, 1)), np.array([0, 0]), "at least 2"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_named(probs, labels, text):
    with pytest.raises(InputError, match=text):
        label_quality(probs, labels)


@pytest.mark.parametrize("option", ["alike", "entropy_weight", "emphasis"])
@pytest.mark.parametrize("value", [-0.1, np.inf, np.nan])
def test_what_is_assumed_is_a_number_of_at_least_0(option, value):
    probs, _, labels = simulated(0, PAIRS, size=30)
    with pytest.raises(InputError, match=f"{option}: is {value}; give a number of at least 0"):
        label_quality(probs, labels, **{option: value})
