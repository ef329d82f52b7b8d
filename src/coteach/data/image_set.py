"""Images with one label each: what the data sets of that kind have in common.

Shape legend: ``N`` images, ``C`` classes.
"""

from __future__ import annotations

import hashlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
import torch
from jaxtyping import Float32, Int8
from torch import Tensor
from torch.utils.data import Dataset

from coteach.data.augment import JointAugmentation, check_normalize
from coteach.data.image_labels import ImageLabels
from coteach.data.sample import Sample
from coteach.errors import CoteachWarning, InputError, OptionError

OnError = Literal["raise", "skip"]
Picture = Float32[np.ndarray, "bands h w"]


class ImageItem(TypedDict):
    """What the data sets give.

    Args:
        image: ``(bands, H, W)`` float32, in [0, 1] unless floats or a ``Normalize`` say otherwise.
        mask: the label: int64 scalar, -1 for none; or, for soft labels and weights, ``"mask"``: the class or P(C) as
            ``(C,)`` float32, and ``"w_conf"``: float32 scalar in [0, 1].
        path: of the image, if it is a file.
    """

    image: Tensor
    mask: Tensor | dict[str, Tensor]
    path: NotRequired[str]


class ImageSet(Dataset[ImageItem], ABC):
    """Images, each with its label. The index of an image is its id.

    Args:
        labels: one an image.
        augmentation_list: albumentations transforms. They see float32 images whose values are those of the data set
            (in [0, 1] if scaled so): a ``Normalize`` needs ``max_pixel_value=1.0``.
        on_error: an image that cannot be read stops the work (``raise``), or (``skip``) is replaced by an image of
            zeros without a label, which never trains and is not counted; a warning names it.
        scaled: whether images are divided by anything but 1.

    Attributes:
        labels: as given.
        class_names: one a class, or None.
        num_classes: ``C``: as many as have names, or were said to be there, or else as occur.
        num_bands: of the images.
        augmentation_list: as given.
        skipped: indices of images that could not be read so far, in this process.

    Raises:
        OptionError: ``on_error`` is unknown, or a ``Normalize`` does not fit the images.
        InputError: there is no image, or the first one cannot be read.
    """

    def __init__(
        self,
        labels: ImageLabels,
        augmentation_list: Sequence[Any] | None,
        *,
        on_error: OnError = "raise",
        scaled: bool = True,
    ) -> None:
        if on_error not in ("raise", "skip"):
            raise OptionError("on_error", f"{on_error!r} is unknown", "use 'raise' or 'skip'")
        self.labels = labels
        self.class_names = labels.class_names
        self.num_classes = labels.num_classes
        self.on_error = on_error
        self.skipped: set[int] = set()
        self._extents: dict[bool, tuple[int, ...]] = {}
        self.augmentation_list = list(augmentation_list or ())
        self._augment = JointAugmentation(augmentation_list) if augmentation_list else None
        self.num_bands, self._first_extent = self._look()
        check_normalize(augmentation_list or (), self.num_bands, scaled=scaled)

    @property
    def right_labels(self) -> Int8[np.ndarray, " n"] | None:
        """``(N,)`` 1 where a label is right, 0 where wrong, -1 where that is not known; None if it is known of none.

        For figures only: training counts how many of the labels it selects are right.
        """
        return self.labels.right

    @abstractmethod
    def read(self, index: int) -> Picture:
        """The image as it is stored, scaled.

        Raises:
            InputError: it cannot be read.
        """

    @abstractmethod
    def place(self, index: int) -> str:
        """How messages name an image."""

    @abstractmethod
    def fingerprint(self) -> str:
        """What tells this data from other data: the same for the same images and labels, wherever they lie."""

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> ImageItem:
        """An image, augmented, and its label."""
        return self._item(index, self._augment, augmented=True)

    def plain(self, index: int) -> ImageItem:
        """An image without augmentation, and its label; a ``Normalize`` that always applies still does."""
        return self._item(index, self._augment and self._augment.normalize, augmented=False)

    def reseed(self, seed: int) -> None:
        """Fix what augmentation draws for the next image; without it torch's generator decides."""
        if self._augment is not None:
            self._augment.reseed(seed)

    def check_classes(self, num_classes: int) -> None:
        """Refuse labels that are none of the classes.

        Raises:
            InputError: a label is neither one of 0 to ``num_classes - 1`` nor -1; the message names its image.
        """
        self.labels.check(num_classes, self.place)

    def check_files(self) -> None:
        """Find what can be known to be unreadable without reading the images; it takes no longer than to list them.

        Raises:
            InputError: such images are there and ``on_error`` is ``raise``, or no other images are left. With ``skip``
                they are skipped from now on, and one warning counts them.
        """

    def lone_class(self, num_classes: int) -> str:
        """What the labels of the images that are not skipped hold, if that is too little to learn from; else empty."""
        left = np.delete(np.arange(len(self)), sorted(self.skipped))
        return self.labels.lone_class(num_classes, left)

    def _item(self, index: int, change: Callable[[Sample], Sample] | None, *, augmented: bool) -> ImageItem:
        image, labelled = self._picture(index)
        if change is not None:
            _, height, width = image.shape
            no_map = np.zeros((0, height, width), np.float32)
            image = change(Sample(image, no_map, np.zeros((height, width), np.float32))).image
        self._check_extent(index, image.shape, augmented=augmented)
        return {"image": torch.from_numpy(image), "mask": self.labels.target(index, known=labelled)}

    def _picture(self, index: int) -> tuple[Picture, bool]:
        """The image, and whether it is one: an image of zeros stands in for a skipped one."""
        try:
            return self.read(index), True
        except InputError as error:
            if self.on_error == "raise":
                raise
            self._note(index, error)
            return np.zeros((self.num_bands, *self._first_extent), np.float32), False

    def _note(self, index: int, error: InputError) -> None:
        if index not in self.skipped:
            self.skipped.add(index)
            warnings.warn(
                f"{error.thing}: {error.cause}; skipped, {len(self.skipped)} of {len(self)} images so far",
                CoteachWarning,
                stacklevel=2,
            )

    def _look(self) -> tuple[int, tuple[int, int]]:
        """Bands and extent of the first image that can be read."""
        if len(self) == 0:
            raise InputError(type(self).__name__, "has no images", "give at least one")
        first: InputError | None = None
        for index in range(len(self)):
            try:
                bands, height, width = self.read(index).shape
            except InputError as error:
                if not self.skipped:
                    self.check_files()  # tells of all that are missing at once
                if self.on_error == "raise":
                    raise
                self._note(index, error)
                first = first or error
            else:
                return bands, (height, width)
        assert first is not None
        cause = f"none of its images can be read (the first one, {first.thing}: {first.cause})"
        raise InputError(type(self).__name__, cause, "correct or replace the files")

    def _check_extent(self, index: int, shape: tuple[int, ...], *, augmented: bool) -> None:
        """Images of a batch are stacked: all must have one size."""
        expected = self._extents.setdefault(augmented, shape)
        if shape != expected:
            raise other_extent(self.place(index), shape[1:], expected[1:])


def other_extent(place: str, extent: Sequence[int], expected: Sequence[int]) -> InputError:
    """The error for an image of ``(height, width)`` pixels among those of another size."""
    cause = f"is {extent[0]} x {extent[1]} pixels where others are {expected[0]} x {expected[1]}"
    return InputError(place, cause, "give image_size, to which all are resized")


def digest(*parts: bytes) -> str:
    """A short text that tells contents apart."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.hexdigest()[:16]
