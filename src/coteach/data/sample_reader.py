"""What the data sets of soft labels share: images read by window, with the label that each row brings."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32
from torch.utils.data import get_worker_info

from coteach.data.embedding_input import ImageScale, check_scale, shown
from coteach.data.sample import Sample, check_label, scale_divisor
from coteach.errors import CoteachWarning, RasterError
from coteach.rasters.grid import Window
from coteach.rasters.handles import stay_in_environment
from coteach.rasters.read import raster_shape, read_image
from coteach.tables import Table

_LOOK_AT = 32  # rows, at most, in search of an image with data
_SLACK = 1e-3  # beyond [0, 1] that is still rounding


class Layout(NamedTuple):
    """What ``raster_shape`` says of a file."""

    bands: int
    height: int
    width: int
    dtype: str


class Label(NamedTuple):
    """The label of a window.

    Args:
        p_soft: ``(C, h, w)`` shares.
        w_conf: ``(h, w)`` weights.
        voted: ``(h, w)`` False where nobody votes.
        p_soft_path: what P_soft was read from.
        w_conf_path: what W_conf was read from, if it was.
    """

    p_soft: Float32[np.ndarray, "c h w"]
    w_conf: Float32[np.ndarray, "h w"]
    voted: Bool[np.ndarray, "h w"]
    p_soft_path: Path
    w_conf_path: Path | None


class SampleReader(ABC):
    """Reads the image and the label of items, each of which shows a window of a row of a table.

    Args:
        table: at least one row.
        rows: for each item its row.
        images: for each item its image.
        windows: for each item the part of its files to read; None is all of them.
        image_scale: what images are divided by, or ``"embeddings"``; None goes by their dtype.
        in_memory: keep every sample that was read.

    Attributes:
        num_bands: bands of the images.

    Raises:
        RasterError: the first image is missing or cannot be read.
    """

    num_classes: int

    def __init__(
        self,
        table: Table,
        rows: Sequence[int],
        images: Sequence[Path],
        windows: Sequence[Window | None],
        image_scale: ImageScale,
        *,
        in_memory: bool = False,
    ) -> None:
        self._table = table
        self._rows = rows
        self._images = images
        self._windows = windows
        self._image_scale = image_scale
        self._kept: dict[int, Sample] | None = {} if in_memory else None
        self._layouts: dict[Path, Layout] = {}
        self.num_bands = self._layout(images[0]).bands

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._rows)

    @abstractmethod
    def _label(self, index: int) -> Label:
        """The label of an item, as its files hold it."""

    def image_path(self, index: int) -> Path:
        """The image of an item."""
        return self._images[index]

    def location(self, index: int) -> tuple[Path, Window]:
        """Image file of an item, and the part of it that the item shows."""
        image = self._images[index]
        layout = self._layout(image)
        return image, self._windows[index] or Window(0, 0, layout.height, layout.width)

    def path_of(self, index: int, key: str) -> Path:
        """The file that another column of the item's row names.

        Raises:
            TableError: there is no such column, or the cell is empty.
        """
        self._table.require(key)
        return self._table.located(self._table.text(self._rows[index], key))

    def read(self, index: int) -> Sample:
        """The sample of an item, before augmentation: P_soft and W_conf are 0 where there is no label or no image.

        Raises:
            RasterError: a file is damaged, or does not fit the others or the window.
        """
        if get_worker_info() is not None:
            stay_in_environment()
        if self._kept is None:
            return self._read_row(index)
        if index not in self._kept:
            self._kept[index] = self._read_row(index)
        image, p_soft, w_conf = self._kept[index]
        return Sample(image.copy(), p_soft.copy(), w_conf.copy())  # what is kept stays as it was read

    def _read_row(self, index: int) -> Sample:
        try:
            return self._read(index)
        except RasterError as error:
            where = f"{self._table.where(self._rows[index])}: {error.thing}"
            raise RasterError(where, error.cause, error.remedy) from error

    def _read(self, index: int) -> Sample:
        path = self._images[index]
        image, seen = self._image(index)
        label = self._label(index)
        if label.voted.shape != seen.shape:
            size = " x ".join(map(str, seen.shape))
            cause = f"has {' x '.join(map(str, label.voted.shape))} pixels where {path} has {size}"
            raise RasterError(
                str(label.p_soft_path), cause, "leave the files as they are while they are read"
            )
        labelled = seen & check_label(*label)
        if not labelled.all():
            label.p_soft[:, ~labelled] = 0
            label.w_conf[~labelled] = 0
        return Sample(image, label.p_soft, label.w_conf)

    def _image(self, index: int) -> tuple[Float32[np.ndarray, "bands h w"], Bool[np.ndarray, "h w"]]:
        """What the network is shown of an item, and where that is data."""
        path = self._images[index]
        self._check_fit(index)
        values, seen = read_image(path, self._windows[index])
        return shown(values, seen, self._layout(path).dtype, self._image_scale, path)

    def _layout(self, path: Path) -> Layout:
        if path not in self._layouts:
            self._layouts[path] = Layout(*raster_shape(path))
        return self._layouts[path]

    def _check_fit(self, index: int) -> None:
        """Check that an item's files fit each other and those of the first."""
        self._check_bands(self._images[index], self.num_bands)

    def _check_bands(self, path: Path, bands: int) -> None:
        found = self._layout(path).bands
        if found != bands:
            cause = f"has {found} bands where {bands} are expected"
            raise RasterError(str(path), cause, "use files of the same kind throughout the table")

    def warn_of_scale(self) -> None:
        """Warn once where images leave [0, 1] by their stated scale; looks at the first image with data."""
        if isinstance(self._image_scale, str):
            check_scale(self._layout(self._images[0]).dtype, self._image_scale, self._images[0])
            return
        for path, window in list(zip(self._images, self._windows, strict=True))[:_LOOK_AT]:
            divisor = scale_divisor(self._layout(path).dtype, self._image_scale, path)
            if divisor != 1 and self._image_scale is None:
                return
            image, seen = read_image(path, window)
            values = image[:, seen] / divisor
            if values.size:
                low, high = float(values.min()), float(values.max())
                if low < -_SLACK or high > 1 + _SLACK:
                    warnings.warn(
                        f"{path}: values from {low:g} to {high:g} after division by {divisor:g} are outside "
                        "[0, 1]; give image_scale, the value that becomes 1",
                        CoteachWarning,
                        stacklevel=4,
                    )
                return
