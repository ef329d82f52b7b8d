"""A whole scene, read window by window as the network saw its training images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from coteach.data.augment import JointAugmentation, check_normalize
from coteach.data.embedding_input import ImageScale, check_scale, shown
from coteach.errors import OptionError, RasterError
from coteach.rasters.dataset import check_whole, opened
from coteach.rasters.grid import Grid, Window
from coteach.rasters.read import raster_shape, read_image, read_opened

_Read = Callable[[Window], tuple[Float32[np.ndarray, "bands h w"], Bool[np.ndarray, "h w"]]]


class SceneImage:
    """One image of any size. No more of it is in memory than the window asked for.

    Values are what :class:`coteach.SoftLabelDataset` gives: divided by the scale of their dtype, 0 where the image has
    no data, then normalized if the training images always were.

    Args:
        path: the image.
        image_scale: what it is divided by, or ``"embeddings"``; None goes by its dtype.
        augmentation_list: transforms of the training images; a ``Normalize`` among them that always applies is
            applied here, the others are not.

    Attributes:
        path: the image.
        grid: its grid; ``crs`` is empty (false) where the image has none.
        num_bands: bands.

    Raises:
        RasterError: the file is missing, damaged, of a dtype that has no scale, or has too many or too few bands for
            the ``Normalize``.
    """

    def __init__(
        self,
        path: Path,
        *,
        image_scale: ImageScale = None,
        augmentation_list: Sequence[Any] | None = None,
    ) -> None:
        self.path = path
        self.grid = Grid.anywhere(path)
        self.num_bands, _, _, self._dtype = raster_shape(path)
        self._scale = image_scale
        check_scale(self._dtype, image_scale, path)
        self._augment = JointAugmentation(augmentation_list) if augmentation_list else None
        self._read: _Read = partial(read_image, path)
        try:
            check_normalize(augmentation_list or (), self.num_bands, scaled=image_scale != 1)
        except OptionError as error:
            cause = f"has {self.num_bands} bands, which do not fit augmentation_list ({error.cause})"
            raise RasterError(str(path), cause, "give images of the bands that it was trained on") from error

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Read from one open file while the block runs; a file that was cut off is refused at once.

        Raises:
            RasterError: the file is damaged.
        """
        before = self._read
        with opened(self.path) as dataset:
            check_whole(dataset)
            self._read = partial(read_opened, self.path, dataset)
            try:
                yield
            finally:
                self._read = before

    def read(self, window: Window) -> tuple[Float32[Tensor, "bands h w"], Bool[np.ndarray, "h w"]]:
        """A part of the image.

        Args:
            window: within the image.

        Returns:
            ``(bands, h, w)``, what the network is shown; and ``(h, w)``, where the image has data.

        Raises:
            RasterError: the file is damaged, or the window leaves it.
        """
        values, valid = self._read(window)
        image, valid = shown(values, valid, self._dtype, self._scale, self.path)
        if self._augment is not None:
            image = self._augment.normalized(image)
        return torch.from_numpy(image), valid
