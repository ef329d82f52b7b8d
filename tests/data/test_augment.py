from __future__ import annotations

import os
import pickle
import sys
import warnings
from collections import Counter

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import numpy as np
import pytest
import torch
from scenes import Scene
from torch.utils.data import DataLoader

from coteach import SoftLabelDataset, SoftLabelWindowedDataset
from coteach.errors import MissingExtraError, OptionError


def dataset(scene, *transforms, **options):
    return SoftLabelDataset(
        scene.table(), w_conf_key="w_conf_path", augmentation_list=list(transforms), **options
    )


def arrays(sample):
    return sample["image"].numpy(), sample["mask"]["mask"].numpy(), sample["mask"]["w_conf"].numpy()


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(arrays(one), arrays(other), strict=True))


def test_a_flip_moves_image_and_label_alike(scene):
    image, p_soft, w_conf = arrays(dataset(scene, A.HorizontalFlip(p=1))[0])
    np.testing.assert_allclose(image, scene.image[..., ::-1] / 255, rtol=1e-6)
    np.testing.assert_array_equal(p_soft, scene.p_soft[..., ::-1])
    np.testing.assert_array_equal(w_conf, scene.w_conf[..., ::-1])


@pytest.mark.parametrize(("bands", "classes"), [(1, 2), (3, 4), (7, 6)])
def test_what_comes_from_outside_the_image_has_no_label(tmp_path, bands, classes):
    """A shift by whole pixels, whose result is known."""
    scene = Scene(tmp_path, bands=bands, classes=classes, height=20, width=20)
    shift = A.Affine(translate_px={"x": (4, 4), "y": (-3, -3)}, p=1)
    image, p_soft, w_conf = arrays(dataset(scene, shift)[0])
    np.testing.assert_allclose(image[:, :17, 4:], scene.image[:, 3:, :16] / 255, rtol=1e-6)
    np.testing.assert_array_equal(p_soft[:, :17, 4:], scene.p_soft[:, 3:, :16])
    np.testing.assert_array_equal(w_conf[:, :17, 4:], scene.w_conf[:, 3:, :16])
    outside = np.ones((20, 20), bool)
    outside[:17, 4:] = False
    assert (p_soft[:, outside] == np.float32(1 / classes)).all()
    assert (w_conf[:, outside] == 0).all()


@pytest.mark.parametrize("fill_mask", [0, 1, 7.0])
def test_turning_invents_no_label(scene, fill_mask):
    turn = A.Rotate(limit=(31, 31), p=1, fill_mask=fill_mask)
    _, p_soft, w_conf = arrays(dataset(scene, turn)[0])
    known = {column.tobytes() for column in scene.p_soft.reshape(4, -1).T}
    weights = set(scene.w_conf.ravel().tolist())
    inside = w_conf[0] > 0
    assert 0.4 < inside.mean() < 0.95
    assert all(column.tobytes() in known for column in p_soft[:, inside].T)
    assert set(w_conf[0, inside].tolist()) <= weights
    assert (p_soft[:, ~inside] == 0.25).all()


def test_pixels_without_a_label_move_too(scene):
    valid = np.ones((24, 30), bool)
    valid[2:9, 1:7] = False
    scene.write(valid=valid)
    _, p_soft, w_conf = arrays(dataset(scene, A.VerticalFlip(p=1))[0])
    np.testing.assert_array_equal(w_conf[0] > 0, valid[::-1])
    assert (p_soft[:, ~valid[::-1]] == 0.25).all()


def test_crops_and_sizes_change_the_shape_of_all_three(scene):
    image, p_soft, w_conf = arrays(dataset(scene, A.RandomCrop(10, 12, p=1), A.Resize(20, 24))[0])
    assert (image.shape, p_soft.shape, w_conf.shape) == ((3, 20, 24), (4, 20, 24), (1, 20, 24))
    np.testing.assert_allclose(p_soft.sum(0), 1, rtol=1e-6)


def test_a_seed_decides_the_sample_whatever_was_read_before(scene):
    transforms = [
        A.D4(p=1),
        A.RandomCrop(10, 10, p=1),
        A.GaussNoise(p=0.5),
        A.OneOf([A.HorizontalFlip(), A.Blur()]),
    ]
    one, other = (dataset(scene, *transforms) for _ in range(2))
    samples = []
    for seed in range(20):
        one.reseed(seed)
        samples.append(one[0])
    for seed in reversed(range(20)):
        other[0]
        other.reseed(seed)
        assert same(other[0], samples[seed])
    assert len({sample["image"].numpy().tobytes() for sample in samples}) == 20


def test_a_seed_holds_for_one_sample(scene):
    flips = dataset(scene, A.D4(p=1), A.RandomCrop(10, 10, p=1))
    drawn = set()
    for _ in range(2):
        flips.reseed(3)
        drawn.add(flips[0]["image"].numpy().tobytes())
    assert len(drawn) == 1
    drawn |= {flips[0]["image"].numpy().tobytes() for _ in range(10)}
    assert len(drawn) > 5


def test_transforms_of_one_list_draw_independently(scene):
    """Two coins of probability 0.5: each of the four outcomes 100 of 400 times, give or take 8.7; 5 of those."""
    scene.image = np.zeros((1, 2, 2), np.uint8)
    scene.image[0, 0, 0] = 255
    scene.p_soft, scene.w_conf = scene.p_soft[:, :2, :2], scene.w_conf[:, :2, :2]
    scene.write()
    flips = dataset(scene, A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5))
    outcomes = Counter()
    for seed in range(400):
        flips.reseed(seed)
        outcomes[int(flips[0]["image"].argmax())] += 1
    assert outcomes.keys() == {0, 1, 2, 3}
    assert max(abs(count - 100) for count in outcomes.values()) < 44


def test_without_a_seed_torch_decides(scene):
    crops = dataset(scene, A.RandomCrop(8, 8, p=1))

    def draws(seed):
        torch.manual_seed(seed)
        return [crops[0]["image"].numpy().tobytes() for _ in range(5)]

    assert draws(1) == draws(1) != draws(2)
    assert len(set(draws(1))) > 2


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_give_the_same_samples_and_draw_differently(tmp_path, method):
    if method == "fork" and sys.platform != "linux":
        pytest.skip("fork is not safe there")
    scene = Scene(tmp_path)
    windows = [(row, col, 8) for row in (0, 8, 16) for col in (0, 8, 16)]
    plain = SoftLabelWindowedDataset(scene.table(*windows), w_conf_key="w_conf_path")
    # the same row again and again: with generators copied into the workers, both would draw alike
    drawn = SoftLabelDataset(scene.table(rows=8), augmentation_list=[A.RandomCrop(6, 6, p=1)])
    places = [[0, 1], [2, 3], [4, 5], [6, 7], [8], *([9 + row] for row in range(8))]
    torch.manual_seed(0)
    both = DataLoader(plain + drawn, batch_sampler=places, num_workers=2, multiprocessing_context=method)
    batches = list(both)
    loaded, crops = batches[:5], [batch["image"].numpy().tobytes() for batch in batches[5:]]
    np.testing.assert_array_equal(
        np.concatenate([batch["image"] for batch in loaded]), np.stack([plain[i]["image"] for i in range(9)])
    )
    assert [path for batch in loaded for path in batch["path"]] == [str(tmp_path / "image.tif")] * 9
    assert loaded[0]["mask"]["mask"].shape == (2, 4, 8, 8)
    assert loaded[0]["mask"]["w_conf"].shape == (2, 1, 8, 8)
    assert len(set(crops[:2])) == 2  # the first of each worker
    assert len(set(crops)) > 5


def test_a_data_set_survives_pickling(scene):
    flips = dataset(scene, A.D4(p=1))
    copy = pickle.loads(pickle.dumps(flips))
    for data in (flips, copy):
        data.reseed(5)
    assert same(flips[0], copy[0])


def test_normalize_sees_images_in_0_1(scene):
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.4, 0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        normal = dataset(scene, A.HorizontalFlip(p=1), A.Normalize(mean, std, max_pixel_value=1.0))
    expected = (scene.image / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    np.testing.assert_allclose(normal[0]["image"], expected[..., ::-1], atol=1e-5)
    sample = normal.plain(0)
    np.testing.assert_allclose(sample["image"], expected, atol=1e-5)
    np.testing.assert_array_equal(sample["mask"]["mask"], scene.p_soft)
    np.testing.assert_array_equal(sample["mask"]["w_conf"], scene.w_conf)


def test_plain_without_transforms_is_the_sample(scene):
    data = SoftLabelDataset(scene.table(), w_conf_key="w_conf_path")
    assert same(data.plain(0), data[0])


@pytest.mark.parametrize("nested", [False, True])
def test_normalize_for_0_255_is_warned_of(scene, nested):
    normalize = A.Normalize((0.5,) * 3, (0.5,) * 3)
    transforms = [A.Sequential([normalize])] if nested else [normalize]
    with pytest.warns(UserWarning, match=r"Normalize has max_pixel_value 255.*give max_pixel_value=1\.0"):
        dataset(scene, *transforms)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset(scene, A.Normalize(normalization="min_max"))


def test_normalize_for_0_255_is_right_where_images_are_left_so(tmp_path):
    scene = Scene(tmp_path, dtype="float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset(scene, A.Normalize((0.5,) * 3, (0.5,) * 3), image_scale=1)


def test_to_tensor_is_left_out(scene):
    from albumentations.pytorch import ToTensorV2

    assert same(dataset(scene, ToTensorV2())[0], dataset(scene)[0])


def test_a_transform_that_does_not_fit_is_an_error_of_the_option(scene):
    wrong = dataset(scene, A.RandomCrop(25, 8, p=1))
    with pytest.raises(
        OptionError, match="augmentation_list: fails on an image of 3 bands and 24 x 30 pixels"
    ):
        wrong[0]


@pytest.mark.parametrize(("means", "deviations"), [(5, 3), (2, 3), (3, 5)])
def test_normalize_for_other_bands_is_refused(scene, means, deviations):
    normalize = A.Normalize((0.5,) * means, (0.5,) * deviations, max_pixel_value=1.0)
    with pytest.raises(OptionError, match=r"Normalize has \d values in (mean|std), the images have 3 bands"):
        dataset(scene, A.OneOf([normalize]))


def test_albumentations_missing(scene, monkeypatch):
    monkeypatch.setitem(sys.modules, "albumentations", None)
    with pytest.raises(
        MissingExtraError, match=r"albumentations is not installed; pip install 'coteach\[training\]'"
    ):
        dataset(scene, A.D4())
