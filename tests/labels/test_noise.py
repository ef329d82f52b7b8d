"""Known label noise: the transition matrix by hand and as it is found in many labels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coteach.errors import InputError, OptionError
from coteach.labels.noise import (
    CIFAR10_CONFUSIONS,
    asymmetric_noise,
    instance_dependent_noise,
    pair_flip_noise,
    symmetric_noise,
    transition_noise,
)


def found(clean, noisy, k):
    """The transition matrix that the labels show."""
    counts = np.zeros((k, k))
    for c, n in zip(clean.tolist(), noisy.tolist(), strict=True):
        counts[c, n] += 1
    return counts / counts.sum(1, keepdims=True)


def many(k, n=40_000, seed=1):
    return np.random.default_rng(seed).integers(0, k, n)


def test_transition_matrices_by_hand():
    few = np.array([0, 1, 2])
    assert symmetric_noise(few, 3, 0.4, seed=0).transition == pytest.approx(
        np.array([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]])
    )
    assert pair_flip_noise(few, 3, 0.45, seed=0).transition == pytest.approx(
        np.array([[0.55, 0.45, 0], [0, 0.55, 0.45], [0.45, 0, 0.55]])
    )


def test_asymmetric_noise_of_cifar10():
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    pairs = {names[a]: names[b] for a, b in CIFAR10_CONFUSIONS.items()}
    assert pairs == {
        "truck": "automobile",
        "bird": "airplane",
        "deer": "horse",
        "cat": "dog",
        "dog": "cat",
    }
    clean = many(10)
    noisy, transition = asymmetric_noise(clean, 10, 0.4, seed=2)
    for code in (0, 1, 6, 7, 8):
        assert transition[code, code] == 1
        assert (noisy[clean == code] == code).all()
    assert transition[9, 1] == transition[3, 5] == transition[5, 3] == 0.4
    assert found(clean, noisy, 10) == pytest.approx(transition, abs=0.03)


@pytest.mark.parametrize("make", [symmetric_noise, pair_flip_noise])
@pytest.mark.parametrize("exact", [False, True])
def test_labels_show_the_matrix(make, exact):
    clean = many(5)
    noisy, transition = make(clean, 5, 0.45, seed=3, exact=exact)
    # 8000 a class: four standard deviations of a share are below 0.0225
    assert found(clean, noisy, 5) == pytest.approx(transition, abs=1e-3 if exact else 0.0225)


@given(
    counts=st.lists(st.integers(0, 40), min_size=2, max_size=6),
    rate=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_exact_counts_are_within_one_of_the_expectation(counts, rate, seed):
    clean = np.repeat(np.arange(len(counts)), counts)
    noisy, transition = symmetric_noise(clean, len(counts), rate, seed=seed, exact=True)
    for code, count in enumerate(counts):
        given_out = np.bincount(noisy[clean == code], minlength=len(counts))
        assert given_out.sum() == count
        assert (np.abs(given_out - count * transition[code]) < 1 + 1e-6).all()


def test_exact_half_of_four_is_two():
    noisy, _ = pair_flip_noise(np.zeros(4, int), 2, 0.5, seed=5, exact=True)
    assert noisy.sum() == 2


def test_same_seed_same_labels():
    clean = many(4, 200)
    one, two, other = (symmetric_noise(clean, 4, 0.5, seed=s).labels for s in (1, 1, 2))
    assert (one == two).all()
    assert (one != other).any()
    drawn = np.random.default_rng(1)
    assert (symmetric_noise(clean, 4, 0.5, seed=drawn).labels == one).all()
    assert (symmetric_noise(clean, 4, 0.5, seed=drawn).labels != one).any()


def test_items_without_a_label_and_shapes_stay():
    clean = np.array([[0, -1, 1], [-1, 1, 0]])
    noisy, _ = pair_flip_noise(clean, 2, 1.0, seed=0)
    assert noisy.tolist() == [[1, -1, 0], [-1, 0, 1]]
    assert clean.tolist() == [[0, -1, 1], [-1, 1, 0]]


def test_rows_may_be_rounded():
    rounded = np.array([[0.333333, 0.666665], [0.0, 1.0]])  # as printed with six digits
    noisy, matrix = transition_noise(np.zeros(1_000_000, np.int64), rounded, seed=0, exact=True)
    np.testing.assert_allclose(np.bincount(noisy) / 1e6, matrix[0], atol=1e-6)
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=1e-15)
    _, thirds = transition_noise(np.zeros(3, np.int64), np.full((3, 3), 0.33), seed=0)
    np.testing.assert_allclose(thirds, 1 / 3, rtol=1e-15)


def test_any_matrix_rows_are_checked():
    noisy, matrix = transition_noise(np.array([0, 1]), np.array([[0.0, 1.0], [1.0, 0.0]]), seed=0)
    assert noisy.tolist() == [1, 0]
    assert matrix.tolist() == [[0, 1], [1, 0]]
    with pytest.raises(OptionError, match="no distribution"):
        transition_noise(np.array([0, 1]), np.array([[0.5, 0.4], [0.5, 0.5]]), seed=0)


@pytest.mark.parametrize("exact", [False, True])
def test_instance_dependent_rate_and_matrix(exact):
    clean = many(4, 20_000)
    features = np.random.default_rng(7).standard_normal((20_000, 6))
    noisy, transition = instance_dependent_noise(clean, features, 4, 0.3, seed=8, exact=exact)
    assert transition.sum(1) == pytest.approx(np.ones(4))
    # the normal distribution is cut at three standard deviations on one side: its mean stays 0.3 to 0.001
    assert (noisy != clean).mean() == pytest.approx(0.3, abs=0.013)
    assert np.diag(transition) == pytest.approx(np.full(4, 0.7), abs=0.01)
    assert found(clean, noisy, 4) == pytest.approx(transition, abs=0.03)
    if exact:
        for code in range(4):
            wrong = (noisy[clean == code] != code).sum()
            assert abs(wrong - (1 - transition[code, code]) * (clean == code).sum()) < 1


@pytest.mark.parametrize(("rate", "wrong"), [(0.0, 0.0), (0.1, 0.1288), (0.2, 0.2055)])
def test_small_instance_dependent_rates_come_to_more(rate, wrong):
    """The mean of a normal distribution cut at 0 (Johnson, Kotz): ``rate + 0.1 φ(z) / Φ(z)`` with ``z = rate / 0.1``."""
    clean = many(2, 30_000)
    noisy, _ = instance_dependent_noise(clean, np.ones((30_000, 1)), 2, rate, seed=1)
    assert (noisy != clean).mean() == pytest.approx(wrong, abs=0.007)


def test_instance_dependent_noise_follows_the_features():
    """Items that are the same have one distribution of wrong classes; a long feature decides it alone."""
    clean = np.zeros(4000, int)
    features = np.zeros((4000, 2))
    features[:2000, 0] = features[2000:, 1] = 1e3
    noisy, _ = instance_dependent_noise(clean, features, 6, 0.5, seed=3)
    first, second = (set(part[part != 0].tolist()) for part in (noisy[:2000], noisy[2000:]))
    assert len(first) == len(second) == 1
    assert first != second


def test_instance_dependent_class_without_items():
    _, transition = instance_dependent_noise(np.array([0, 0]), np.ones((2, 3)), 3, 0.5, seed=0)
    assert transition[1].tolist() == [0, 1, 0]


def test_bad_input_is_refused():
    with pytest.raises(OptionError, match="rate"):
        symmetric_noise(np.array([0]), 2, 1.5, seed=0)
    with pytest.raises(OptionError, match="num_classes"):
        pair_flip_noise(np.array([0]), 1, 0.5, seed=0)
    with pytest.raises(OptionError, match="9 -> 1"):
        asymmetric_noise(np.array([0]), 5, 0.5, seed=0)
    with pytest.raises(InputError, match="class 4"):
        symmetric_noise(np.array([4]), 2, 0.5, seed=0)
    with pytest.raises(OptionError, match=r"\(2, 3\) is not square"):
        transition_noise(np.array([0, 1]), np.full((2, 3), 1 / 3), seed=0)
    with pytest.raises(InputError, match="features: row 1 holds NaN"):
        instance_dependent_noise(np.array([0, 1]), np.array([[1.0], [np.nan]]), 2, 0.5, seed=0)
    with pytest.raises(InputError, match=r"features: shape \(3, 2\) .*one row of numbers an item"):
        instance_dependent_noise(np.array([0, 1]), np.ones((3, 2)), 2, 0.5, seed=0)


@pytest.mark.parametrize(
    "given_as", [list, tuple, torch.tensor, lambda one: torch.tensor(one, dtype=torch.int32)]
)
def test_labels_are_taken_as_data_sets_keep_them(given_as):
    clean = [0, 1, 2, -1] * 8
    rows = [[float(code), 1.0] for code in clean]
    as_array = np.array(clean)
    share = [[0.6, 0.4, 0], [0, 1, 0], [0.5, 0, 0.5]]
    for made, expected in (
        (symmetric_noise(given_as(clean), 3, 0.5, seed=1), symmetric_noise(as_array, 3, 0.5, seed=1)),
        (
            transition_noise(given_as(clean), share, seed=1),
            transition_noise(as_array, np.array(share), seed=1),
        ),
        (
            instance_dependent_noise(given_as(clean), torch.tensor(rows), 3, 0.5, seed=1),
            instance_dependent_noise(as_array, np.array(rows), 3, 0.5, seed=1),
        ),
    ):
        assert made.labels.tolist() == expected.labels.tolist()
        assert made.transition == pytest.approx(expected.transition)
    assert not np.array_equal(expected.labels, as_array)


def test_lists_of_unequal_length_are_refused():
    with pytest.raises(InputError, match="labels: are lists of unequal length"):
        symmetric_noise([[0, 1], [1]], 2, 0.1, seed=0)
    with pytest.raises(InputError, match="features: rows of unequal length"):
        instance_dependent_noise([0, 1], [[0.0, 1.0], [1.0]], 2, 0.1, seed=0)
    with pytest.raises(OptionError, match="transition: rows are of unequal length"):
        transition_noise([0, 1], [[1.0], [0.5, 0.5]], seed=0)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": "0.3"}, "rate: is '0.3'; give a share of the labels"),
        ({"num_classes": 2.0}, "num_classes: is 2.0; give a whole number"),
        ({"seed": -1}, "seed: is -1; give a whole number from 0 on"),
        ({"seed": None}, "seed: is None; give a whole number"),
    ],
)
def test_options_of_another_kind_are_named(changes, message):
    options = {"labels": [0, 1], "num_classes": 2, "rate": 0.3, "seed": 0} | changes
    with pytest.raises(OptionError, match=message):
        symmetric_noise(**options)
    with pytest.raises(OptionError, match=message):
        instance_dependent_noise(features=[[0.0], [1.0]], **options)


def test_features_too_large_to_be_projected_are_refused():
    rows = np.full((4, 3), 1.7e308)
    with pytest.raises(
        InputError, match=r"features: reach 1\.7e\+308, too large to be projected; standardise"
    ):
        instance_dependent_noise([0, 1, 0, 1], rows, 2, 0.5, seed=0)


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_label_or_no_row_of_features():
    with pytest.raises(InputError, match="labels: are float64; give integers"):
        symmetric_noise(np.array([0.7, 1.2, np.nan]), 3, 0.0, seed=0)
    with pytest.raises(InputError, match=r"features: shape \(2, 1, 4, 4\) of .*flattened"):
        instance_dependent_noise(np.array([0, 1]), np.ones((2, 1, 4, 4)), 2, 0.5, seed=0)
