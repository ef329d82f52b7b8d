"""Batches made at once hold what samples drawn one by one hold, bit by bit."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from coteach import ArrayDataset
from coteach.data.collate import collate_batch
from coteach.data.crop_flip import RandomCropFlip, draws
from coteach.data.keyed import ItemKey, KeyedDataset, stable_seed
from coteach.errors import OptionError
from coteach.methods.base import Stream
from coteach.training.streams import LoaderOptions, make_loader

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), np.uint8)
SHARES = np.random.default_rng(1).dirichlet(np.ones(4), 12).astype(np.float32)
SHARES[3] = np.nan
HARD = np.arange(12) % 4 - (np.arange(12) == 5) * 2  # one without a label
CASES = {
    "hard": {"labels": HARD},
    "hard, weighted": {"labels": HARD, "weights": np.linspace(0, 1, 12, dtype=np.float32)},
    "soft": {"labels": SHARES},
    "soft, weighted": {"labels": SHARES, "weights": np.linspace(0, 1, 12, dtype=np.float32)},
}


def assert_equal(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        if isinstance(one, dict):
            assert one.keys() == other.keys()
            assert_equal(one.values(), other.values())
        else:
            assert one.dtype == other.dtype
            assert torch.equal(one, other)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("augmentation", [None, RandomCropFlip(2)])
@pytest.mark.parametrize("device", [None, "cpu"])
@pytest.mark.parametrize("augment", [True, False])
def test_a_batch_at_once_is_the_samples_stacked(case, augmentation, device, augment):
    data = ArrayDataset(IMAGES, **CASES[case], num_classes=4, batch_augmentation=augmentation, device=device)
    keyed = KeyedDataset(data, seed=7, views=2, augment=augment)
    keys = [ItemKey(item, 3) for item in (5, 0, 3, 11)]
    at_once = collate_batch(keyed.__getitems__(keys))
    one_by_one = collate_batch([keyed[key] for key in keys])
    assert at_once.ids.tolist() == [5, 0, 3, 11]
    assert_equal(at_once.views, one_by_one.views)
    assert_equal(at_once.targets, one_by_one.targets)
    assert at_once.extra == one_by_one.extra


def test_a_crop_is_a_part_of_the_padded_image_and_may_be_flipped():
    images = torch.arange(1.0, 1 + 400 * 2 * 6 * 5).view(400, 2, 6, 5)
    moved = RandomCropFlip(2)(images, [stable_seed(i) for i in range(400)])
    seen = set()
    for image, result in zip(images, moved, strict=True):
        padded = F.pad(image, [2, 2, 2, 2])
        crops = {
            (y, x, flip): (
                padded[:, y : y + 6, x : x + 5].flip(-1) if flip else padded[:, y : y + 6, x : x + 5]
            )
            for y in range(5)
            for x in range(5)
            for flip in (False, True)
        }
        (found,) = [place for place, crop in crops.items() if torch.equal(crop, result)]
        seen.add(found)
    assert len(seen) == 50  # every place occurs, flipped and not
    assert torch.equal(RandomCropFlip(0, flip=False)(images[:3], [1, 2, 3]), images[:3])


def test_draws_are_even_and_differ_from_column_to_column():
    drawn = draws([stable_seed(i) for i in range(20000)], 2, 9)
    for column in drawn.T:
        counts = np.bincount(column, minlength=9)
        assert ((counts - 20000 / 9) ** 2 / (20000 / 9)).sum() < 26  # chi squared, 8 degrees: p = 0.001
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.03


def test_splitmix_has_its_published_values():
    # first outputs of SplitMix64 from state 1234567, by a limit of 2^32 - 1 read from their upper halves
    published = [6457827717110365317, 3203168211198807973]
    assert draws([1234567], 2, 2**31).tolist() == [[value >> 33 for value in published]]


def test_workers_give_the_same_batches():
    data = ArrayDataset(IMAGES, HARD, num_classes=4, batch_augmentation=RandomCropFlip(1))
    found = []
    for workers in (0, 1):
        loader = make_loader(data, Stream(views=2), LoaderOptions(batch_size=5, num_workers=workers), seed=3)
        found.append([(batch.ids.clone(), *[v.clone() for v in batch.views]) for batch in loader])
    for ours, theirs in zip(*found, strict=True):
        assert_equal(ours, theirs)


def test_two_kinds_of_augmentation_are_refused():
    with pytest.raises(OptionError, match="augmentation_list"):
        ArrayDataset(IMAGES, HARD, [object()], batch_augmentation=RandomCropFlip())


def test_negative_padding_is_refused():
    with pytest.raises(OptionError, match="padding"):
        RandomCropFlip(-1)
