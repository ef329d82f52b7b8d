"""How the grid of embeddings lies to that of the image. No pixel is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rasterio import Affine

from coteach.rasters.grid import Grid, Window
from coteach.rasters.overlap import laid_over

_ROUNDING = 1e-3  # pixels by which corners of equal grids may differ
_REACH = 2  # pixels around a window: its corners are told to the pixel


def same_grid(image: Grid, other: Grid) -> bool:
    """Whether two grids have the same CRS, size and, but for rounding, geotransform."""
    if image.crs != other.crs or (image.height, image.width) != (other.height, other.width):
        return False
    rows, cols = np.array([[0.0, 0, image.height]]), np.array([[0.0, image.width, 0]])
    return np.allclose(image.places_on(other, rows, cols), (rows, cols), rtol=0, atol=_ROUNDING)


def has_room(image: Grid, embeddings: Grid) -> bool:
    """Whether a pixel in the middle of the image is larger than one of the embeddings, and holds one as it lies.

    Then it holds the centre of one at least, wherever the two grids meet.
    """
    middle = np.array([[image.height / 2]]), np.array([[image.width / 2]])
    row, col = (float(places[0, 0]) for places in image.places_on(embeddings, *middle))
    if not np.isfinite([row, col]).all():
        return False
    rows, cols = embeddings.places_on(image, np.array([[row, row + 1, row]]), np.array([[col, col, col + 1]]))
    (down, right), (below, beside) = ((axis[0, 1:] - axis[0, 0]) for axis in (rows, cols))
    fits = max(abs(down) + abs(right), abs(below) + abs(beside)) <= 1 + _ROUNDING
    return bool(fits and abs(down * beside - right * below) < 1 - _ROUNDING)


def bounds(path: Path, image: Grid, embeddings: Grid, window: Window) -> Window | None:
    """A part of the embeddings in ``path`` outside of which no pixel's centre lies in a window of the image.

    Returns:
        The part; None if there is none.

    Raises:
        RasterError: the CRS of the embeddings does not reach the image.
    """
    corner = image.transform @ Affine.translation(window.col_off - 0.5, window.row_off - 0.5)
    corners = Grid(image.crs, corner, window.height + 1, window.width + 1)
    places = laid_over(path, corners, embeddings, Window(0, 0, corners.height, corners.width))
    (top, bottom), (left, right) = (
        (max(0, int(axis.min()) - _REACH), min(extent, int(axis.max()) + _REACH + 1))
        for axis, extent in zip(places, (embeddings.height, embeddings.width), strict=True)
    )
    return Window(top, left, bottom - top, right - left) if top < bottom and left < right else None


def cut(window: Window, pixels: int) -> Iterator[Window]:
    """Parts of a window of at most so many pixels, but at least one."""
    if window.height * window.width <= max(1, pixels):
        yield window
    else:
        for half in window.halves():
            yield from cut(half, pixels)
