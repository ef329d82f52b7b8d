"""A set of images in folds: drawn so that each has its share of every class, and what is left without one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Int8, Int64
from torch.utils.data import Dataset

from coteach.data.image_set import ImageItem, ImageSet, digest
from coteach.data.keyed import stable_seed
from coteach.errors import OptionError


def draw_folds(label: Int[np.ndarray, " n"], folds: int, seed: int) -> Int64[np.ndarray, " n"]:
    """Deal the items out, class by class.

    Args:
        label: ``(N,)`` class of each item; -1, no label, is dealt out like a class.
        folds: how many, >= 2.
        seed: the same gives the same folds.

    Returns:
        ``(N,)`` the fold of each item, 0 to ``folds - 1``. Sizes differ by at most one, in each class too.

    Raises:
        OptionError: there are fewer than two folds, or more than items.
    """
    if not 2 <= folds <= len(label):
        raise OptionError(
            "folds", f"{folds} for {len(label)} images", "give at least 2, at most one an image"
        )
    random = np.random.default_rng(stable_seed(seed, "folds", folds))
    shuffled = random.permutation(len(label))
    by_class = shuffled[np.argsort(label[shuffled], kind="stable")]
    fold = np.empty(len(label), np.int64)
    fold[by_class] = np.arange(len(label)) % folds
    return fold


class ImageSubset(Dataset[ImageItem]):
    """Some images of a set, as a set of their own: position ``i`` is the image ``items[i]``.

    Args:
        dataset: all images.
        items: ``(n,)`` positions of those that are in it.
    """

    def __init__(self, dataset: ImageSet, items: Int64[np.ndarray, " n"]) -> None:
        self.dataset = dataset
        self.items = items
        self.num_classes = dataset.num_classes
        self.num_bands = dataset.num_bands
        self.class_names = dataset.class_names

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> ImageItem:
        """An image, augmented, and its label."""
        return self.dataset[int(self.items[index])]

    def plain(self, index: int) -> ImageItem:
        """An image without augmentation, and its label."""
        return self.dataset.plain(int(self.items[index]))

    def reseed(self, seed: int) -> None:
        """Fix what augmentation draws for the next image."""
        self.dataset.reseed(seed)

    @property
    def stacks(self) -> bool:
        """Whether batches are made at once."""
        return getattr(self.dataset, "stacks", False)

    def stacked(self, items: Int64[np.ndarray, " b"], seeds: Sequence[int] | None) -> Any:
        """Images and labels of a batch, of a set that makes batches at once."""
        whole: Any = self.dataset
        return whole.stacked(self.items[items], seeds)

    @property
    def right_labels(self) -> Int8[np.ndarray, " n"] | None:
        """Which labels are right, where that is known."""
        right = self.dataset.right_labels
        return None if right is None else right[self.items]

    def lone_class(self) -> str:
        """What the labels hold if that is too little to learn from; see :meth:`ImageLabels.lone_class`."""
        return self.dataset.labels.lone_class(self.num_classes, self.items)

    def fingerprint(self) -> str:
        """What tells this part from others, and its data from other data."""
        return digest(self.dataset.fingerprint().encode(), self.items.astype("<i8").tobytes())
