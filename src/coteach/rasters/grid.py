"""Where the pixels of a raster lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, Shaped
from rasterio import Affine, warp, windows
from rasterio.crs import CRS
from rasterio.io import DatasetReader

from coteach.errors import RasterError
from coteach.rasters.dataset import opened
from coteach.rasters.lookup import holding, pixels_at, pixels_under

_FARTHEST = 1e12  # the earth's girth is 4e10 mm; NaN and infinity are not below this either
_PARTS, _PART = 3, 16  # of a sample: how many along an axis, and their pixels


class Window(NamedTuple):
    """A part of a raster, in pixels."""

    row_off: int
    col_off: int
    height: int
    width: int

    def for_gdal(self) -> windows.Window:
        """The same as rasterio takes it."""
        return windows.Window(self.col_off, self.row_off, self.width, self.height)

    def cut(self, values: Shaped[np.ndarray, "*axes rows cols"]) -> Shaped[np.ndarray, "*axes h w"]:
        """This part of an array whose last two axes are rows and columns; a view."""
        return values[
            ..., self.row_off : self.row_off + self.height, self.col_off : self.col_off + self.width
        ]

    def centres(self) -> tuple[Float64[np.ndarray, " h"], Float64[np.ndarray, " w"]]:
        """Rows and columns of its pixels' centres, in pixels of the raster."""
        return np.arange(self.height) + (self.row_off + 0.5), np.arange(self.width) + (self.col_off + 0.5)

    def halves(self) -> tuple[Window, Window]:
        """Cut in two across the longer side, which has at least 2 pixels."""
        row_off, col_off, height, width = self
        if height >= width:
            half = height // 2
            return (
                Window(row_off, col_off, half, width),
                Window(row_off + half, col_off, height - half, width),
            )
        half = width // 2
        return Window(row_off, col_off, height, half), Window(row_off, col_off + half, height, width - half)


@dataclass(frozen=True, slots=True)
class Grid:
    """A raster's coordinate reference system, geotransform and size; north-up, south-up or rotated.

    Args:
        crs: the coordinate reference system.
        transform: (column, row) of a pixel's upper left corner -> (x, y) in units of ``crs``.
        height: rows.
        width: columns.
    """

    crs: CRS
    transform: Affine
    height: int
    width: int

    @classmethod
    def of(cls, path: Path) -> Grid:
        """The grid of a file.

        Raises:
            RasterError: the file cannot be read, or does not say where on earth it lies.
        """
        with opened(path) as dataset:
            return cls.of_dataset(dataset)

    @classmethod
    def anywhere(cls, path: Path) -> Grid:
        """The grid of a file that may not say where on earth it lies; ``crs`` is empty (false) then.

        Raises:
            RasterError: the file cannot be read.
        """
        with opened(path) as dataset:
            return cls(dataset.crs or CRS(), dataset.transform, dataset.height, dataset.width)

    @classmethod
    def of_dataset(cls, dataset: DatasetReader) -> Grid:
        """The grid of an open file.

        Raises:
            RasterError: the file does not say where on earth it lies.
        """
        if dataset.crs is None:
            remedy = "assign the one it was made in (gdal_edit.py -a_srs EPSG:…)"
            raise RasterError(dataset.name, "has no coordinate reference system (CRS)", remedy)
        numbers = tuple(dataset.transform)[:6]
        broken = "no place on earth" if not np.abs(numbers).max() < _FARTHEST else ""
        if broken or dataset.transform.is_degenerate:
            cause = f"has {broken or 'pixels without area'} (geotransform {', '.join(map('{:g}'.format, numbers))})"
            remedy = "assign the geotransform it was made with (gdal_edit.py -a_ullr …)"
            raise RasterError(dataset.name, cause, remedy)
        return cls(dataset.crs, dataset.transform, dataset.height, dataset.width)

    def strips(self, pixels: int) -> Iterator[Window]:
        """Windows of the full width and at most ``pixels`` pixels (or one row) that cover the grid."""
        height = max(1, pixels // self.width)
        for row in range(0, self.height, height):
            yield Window(row, 0, min(height, self.height - row), self.width)

    def sample(self) -> Iterator[Window]:
        """Small windows at the corners and in the middle; one of all where the grid is small itself."""
        for i, (row, height) in enumerate(_spread(self.height)):
            for j, (col, width) in enumerate(_spread(self.width)):
                if (i + j) % 2 == 0:
                    yield Window(row, col, height, width)

    def part(self, window: Window) -> Grid:
        """The grid of a window."""
        moved = self.transform @ Affine.translation(window.col_off, window.row_off)
        return Grid(self.crs, moved, window.height, window.width)

    def pixels_on(
        self, other: Grid, window: Window
    ) -> tuple[Int64[np.ndarray, "h w"], Int64[np.ndarray, "h w"]]:
        """In which pixels of another grid the centres of this grid's pixels lie: exact, no interpolation.

        Args:
            other: the grid to look at; of any CRS.
            window: the part of this grid to look from.

        Returns:
            ``(h, w)`` rows and columns on ``other``, which may be outside of it.

        Raises:
            RasterioError, CPLE_BaseError: there is no way from one CRS to the other for these places.
        """
        lines = self.lines_on(other, window)
        if lines is not None:
            rows, cols = np.meshgrid(*lines, indexing="ij")
            return rows, cols
        down, right = window.centres()
        if self.crs == other.crs:  # the sums of _apply, whose terms depend on a row or on a column
            (a, b, c), (d, e, f), _ = _matrix(~other.transform) @ _matrix(self.transform)
            across = down[:, None]
            return pixels_at(d * right + e * across + f, a * right + b * across + c)
        return pixels_under(partial(self.places_on, other), down, right)

    def lines_on(
        self, other: Grid, window: Window
    ) -> tuple[Int64[np.ndarray, " h"], Int64[np.ndarray, " w"]] | None:
        """As :meth:`pixels_on`, where the other grid's rows depend on this one's rows only, and columns on columns.

        Args:
            other: the grid to look at; of any CRS.
            window: the part of this grid to look from.

        Returns:
            ``(h,)`` rows and ``(w,)`` columns on ``other``, which may be outside of it: the pixel at (i, j) of the
            window lies in (rows[i], columns[j]); None for another CRS, or where one grid is rotated against the other.
        """
        if self.crs != other.crs:
            return None
        # the sums of _apply without the terms that are 0: the same numbers
        (a, b, c), (d, e, f), _ = _matrix(~other.transform) @ _matrix(self.transform)
        if b != 0 or d != 0:
            return None
        rows, cols = window.centres()
        return holding(e * rows + f), holding(a * cols + c)

    def places_on(
        self, other: Grid, rows: Float64[np.ndarray, "h w"], cols: Float64[np.ndarray, "h w"]
    ) -> tuple[Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"]]:
        """Where on another grid places of this grid lie.

        Args:
            other: the grid to look at; of any CRS.
            rows: in pixels of this grid, from its upper edge.
            cols: in pixels of this grid, from its left edge.

        Returns:
            ``(h, w)`` rows and columns in pixels of ``other``; infinite or NaN where a projection ends.

        Raises:
            RasterioError, CPLE_BaseError: there is no way from one CRS to the other for these places.
        """
        to_pixels = _matrix(~other.transform)
        if self.crs == other.crs:  # one step, lest large coordinates cost digits
            cols, rows = _apply(to_pixels @ _matrix(self.transform), cols, rows)
            return rows, cols
        xs, ys = _apply(_matrix(self.transform), cols, rows)
        moved = warp.transform(self.crs, other.crs, xs.ravel(), ys.ravel())
        xs, ys = (np.array(values).reshape(rows.shape) for values in moved[:2])
        cols, rows = _apply(to_pixels, xs, ys)
        return rows, cols


def _matrix(transform: Affine) -> Float64[np.ndarray, "3 3"]:
    return np.array(tuple(transform), np.float64).reshape(3, 3)


def _apply(
    matrix: Float64[np.ndarray, "3 3"], xs: Float64[np.ndarray, "h w"], ys: Float64[np.ndarray, "h w"]
) -> tuple[Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"]]:
    (a, b, c), (d, e, f), _ = matrix
    with np.errstate(invalid="ignore"):  # 0 times infinity, where a projection ends
        return a * xs + b * ys + c, d * xs + e * ys + f


def _spread(extent: int) -> list[tuple[int, int]]:
    """Start and length of parts at the ends and in the middle of an axis, or of all of it."""
    if extent <= _PARTS * _PART:
        return [(0, extent)]
    return [(number * (extent - _PART) // (_PARTS - 1), _PART) for number in range(_PARTS)]
