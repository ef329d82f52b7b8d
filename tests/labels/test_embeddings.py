from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coteach.errors import OptionError
from coteach.labels.embeddings import (
    ClassSums,
    agreement,
    check_resampling,
    dequantise,
    patch_agreement,
    unit,
)

NAN = math.nan


def test_every_int8_value():
    values = np.arange(-128, 128)
    expected = [NAN] + [math.copysign((abs(v) / 127.5) ** 2, v) for v in range(-127, 128)]
    found = dequantise(values.astype(np.int8)[None])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)


def test_nodata_in_one_band_is_nodata_in_all():
    values = np.array([[[5, -128]], [[-128, 3]], [[1, 2]]], np.int8)
    assert np.isnan(dequantise(values)).all()


def test_unit_by_hand():
    vectors = np.array([[3, 0, NAN, math.inf, 1e-30, 3e38], [4, 0, 1, 1, 0, -3e38]], np.float32)
    half = math.sqrt(0.5)
    expected = [[0.6, NAN, NAN, NAN, 1, half], [0.8, NAN, NAN, NAN, 0, -half]]
    np.testing.assert_allclose(unit(vectors), expected, rtol=1e-6)
    np.testing.assert_array_equal(unit(np.array([[1e200], [1.0]])), [[NAN], [NAN]])


def test_unit_does_not_depend_on_the_shape():
    vectors = np.random.default_rng(0).normal(size=(64, 6, 7)).astype(np.float32)
    whole = unit(vectors)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=0), 1, atol=1e-6)
    for i in range(6):
        for j in range(7):
            np.testing.assert_array_equal(unit(vectors[:, i : i + 1, j : j + 1])[:, 0, 0], whole[:, i, j])


def random_case(seed=0, pixels=500, bands=5, classes=4):
    rng = np.random.default_rng(seed)
    vectors = unit(rng.normal(size=(bands, pixels)).astype(np.float32) + 0.5)
    vectors[:, rng.random(pixels) < 0.1] = np.nan
    return vectors, rng.integers(-1, classes - 1, pixels)  # the last class has no pixel


def test_centroids_and_agreement_are_those_of_the_loop():
    vectors, codes = random_case()
    sums = ClassSums(4, 5)
    sums.add(vectors, codes)
    centroids = sums.centroids()
    found = agreement(vectors, codes, centroids)
    for code in range(3):
        members = [v for v, c in zip(vectors.T, codes, strict=True) if c == code and not math.isnan(v[0])]
        total = [math.fsum(float(v[band]) for v in members) for band in range(5)]
        length = math.hypot(*total)
        np.testing.assert_allclose(centroids[code], [value / length for value in total], atol=1e-7)
    assert np.isnan(centroids[3]).all()
    for vector, code, value in zip(vectors.T, codes, found, strict=True):
        if code < 0 or math.isnan(vector[0]):
            assert math.isnan(value)
        else:
            cosine = math.fsum(float(a) * b for a, b in zip(vector, centroids[code], strict=True))
            assert value == pytest.approx((cosine + 1) / 2, abs=1e-6)


@given(seed=st.integers(0, 100), cuts=st.lists(st.integers(0, 500), max_size=6), turned=st.booleans())
def test_centroids_do_not_depend_on_parts_or_their_order(seed, cuts, turned):
    vectors, codes = random_case(seed)
    whole = ClassSums(4, 5)
    whole.add(vectors, codes)
    ends = sorted({0, *cuts, 500})
    parts = list(itertools.pairwise(ends))
    total = ClassSums(4, 5)
    for start, end in parts[::-1] if turned else parts:
        one = ClassSums(4, 5)
        one.add(vectors[:, start:end], codes[start:end])
        total += one
    np.testing.assert_array_equal(total.centroids(), whole.centroids())


def test_agreement_by_hand():
    """Class 0 has (1, 0) and (0, 1): the centroid lies at 45 degrees; class 1 only (1, 0); class 2 cancels."""
    vectors = np.array([[[1, 0, 1], [0, 1, -1]], [[0, 1, 0], [1, 0, 0]]], np.float32)
    codes = np.array([[0, 0, 1], [-1, 2, 2]], np.int16)
    sums = ClassSums(3, 2)
    sums.add(vectors, codes)
    half = (math.cos(math.pi / 4) + 1) / 2
    found = agreement(vectors, codes, sums.centroids())
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[half, half, 1], [NAN, NAN, NAN]], atol=1e-7)
    opposite = agreement(-vectors, codes, sums.centroids())
    np.testing.assert_allclose(opposite, [[1 - half, 1 - half, 0], [NAN, NAN, NAN]], atol=1e-7)


def test_patches_by_hand():
    vectors = {
        "a": np.array([2.0, 0.0]),  # lengths do not count
        "b": np.array([0.0, 0.1]),
        "alone": np.array([0.0, -3.0]),
        "no class": np.array([1.0, 1.0]),
        "none": np.array([1.0, 1.0]),
        "zero": np.zeros(2),
        "nan": np.array([NAN, 1.0]),
    }
    dominant = {"a": 1, "b": 1, "alone": 0, "none": -1, "zero": 1, "nan": 0, "no vector": 1}
    half = (math.cos(math.pi / 4) + 1) / 2
    assert patch_agreement(vectors, dominant) == {
        "a": pytest.approx(half, abs=1e-6),
        "b": pytest.approx(half, abs=1e-6),
        "alone": 1.0,
    }
    assert patch_agreement(vectors, {}) == {}


def test_patches_of_different_models():
    vectors = {"a": np.ones(3), "b": np.ones(4)}
    with pytest.raises(OptionError, match="embedding of b: has 4 components, that of a has 3; give"):
        patch_agreement(vectors, {"a": 0, "b": 0})


@pytest.mark.parametrize("name", ["auto", "aggregate", "nearest", "none"])
def test_resamplings(name):
    check_resampling(name)


@pytest.mark.parametrize("name", ["bilinear", "Cubic", "average", "lanczos"])
def test_interpolation_is_refused_with_the_reason(name):
    with pytest.raises(OptionError, match="one by one, which gives vectors that belong to no place"):
        check_resampling(name)


def test_unknown_resamplings():
    with pytest.raises(
        OptionError, match=r"--aef-resampling: there is no 'neerest'; choose auto, .* or none"
    ):
        check_resampling("neerest")
