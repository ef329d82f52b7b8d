"""The rasters behind a table of soft labels: found, checked against each other, read row by row."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from coteach.data.sample import Sample, check_label, scale_divisor
from coteach.data.tables import Table
from coteach.errors import RasterError
from coteach.rasters.grid import Window
from coteach.rasters.read import raster_shape, read_image, read_soft_label

_LOOK_AT = 32  # rows, at most, in search of an image with data
_SLACK = 1e-3  # beyond [0, 1] that is still rounding


class _Files(NamedTuple):
    image: Path
    p_soft: Path
    w_conf: Path | None = None


class _Layout(NamedTuple):
    """What ``raster_shape`` says of a file."""

    bands: int
    height: int
    width: int
    dtype: str


class SoftLabelReader:
    """Reads the image, P_soft and W_conf of a table's rows.

    Args:
        table: at least one row.
        keys: its columns with the paths of the image, P_soft and, optionally, W_conf.
        windows: for each row the part of its files to read; None is all of them.
        image_scale: what images are divided by; None goes by their dtype.

    Attributes:
        num_bands: bands of the images.
        num_classes: bands of P_soft.

    Raises:
        TableError: a column or a path is missing.
        RasterError: a file is missing or cannot be read.
    """

    def __init__(
        self,
        table: Table,
        keys: Sequence[str],
        windows: Sequence[Window | None],
        image_scale: float | int | None,  # noqa: PYI041 -- checked at run time, where an int is no float
    ) -> None:
        self._table = table
        self._windows = windows
        self._image_scale = image_scale
        self._files = _find_files(table, keys)
        self._layouts: dict[Path, _Layout] = {}
        self.num_bands = self._layout(self._files[0].image).bands
        self.num_classes = self._layout(self._files[0].p_soft).bands

    def image_path(self, index: int) -> Path:
        """The image of a row."""
        return self._files[index].image

    def read(self, index: int) -> Sample:
        """The sample of a row, before augmentation; pixels without a label are 0 in all of it.

        Raises:
            RasterError: a file is damaged, or does not fit the others or the window.
        """
        files, window = self._files[index], self._windows[index]
        self._check_fit(index)
        image, image_valid = read_image(files.image, window)
        p_soft, w_conf, voted = read_soft_label(files.p_soft, files.w_conf, window)
        voted = check_label(p_soft, w_conf, voted, files.p_soft, files.w_conf)
        valid = voted & image_valid & np.isfinite(image).all(0)
        image /= scale_divisor(self._layout(files.image).dtype, self._image_scale, files.image)
        for array in (image, p_soft, w_conf):
            array[..., ~valid] = 0
        return Sample(image, p_soft, w_conf)

    def _layout(self, path: Path) -> _Layout:
        if path not in self._layouts:
            self._layouts[path] = _Layout(*raster_shape(path))
        return self._layouts[path]

    def _check_fit(self, index: int) -> None:
        """Check that a row's files fit each other, the first row's, and the window."""
        files, window, where = self._files[index], self._windows[index], self._table.where(index)
        image = self._layout(files.image)
        expected = {files.image: self.num_bands, files.p_soft: self.num_classes}
        if files.w_conf is not None:
            expected[files.w_conf] = 1
        for path, bands in expected.items():
            layout = self._layout(path)
            if layout.bands != bands:
                cause = f"{path} has {layout.bands} bands where {bands} are expected"
                raise RasterError(where, cause, "use files of the same kind throughout the table")
            if (layout.height, layout.width) != (image.height, image.width):
                cause = (
                    f"{path} has {layout.height} x {layout.width} pixels, "
                    f"{files.image} has {image.height} x {image.width}"
                )
                raise RasterError(
                    where, cause, "give rasters on the image's grid (coteach build-soft-labels)"
                )
        if window is not None:
            bottom, right = window.row_off + window.height, window.col_off + window.width
            if bottom > image.height or right > image.width:
                cause = (
                    f"the window of rows {window.row_off}..{bottom} and columns {window.col_off}..{right} "
                    f"leaves {files.image}, which has {image.height} x {image.width} pixels"
                )
                raise RasterError(where, cause, "correct the window or drop the row")

    def warn_of_scale(self, stacklevel: int) -> None:
        """Warn once where images leave [0, 1] by their stated scale; looks at the first image with data."""
        for files, window in list(zip(self._files, self._windows, strict=True))[:_LOOK_AT]:
            divisor = scale_divisor(self._layout(files.image).dtype, self._image_scale, files.image)
            if divisor != 1 and self._image_scale is None:
                return
            image, valid = read_image(files.image, window)
            values = image[:, valid] / divisor
            values = values[np.isfinite(values)]
            if values.size:
                low, high = float(values.min()), float(values.max())
                if low < -_SLACK or high > 1 + _SLACK:
                    warnings.warn(
                        f"{files.image}: values from {low:g} to {high:g} after division by {divisor:g} are outside "
                        "[0, 1]; give image_scale, the value that becomes 1",
                        stacklevel=stacklevel + 1,
                    )
                return


def _find_files(table: Table, keys: Sequence[str]) -> list[_Files]:
    """The files of every row; all of them exist."""
    table.require(*keys)
    found: dict[str, Path] = {}
    files = []
    for index in range(len(table.rows)):
        for key in keys:
            cell = table.text(index, key)
            if cell not in found:
                found[cell] = table.located(cell)
                if not found[cell].is_file():
                    cause = f"{key} {found[cell]} does not exist"
                    raise RasterError(table.where(index), cause, "correct the path or drop the row")
        files.append(_Files(*(found[table.text(index, key)] for key in keys)))
    return files
