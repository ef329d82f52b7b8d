"""The four products err as much as promised, in regions, partly together, and the same way every time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from coteach.errors import OptionError
from coteach.labels.map_noise import error_rate
from coteach.labels.map_products import HOLE, make_products

NAMES = ["coarse", "mask", "regional", "shifted"]


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """A landscape of four classes with the areas of the North Carolina map: 30, 19, 49 and 2 %."""
    rng = np.random.default_rng(7)
    noise = [ndimage.gaussian_filter(rng.standard_normal((300, 320)), s) for s in (14.0, 7.0)]
    relief = sum(n / n.std() for n in noise)
    edges = np.quantile(relief, [0.02, 0.32, 0.81])
    return np.array([3, 0, 2, 1], dtype=np.int16)[np.searchsorted(edges, relief)]


@pytest.fixture(scope="module")
def products(truth: np.ndarray) -> dict[str, np.ndarray]:
    return make_products(truth, num_classes=4, seed=0)


def test_each_errs_on_20_to_35_percent(truth: np.ndarray, products: dict[str, np.ndarray]) -> None:
    assert sorted(products) == NAMES
    for name, codes in products.items():
        assert codes.dtype == np.int16
        assert 0.20 <= error_rate(codes, truth) <= 0.35, name


def test_their_majority_errs_less_than_any_of_them(
    truth: np.ndarray, products: dict[str, np.ndarray]
) -> None:
    stack = np.stack(list(products.values()))
    majority = np.stack([(stack == c).sum(axis=0) for c in range(4)]).argmax(axis=0)
    assert error_rate(majority, truth) < min(error_rate(codes, truth) for codes in products.values())


def test_errors_fill_regions(truth: np.ndarray, products: dict[str, np.ndarray]) -> None:
    """Speckle of the same rate p would have a wrong right-hand neighbour in a share p of the wrong pixels."""
    for name, codes in products.items():
        wrong = codes != truth
        assert wrong[:, 1:][wrong[:, :-1]].mean() > 2 * wrong.mean(), name


def test_errors_are_shared_by_more_than_chance(truth: np.ndarray, products: dict[str, np.ndarray]) -> None:
    """Coarse units and the generalised mask both swallow small patches, and read the same classes alike."""
    coarse, mask = products["coarse"] != truth, products["mask"] != truth
    assert (coarse & mask).mean() > 1.2 * coarse.mean() * mask.mean()


def test_only_the_regional_product_has_a_hole(products: dict[str, np.ndarray]) -> None:
    share = {name: float((codes < 0).mean()) for name, codes in products.items()}
    assert share.pop("regional") == pytest.approx(HOLE, abs=0.01)
    assert set(share.values()) == {0.0}


def test_mask_has_no_patch_below_the_unit(products: dict[str, np.ndarray]) -> None:
    mask = products["mask"]
    sizes = [np.bincount(ndimage.label(mask == c)[0].ravel())[1:] for c in range(4)]
    assert min(size.min() for size in sizes if size.size) >= 30


def test_coarse_is_constant_in_its_blocks(products: dict[str, np.ndarray]) -> None:
    blocks = products["coarse"].reshape(60, 5, 64, 5)
    assert (blocks == blocks[:, :1, :, :1]).all()


def test_seeded(truth: np.ndarray, products: dict[str, np.ndarray]) -> None:
    again = make_products(truth, num_classes=4, seed=0)
    other = make_products(truth, num_classes=4, seed=1)
    for name in NAMES:
        np.testing.assert_array_equal(again[name], products[name])
        assert (other[name] != products[name]).mean() > 0.05


def test_renaming_the_classes_renames_the_products(
    truth: np.ndarray, products: dict[str, np.ndarray]
) -> None:
    """Classes are told apart by area alone; only ties in a block, which go to the lowest code, may differ."""
    names = np.array([2, 0, 1, 3, -1], dtype=np.int16)  # the last for -1
    renamed = make_products(names[truth], num_classes=4, seed=0)
    for name in NAMES:
        assert (renamed[name] == names[products[name]]).mean() > 0.99, name


def test_nodata_of_the_truth_is_never_wrong_nor_confused(truth: np.ndarray) -> None:
    holed = truth.copy()
    holed[:40] = -1
    made = make_products(holed, num_classes=4, seed=0)
    assert (made["regional"][:40] == -1).all()
    assert (made["mask"][:40] == -1).all()


def test_two_classes_or_an_absent_one_will_do() -> None:
    truth = np.repeat([[0, 1]], 40, axis=0).repeat(30, axis=1)
    for num_classes in (2, 5):
        for codes in make_products(truth, num_classes=num_classes, seed=3).values():
            assert set(np.unique(codes)) <= {-1, 0, 1}


@pytest.mark.parametrize(("bad", "num_classes"), [(4, 4), (-2, 4), (0, 1)])
def test_bad_codes_are_named(bad: int, num_classes: int) -> None:
    with pytest.raises(OptionError, match=str(bad) if num_classes > 1 else "num_classes"):
        make_products(np.array([[0, bad]]), num_classes=num_classes, seed=0)
