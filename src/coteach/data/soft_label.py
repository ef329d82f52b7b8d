"""Images with soft labels, whole tiles or windows of scenes, as torch data sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor
from torch.utils.data import Dataset

from coteach.data.augment import JointAugmentation, check_normalize
from coteach.data.embedding_input import ImageScale
from coteach.data.sample import Sample, complete
from coteach.data.sample_reader import SampleReader
from coteach.data.soft_label_reader import SoftLabelReader
from coteach.errors import TableError
from coteach.rasters.grid import Window
from coteach.tables import Table, read_table


class SoftLabelItem(TypedDict):
    """What the data sets give.

    Args:
        image: ``(bands, H, W)`` float32.
        mask: ``"mask"``: P_soft, ``(C, H, W)`` float32; ``"w_conf"``: W_conf, ``(1, H, W)`` float32 in [0, 1].
        path: of the image.
    """

    image: Tensor
    mask: dict[str, Tensor]
    path: str


class SoftLabelBase(Dataset[SoftLabelItem]):
    """What the data sets of soft labels have in common; they differ in what reads their samples.

    Args:
        reader: gives image and label of each item.
        rows: for each item what its tables say of it, column -> text.
        augmentation_list: albumentations transforms for image and label together.
        scaled: whether images are divided by anything but 1.

    Attributes:
        rows: as given.
        num_bands: bands of the images.
        num_classes: ``C``.

    Raises:
        OptionError: a ``Normalize`` does not fit the images.
    """

    def __init__(
        self,
        reader: SampleReader,
        rows: list[dict[str, str]],
        augmentation_list: Sequence[Any] | None,
        *,
        scaled: bool,
    ) -> None:
        self._reader = reader
        self.rows = rows
        self.num_bands = reader.num_bands
        self.num_classes = reader.num_classes
        reader.warn_of_scale()
        self._augment = JointAugmentation(augmentation_list) if augmentation_list else None
        check_normalize(augmentation_list or (), self.num_bands, scaled=scaled)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> SoftLabelItem:
        """The sample of a row, augmented."""
        return self._item(index, self._augment)

    def plain(self, index: int) -> SoftLabelItem:
        """The sample of a row without augmentation; a ``Normalize`` that always applies still does."""
        return self._item(index, self._augment and self._augment.normalize)

    def reseed(self, seed: int) -> None:
        """Fix what augmentation draws for the next sample; without it torch's generator decides."""
        if self._augment is not None:
            self._augment.reseed(seed)

    def location(self, index: int) -> tuple[Path, Window]:
        """Image file of a row, and the part of it that the row shows."""
        return self._reader.location(index)

    def path_of(self, index: int, key: str) -> Path:
        """The file that another column of a row names.

        Raises:
            TableError: there is no such column, or the cell is empty.
        """
        return self._reader.path_of(index, key)

    def _item(self, index: int, change: Callable[[Sample], Sample] | None) -> SoftLabelItem:
        sample = self._reader.read(index)
        image, p_soft, w_conf = complete(sample if change is None else change(sample))
        return {
            "image": torch.from_numpy(image),
            "mask": {"mask": torch.from_numpy(p_soft), "w_conf": torch.from_numpy(w_conf[None])},
            "path": str(self._reader.image_path(index)),
        }


class SoftLabelDataset(SoftLabelBase):
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
        image_scale: divide the image by this, whatever its dtype: 255 for floats that hold 0..255. ``"embeddings"``
            dequantises AlphaEarth rasters: values in [-1, 1]; a pixel with NoData in a band has no image data.
        in_memory: keep every sample that was read; for sets that fit, each loader worker has its own copy.

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
        image_scale: ImageScale = None,
        in_memory: bool = False,
    ) -> None:
        table = read_table(input_csv_path)
        if not table.rows:
            raise TableError(str(table.path), "has no rows", "give a table with at least one image")
        keys = [image_key, p_soft_key] + ([] if w_conf_key is None else [w_conf_key])
        reader = SoftLabelReader(table, keys, self._windows(table), image_scale, in_memory=in_memory)
        super().__init__(reader, table.rows, augmentation_list, scaled=image_scale != 1)

    def _windows(self, table: Table) -> list[Window | None]:
        """The part of its files that each row reads; None is all of them."""
        return [None] * len(table.rows)


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
        in_memory: as for :class:`SoftLabelDataset`.

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
        image_scale: ImageScale = None,
        in_memory: bool = False,
    ) -> None:
        self._window_keys = (row_off_key, col_off_key, patch_size_key)
        super().__init__(
            input_csv_path,
            image_key,
            p_soft_key,
            w_conf_key,
            augmentation_list,
            image_scale=image_scale,
            in_memory=in_memory,
        )

    def _windows(self, table: Table) -> list[Window | None]:
        row_off, col_off, size = self._window_keys
        table.require(row_off, col_off, size)
        windows: list[Window | None] = []
        for index in range(len(table.rows)):
            side = table.integer(index, size, minimum=1)
            windows.append(Window(table.integer(index, row_off), table.integer(index, col_off), side, side))
        return windows
