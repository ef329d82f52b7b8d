"""The rasters behind a table of soft labels: found, checked against each other, read row by row."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from coteach.data.sample import Sample, check_label, scale_divisor, scale_image
from coteach.errors import RasterError
from coteach.rasters.grid import Window
from coteach.rasters.read import raster_shape, read_image, read_soft_label
from coteach.tables import Table

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
        in_memory: keep every sample that was read.

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
        image_scale: float | None,
        *,
        in_memory: bool = False,
    ) -> None:
        self._table = table
        self._kept: dict[int, Sample] | None = {} if in_memory else None
        self._windows = windows
        self._image_scale = image_scale
        self._files = _find_files(table, keys)
        self._layouts: dict[Path, _Layout] = {}
        self.num_bands = self._layout(self._files[0].image).bands
        self.num_classes = self._layout(self._files[0].p_soft).bands

    def image_path(self, index: int) -> Path:
        """The image of a row."""
        return self._files[index].image

    def location(self, index: int) -> tuple[Path, Window]:
        """Image file of a row, and the part of it that the row shows."""
        image = self._files[index].image
        layout = self._layout(image)
        return image, self._windows[index] or Window(0, 0, layout.height, layout.width)

    def path_of(self, index: int, key: str) -> Path:
        """The file that another column of the row names.

        Raises:
            TableError: there is no such column, or the cell is empty.
        """
        self._table.require(key)
        return self._table.located(self._table.text(index, key))

    def read(self, index: int) -> Sample:
        """The sample of a row, before augmentation: P_soft and W_conf are 0 where there is no label or no image.

        Raises:
            RasterError: a file is damaged, or does not fit the others or the window.
        """
        if self._kept is None:
            return self._read_row(index)
        if index not in self._kept:
            self._kept[index] = self._read_row(index)
        image, p_soft, w_conf = self._kept[index]
        return Sample(image.copy(), p_soft.copy(), w_conf.copy())  # what is kept stays as it was read

    def _read_row(self, index: int) -> Sample:
        try:
            return self._read(self._files[index], self._windows[index])
        except RasterError as error:
            where = f"{self._table.where(index)}: {error.thing}"
            raise RasterError(where, error.cause, error.remedy) from error

    def _read(self, files: _Files, window: Window | None) -> Sample:
        self._check_fit(files)
        image, seen = read_image(files.image, window)
        p_soft, w_conf, voted = read_soft_label(files.p_soft, files.w_conf, window)
        labelled = seen & check_label(p_soft, w_conf, voted, files.p_soft, files.w_conf)
        divisor = scale_divisor(self._layout(files.image).dtype, self._image_scale, files.image)
        return Sample(
            image=scale_image(image, seen, divisor),
            p_soft=np.where(labelled, p_soft, np.float32(0)),
            w_conf=np.where(labelled, w_conf, np.float32(0)),
        )

    def _layout(self, path: Path) -> _Layout:
        if path not in self._layouts:
            self._layouts[path] = _Layout(*raster_shape(path))
        return self._layouts[path]

    def _check_fit(self, files: _Files) -> None:
        """Check that a row's files fit each other and those of the first row."""
        image = self._layout(files.image)
        # W_conf has one band or two, which its reader tells apart
        expected = {files.image: self.num_bands, files.p_soft: self.num_classes, files.w_conf: None}
        for path, bands in expected.items():
            if path is None:
                continue
            layout = self._layout(path)
            if bands is not None and layout.bands != bands:
                cause = f"has {layout.bands} bands where {bands} are expected"
                raise RasterError(str(path), cause, "use files of the same kind throughout the table")
            if (layout.height, layout.width) != (image.height, image.width):
                size = f"{image.height} x {image.width}"
                cause = f"has {layout.height} x {layout.width} pixels, {files.image} has {size}"
                remedy = "give rasters on the image's grid (coteach build-soft-labels)"
                raise RasterError(str(path), cause, remedy)

    def warn_of_scale(self) -> None:
        """Warn once where images leave [0, 1] by their stated scale; looks at the first image with data."""
        for files, window in list(zip(self._files, self._windows, strict=True))[:_LOOK_AT]:
            divisor = scale_divisor(self._layout(files.image).dtype, self._image_scale, files.image)
            if divisor != 1 and self._image_scale is None:
                return
            image, seen = read_image(files.image, window)
            values = image[:, seen] / divisor
            if values.size:
                low, high = float(values.min()), float(values.max())
                if low < -_SLACK or high > 1 + _SLACK:
                    warnings.warn(
                        f"{files.image}: values from {low:g} to {high:g} after division by {divisor:g} are outside "
                        "[0, 1]; give image_scale, the value that becomes 1",
                        stacklevel=3,
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
