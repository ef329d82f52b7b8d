"""Pictures without labels, read as those with labels were in training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import Float32

from coteach.data.augment import JointAugmentation
from coteach.data.image_files import ImageFiles, read_picture, size_of
from coteach.data.image_set import other_extent
from coteach.errors import InputError


class PictureReader:
    """Reads pictures as :meth:`coteach.ImageFolderDataset.plain` does; several threads may ask at once.

    Args:
        image_size: ``(height, width)`` in pixels, or one number for both, to which every picture is resized;
            None leaves them as they are.
        num_bands: of the images of the training set: 1 or 3; pictures of the other kind are converted.
        augmentation_list: transforms of the training images; a ``Normalize`` among them that always applies is
            applied here, the others are not.

    Raises:
        OptionError: the size is none.
    """

    def __init__(
        self,
        image_size: int | Sequence[int] | None,
        num_bands: int,
        augmentation_list: Sequence[Any] | None = None,
    ) -> None:
        self._size = size_of(image_size)
        self._bands = num_bands
        self._augment = JointAugmentation(augmentation_list) if augmentation_list else None
        self._one_at_a_time = Lock()  # albumentations does not say that threads may share a Compose

    @classmethod
    def like(cls, dataset: ImageFiles) -> PictureReader:
        """One that reads pictures as those of a data set are read."""
        return cls(dataset.image_size, dataset.num_bands, dataset.augmentation_list)

    def read(self, path: Path) -> Float32[np.ndarray, "bands h w"]:
        """What the network is shown of a picture: scaled by its dtype, then normalized.

        Raises:
            InputError: it is missing, damaged, no picture, or holds NaN.
        """
        try:
            image = read_picture(path, self._size, self._bands)
        except InputError as error:  # its remedy is of data sets
            raise InputError(error.thing, error.cause, "replace or remove it") from error
        if self._augment is None:
            return image
        with self._one_at_a_time:
            return self._augment.normalized(image)

    def read_all(self, paths: Sequence[Path]) -> Float32[np.ndarray, "n bands h w"]:
        """Several pictures, at least one.

        Raises:
            InputError: one cannot be read, or is of another size than the first.
        """
        pictures = [self.read(path) for path in paths]
        for path, picture in zip(paths, pictures, strict=True):
            if picture.shape != pictures[0].shape:
                raise other_extent(str(path), picture.shape[1:], pictures[0].shape[1:])
        return np.stack(pictures)
