"""How a label map lies over an image: where, how much of it, and in pixels of what size. No pixel is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64

from coteach.errors import RasterError
from coteach.rasters.dataset import GDAL_ERRORS, reason
from coteach.rasters.grid import Grid, Window
from coteach.rasters.lookup import pixels_at

_LATTICE = 20  # points along an axis from which coverage is told
_BEND = 2  # pixels by which a straight edge may bend between two points of the lattice
_STRIP = 1 << 18  # pixels looked at at once where the lattice is too coarse


def no_overlap(path: Path) -> RasterError:
    """The error of a label map that no pixel of the image meets."""
    remedy = "give a raster that covers the image, or leave it out for this tile"
    return RasterError(str(path), "does not overlap the image", remedy)


def laid_over(
    path: Path, image: Grid, label_map: Grid, window: Window
) -> tuple[Int64[np.ndarray, "h w"], Int64[np.ndarray, "h w"]]:
    """As :meth:`~coteach.rasters.grid.Grid.pixels_on`, for the label map in ``path``.

    Raises:
        RasterError: its CRS does not reach the image.
    """
    with _reaching(path, label_map):
        return image.pixels_on(label_map, window)


def coverage(path: Path, image: Grid, label_map: Grid) -> float:
    """The share of the image that a label map covers, told from a lattice of its pixels.

    Args:
        path: the label map.
        image: its grid.
        label_map: its grid.

    Returns:
        In ``(0, 1]``; 1 only if every pixel of the lattice is covered.

    Raises:
        RasterError: the map does not overlap the image (exactly: no pixel's centre lies on it).
    """
    with _reaching(path, label_map):
        inside = _inside(*pixels_at(*image.places_on(label_map, *_lattice(image))), label_map)
        if inside.all():
            return 1.0
        one = 1 / (image.height * image.width)
        if inside.any():
            return float(np.clip(inside[1:-1, 1:-1].mean(), one, 1 - one))
        met = image.part(_meeting_place(image, label_map))
        for window in met.strips(_STRIP):
            if _inside(*met.pixels_on(label_map, window), label_map).any():
                return one
    raise no_overlap(path)


def pixel_ratio(image: Grid, label_map: Grid) -> float:
    """The side of a label map's pixel, in sides of an image's pixel: the root of the ratio of their areas.

    Args:
        image: its grid.
        label_map: its grid, of a CRS that reaches the image.

    Returns:
        In ``(0, inf)``; NaN if the projection ends at the image's centre.
    """
    row, col = image.height / 2, image.width / 2
    rows, cols = image.places_on(label_map, np.array([[row, row + 1, row]]), np.array([[col, col, col + 1]]))
    if not (np.isfinite(rows).all() and np.isfinite(cols).all()):
        return np.nan
    (_, row_down, row_right), (_, col_down, col_right) = (rows[0] - rows[0, 0], cols[0] - cols[0, 0])
    return float(abs(row_down * col_right - row_right * col_down) ** -0.5)


def _lattice(grid: Grid) -> tuple[Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"]]:
    """Rows and columns of the centres of pixels: those of equal parts, and around them those at the edges."""
    rows, cols = np.meshgrid(_axis(grid.height), _axis(grid.width), indexing="ij")
    return rows, cols


def _axis(extent: int) -> Float64[np.ndarray, " n"]:
    parts = min(_LATTICE, extent)
    centres = np.floor((np.arange(parts) + 0.5) * extent / parts)
    return np.array([0, *centres, extent - 1]) + 0.5


def _inside(
    rows: Int64[np.ndarray, "h w"], cols: Int64[np.ndarray, "h w"], grid: Grid
) -> Bool[np.ndarray, "h w"]:
    inside: Bool[np.ndarray, "h w"] = (rows >= 0) & (rows < grid.height) & (cols >= 0) & (cols < grid.width)
    return inside


def _meeting_place(image: Grid, label_map: Grid) -> Window:
    """The part of the image outside of which no pixel meets the label map; at least one pixel."""
    rows, cols = np.meshgrid(
        np.linspace(0, label_map.height, _LATTICE), np.linspace(0, label_map.width, _LATTICE), indexing="ij"
    )
    pixels = pixels_at(*label_map.places_on(image, rows, cols))
    (top, bottom), (left, right) = (
        (
            int(np.clip(places.min() - _BEND, 0, extent - 1)),
            int(np.clip(places.max() + _BEND, 0, extent - 1)),
        )
        for places, extent in zip(pixels, (image.height, image.width), strict=True)
    )
    return Window(top, left, bottom - top + 1, right - left + 1)


@contextmanager
def _reaching(path: Path, label_map: Grid) -> Iterator[None]:
    """Say of which map it is the CRS that has no place for the image."""
    try:
        yield
    except GDAL_ERRORS as error:
        cause = (
            f"cannot be laid over the image: its CRS {label_map.crs.to_string()} does not reach there "
            f"({reason(error)})"
        )
        remedy = "give a raster that covers the image, or reproject it"
        raise RasterError(str(path), cause, remedy) from error
