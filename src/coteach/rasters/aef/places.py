"""Where an image lies: on earth, and on another raster's grid."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from rasterio import Affine, warp
from rasterio.crs import CRS

from coteach.rasters.dataset import GDAL_ERRORS
from coteach.rasters.grid import Grid, Window

MARGIN = 2  # pixels around an image; one would do, the other is for edges that bend between two points
_POINTS = 33  # along an axis
_LON_LAT = CRS.from_epsg(4326)


class Box(NamedTuple):
    """Degrees; west is greater than east where it crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float


def lon_lat_box(image: Grid) -> Box:
    """The box around an image.

    Raises:
        RasterioError, CPLE_BaseError: its CRS has no place on earth there.
    """
    corners = [image.transform @ corner for corner in _corners(image)]
    xs, ys = zip(*corners, strict=True)
    return Box(*warp.transform_bounds(image.crs, _LON_LAT, min(xs), min(ys), max(xs), max(ys)))


def lon_lat_centre(image: Grid) -> tuple[float, float]:
    """Longitude and latitude of an image's centre, in degrees.

    Raises:
        RasterioError, CPLE_BaseError: its CRS has no place on earth there.
    """
    x, y = image.transform @ (image.width / 2, image.height / 2)
    lons, lats = warp.transform(image.crs, _LON_LAT, [x], [y])[:2]
    return lons[0], lats[0]


def laid_on(image: Grid, other: Grid) -> tuple[Window, float] | None:
    """The part of another grid that an image needs.

    Args:
        image: its grid.
        other: the grid to cut from.

    Returns:
        The window around the image, with a margin, which may reach beyond ``other``; and the share of the image that
        ``other`` covers. None if that is none of it.
    """
    rows, cols = np.meshgrid(
        *(np.linspace(0, n, _POINTS) for n in (image.height, image.width)), indexing="ij"
    )
    try:
        ys, xs = image.places_on(other, rows, cols)
    except GDAL_ERRORS:  # its CRS does not reach there
        return None
    there = np.isfinite(ys) & np.isfinite(xs)
    inside = there & (ys > 0) & (ys < other.height) & (xs > 0) & (xs < other.width)
    if not there.any():
        return None
    ys, xs = ys[there], xs[there]
    if ys.max() <= 0 or ys.min() >= other.height or xs.max() <= 0 or xs.min() >= other.width:
        return None
    (row, bottom), (col, right) = _span(ys), _span(xs)
    return Window(row, col, bottom - row, right - col), float(inside.mean())


def clipped(window: Window, frame: Window) -> Window | None:
    """The part of a window that lies in another; None if there is none."""
    row, col = max(window.row_off, frame.row_off), max(window.col_off, frame.col_off)
    bottom = min(window.row_off + window.height, frame.row_off + frame.height)
    right = min(window.col_off + window.width, frame.col_off + frame.width)
    return Window(row, col, bottom - row, right - col) if bottom > row and right > col else None


def around(windows: list[Window]) -> Window:
    """The smallest window that holds all of them."""
    row, col = min(w.row_off for w in windows), min(w.col_off for w in windows)
    bottom = max(w.row_off + w.height for w in windows)
    right = max(w.col_off + w.width for w in windows)
    return Window(row, col, bottom - row, right - col)


def north_up(grid: Grid) -> Grid:
    """The same pixels, rows from north to south; a rotated grid stays as it is."""
    if not is_south_up(grid):
        return grid
    return Grid(
        grid.crs,
        grid.transform @ Affine.translation(0, grid.height) @ Affine.scale(1, -1),
        grid.height,
        grid.width,
    )


def is_south_up(grid: Grid) -> bool:
    """Whether the first row is the southernmost one."""
    return bool(grid.transform.b == grid.transform.d == 0 and grid.transform.e > 0)


def shift(first: Grid, other: Grid) -> tuple[int, int] | None:
    """Rows and columns from one grid's corner to the other's; None if their pixels are not the same lattice."""
    if first.crs != other.crs:
        return None
    a, b, col, d, e, row = tuple(~first.transform @ other.transform)[:6]
    same = all(math.isclose(n, m, abs_tol=1e-6) for n, m in zip((a, b, d, e), (1, 0, 0, 1), strict=True))
    whole = abs(col - round(col)) < 1e-3 and abs(row - round(row)) < 1e-3
    return (round(row), round(col)) if same and whole else None


def _corners(image: Grid) -> list[tuple[float, float]]:
    return [(col, row) for col in (0, image.width) for row in (0, image.height)]


def _span(places: Float64[np.ndarray, " n"]) -> tuple[int, int]:
    return math.floor(places.min()) - MARGIN, math.ceil(places.max()) + MARGIN
