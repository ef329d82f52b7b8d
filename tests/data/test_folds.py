"""Folds: sizes by property; and a part of a set is the set at other positions."""

import albumentations
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coteach import ArrayDataset
from coteach.data.crop_flip import RandomCropFlip
from coteach.data.folds import ImageSubset, draw_folds
from coteach.data.keyed import ItemKey, KeyedDataset
from coteach.errors import OptionError


@given(
    labels=st.lists(st.integers(-1, 4), min_size=6, max_size=60),
    folds=st.integers(2, 6),
    seed=st.integers(0, 5),
)
def test_every_fold_has_its_share_of_all_and_of_each_class(labels, folds, seed):
    label = np.array(labels)
    fold = draw_folds(label, folds, seed)
    for chosen in [np.ones(len(label), bool), *(label == code for code in np.unique(label))]:
        sizes = np.bincount(fold[chosen], minlength=folds)
        assert len(sizes) == folds
        assert sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(draw_folds(label, folds, seed), fold)


def test_the_seed_decides():
    label = np.arange(100) % 3
    assert (draw_folds(label, 4, 0) != draw_folds(label, 4, 1)).any()


@pytest.mark.parametrize("folds", [1, 5])
def test_the_number_of_folds_must_fit(folds):
    with pytest.raises(OptionError, match=f"{folds} for 4 images"):
        draw_folds(np.zeros(4, np.int64), folds, 0)


@pytest.mark.parametrize("stacks", [True, False])
def test_a_part_is_the_set_at_other_positions(stacks):
    images = np.random.default_rng(0).integers(0, 255, (9, 6, 6), dtype=np.uint8)
    changes = {"batch_augmentation": RandomCropFlip(2)}
    if not stacks:
        changes = {"augmentation_list": [albumentations.HorizontalFlip(p=0.5)]}
    labels = np.arange(9) % 3
    whole = ArrayDataset(images, labels, clean_labels=np.zeros(9, int), **changes)
    items = np.array([7, 2, 5])
    part = ImageSubset(whole, items)
    assert (len(part), part.num_classes, part.num_bands, part.stacks) == (3, 3, 1, stacks)
    assert part.right_labels.tolist() == [0, 0, 0]
    assert ImageSubset(whole, np.array([0, 3])).right_labels.tolist() == [1, 1]
    for position, item in enumerate(items):
        assert torch.equal(part.plain(position)["image"], whole.plain(int(item))["image"])
    # drawn in a batch and by themselves, in any place: as the whole set draws with the same seed
    seeds = [3, 4, 5]
    expected = []
    for item, seed in zip(items.tolist(), seeds, strict=True):
        whole.reseed(seed)
        expected.append(whole[item]["image"])
    for position, seed in enumerate(seeds):
        part.reseed(seed)
        assert torch.equal(part[position]["image"], expected[position])
    if stacks:
        drawn, target = part.stacked(np.arange(3), seeds)
        assert torch.equal(drawn, torch.stack(expected))
        assert target.tolist() == labels[items].tolist()
        keyed = KeyedDataset(part, seed=1).__getitems__([ItemKey(2, 0), ItemKey(0, 0)])
        assert keyed.ids.tolist() == [2, 0]
        assert keyed.target.tolist() == [2, 1]


def test_another_part_or_other_data_is_told_apart():
    images, labels = np.zeros((4, 2, 2), np.uint8), np.array([0, 1, 0, 1])
    first = ImageSubset(ArrayDataset(images, labels), np.array([0, 1])).fingerprint()
    assert ImageSubset(ArrayDataset(images, labels), np.array([0, 1])).fingerprint() == first
    assert ImageSubset(ArrayDataset(images, labels), np.array([0, 2])).fingerprint() != first
    assert ImageSubset(ArrayDataset(images, 1 - labels), np.array([0, 1])).fingerprint() != first
