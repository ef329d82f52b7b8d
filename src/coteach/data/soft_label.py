"""Images with soft labels, whole tiles or windows of scenes, as torch data sets."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from coteach.data.augment import JointAugmentation, warn_of_normalize
from coteach.data.sample import Sample, check_label, complete, scale_divisor
from coteach.data.tables import read_table
from coteach.errors import RasterError, TableError
from coteach.rasters.grid import Window
from coteach.rasters.read import raster_shape, read_image, read_soft_label


_LOOK_AT = 32  # rows, at most, in search of an image with data
_SLACK = 1e-3  # beyond [0, 1] that is still rounding


class SoftLabelItem(TypedDict):
    """What the data sets give: float32 ``image`` ``(bands, H, W)``; ``mask`` with P_soft ``(C, H, W)`` under
    ``"mask"`` and W_conf ``(1, H, W)`` under ``"w_conf"``; the image's path.
    """

    image: Tensor
    mask: dict[str, Tensor]
    path: str


class _Files(NamedTuple):
    image: Path
    p_soft: Path
    w_conf: Path | None


class _Layout(NamedTuple):
    """What ``raster_shape`` says of a file."""

    bands: int
    height: int
    width: int
    dtype: str


class SoftLabelDataset(Dataset[SoftLabelItem]):
    """Images of a table, each with its P_soft and, if there is one, its W_conf raster.

    A pixel without a vote, or without image data, has the uniform distribution and weight 0, whatever the files
    hold there; its image values are 0 before augmentation.

    Images are scaled by their dtype: uint8 / 255, uint16 / 65535, floats as they are. Floats beyond [0, 1] are
    the caller's choice; a warning says so once.

    Args:
        input_csv_path: the table; a relative path in it is relative to its folder, else to the working directory.
        image_key: column with the image's path.
        p_soft_key: column with the path of P_soft, ``C`` bands that sum to 1.
        w_conf_key: column with the path of W_conf, one band in [0, 1]; None gives every pixel with a vote weight 1.
        augmentation_list: albumentations transforms for image and label together; a ``Normalize`` among them needs
            ``max_pixel_value=1.0``, as images are scaled before it.
        image_scale: divide the image by this, whatever its dtype: 255 for floats that hold 0..255.

    Attributes:
        rows: the rows of the table, column -> text.
        num_bands: bands of the images.
        num_classes: ``C``.

    Raises:
        TableError: the table is missing or empty, or lacks a column or a path.
        RasterError: a file is missing, damaged, or does not fit the others; some of it is seen only when its row is read.

    Example:
        >>> train = SoftLabelDataset("train.csv", w_conf_key="w_conf_path")  # doctest: +SKIP
        >>> train[0]["mask"]["mask"].shape  # doctest: +SKIP
        torch.Size([4, 256, 256])
    """

    def __init__(
        self,
        input_csv_path: str | os.PathLike[str],
        image_key: str = "image_path",
        p_soft_key: str = "p_soft_path",
        w_conf_key: str | None = None,
        augmentation_list: Sequence[Any] | None = None,
        *,
        image_scale: float | int | None = None,  # noqa: PYI041 -- checked at run time, where an int is no float
    ) -> None:
        self._table = read_table(input_csv_path)
        if not self._table.rows:
            raise TableError(str(self._table.path), "has no rows", "give a table with at least one image")
        self.rows = self._table.rows
        self._image_scale = image_scale
        self._files = self._find_files(image_key, p_soft_key, w_conf_key)
        self._windows = self._find_windows()
        self._layouts: dict[Path, _Layout] = {}
        self.num_bands = self._layout(self._files[0].image).bands
        self.num_classes = self._layout(self._files[0].p_soft).bands
        self._check_scale()
        self._augment = None
        if augmentation_list:
            self._augment = JointAugmentation(augmentation_list)
            if image_scale != 1:
                warn_of_normalize(augmentation_list, stacklevel=2)

    def __len__(self) -> int:
        return len(self.rows)

    def reseed(self, seed: int) -> None:
        """Fix the augmentation that the next sample gets, whoever reads it and in whatever order."""
        if self._augment is not None:
            self._augment.reseed(seed)

    def __getitem__(self, index: int) -> SoftLabelItem:
        sample = self._read(index)
        if self._augment is not None:
            sample = Sample(*self._augment(*sample))
        image, p_soft, w_conf = complete(sample)
        return {
            "image": torch.from_numpy(image),
            "mask": {"mask": torch.from_numpy(p_soft), "w_conf": torch.from_numpy(w_conf[None])},
            "path": str(self._files[index].image),
        }

    def _find_windows(self) -> list[Window | None]:
        """The part of its files that each row reads; None is all of them."""
        return [None] * len(self.rows)

class SoftLabelWindowedDataset(SoftLabelDataset):
    """Square patches of scenes: as :class:`SoftLabelDataset`, each row reading one window of its files.

    Args:
        input_csv_path: the table, for instance ``soft_label_patches.csv`` or a split of it.
        image_key: column with the image's path.
        p_soft_key: column with the path of P_soft.
        w_conf_key: column with the path of W_conf, or None.
        augmentation_list: as for :class:`SoftLabelDataset`.
        row_off_key: column with the window's first row, from 0.
        col_off_key: column with the window's first column, from 0.
        patch_size_key: column with the window's side in pixels.
        image_scale: as for :class:`SoftLabelDataset`.

    Raises:
        TableError: an offset or a size is no such integer, too.
    """

    def __init__(
        self,
        input_csv_path: str | os.PathLike[str],
        image_key: str = "image_path",
        p_soft_key: str = "p_soft_path",
        w_conf_key: str | None = None,
        augmentation_list: Sequence[Any] | None = None,
        row_off_key: str = "row_off",
        col_off_key: str = "col_off",
        patch_size_key: str = "patch_size",
        *,
        image_scale: float | int | None = None,  # noqa: PYI041 -- checked at run time, where an int is no float
    ) -> None:
        self._window_keys = (row_off_key, col_off_key, patch_size_key)
        super().__init__(
            input_csv_path, image_key, p_soft_key, w_conf_key, augmentation_list, image_scale=image_scale
        )

    def _find_windows(self) -> list[Window | None]:
        table = self._table
        row_off, col_off, size = self._window_keys
        table.require(*self._window_keys)
        windows: list[Window | None] = []
        for index in range(len(self.rows)):
            side = table.integer(index, size, minimum=1)
            windows.append(Window(table.integer(index, row_off), table.integer(index, col_off), side, side))
        return windows
