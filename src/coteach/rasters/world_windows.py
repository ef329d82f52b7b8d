"""The window of a raster that a box in world coordinates covers."""

from __future__ import annotations

from rasterio import warp
from rasterio.crs import CRS
from rasterio.errors import CRSError

from coteach.errors import TableError
from coteach.rasters.dataset import GDAL_ERRORS, reason
from coteach.rasters.grid import Grid, Window

_DENSE = 21  # points along each side of a box that is brought into another CRS
_TIE = 1e-6  # pixels; an edge this near the middle of a pixel counts as on it

Bounds = tuple[float, float, float, float]


def world_window(grid: Grid, bounds: Bounds, crs: str | None, where: str) -> Window:
    """The whole pixels nearest to a box: its size is rounded, and then its upper left corner.

    Args:
        grid: of the raster.
        bounds: least x, least y, greatest x, greatest y.
        crs: of the bounds, as ``EPSG:4326``; None is the raster's own.
        where: who asks, for errors.

    Returns:
        A window within the raster; where rounding leads out of it by a pixel, it is shifted inward.

    Raises:
        TableError: the box is empty, of an unknown CRS, or not within the raster.
    """
    left, bottom, right, top = _own(grid, bounds, crs, where)
    if not (left < right and bottom < top):
        raise TableError(where, f"the box {_shown(bounds)} is empty", "give minx < maxx and miny < maxy")
    corners = [~grid.transform @ (x, y) for x in (left, right) for y in (bottom, top)]
    start_col, start_row = (min(axis) for axis in zip(*corners, strict=True))
    end_col, end_row = (max(axis) for axis in zip(*corners, strict=True))
    row_off, height = _pixels(start_row, end_row, grid.height)
    col_off, width = _pixels(start_col, end_col, grid.width)
    window = Window(row_off, col_off, height, width)
    if min(row_off, col_off) < 0 or row_off + height > grid.height or col_off + width > grid.width:
        size = f"{grid.height} x {grid.width}"
        cause = f"the box {_shown(bounds)} leaves the tile of {size} pixels: it covers {_extent(window)}"
        raise TableError(where, cause, "give boxes within the tile's image, in the CRS that is named")
    return window


def _own(grid: Grid, bounds: Bounds, crs: str | None, where: str) -> Bounds:
    """The bounds in the raster's CRS."""
    if crs is None:
        return bounds
    try:
        given = CRS.from_user_input(crs)
        own: Bounds = bounds
        if given != grid.crs:
            own = warp.transform_bounds(given, grid.crs, *bounds, densify_pts=_DENSE)
    except (CRSError, ValueError) as error:  # the latter of an EPSG code that is no number
        raise TableError(where, f"crs is {crs!r} ({reason(error)})", "give one as EPSG:4326") from error
    except GDAL_ERRORS as error:
        cause = f"the box {_shown(bounds)} has no place in the tile's CRS ({reason(error)})"
        raise TableError(where, cause, "correct the box or its crs") from error
    return own


def _pixels(start: float, end: float, extent: int) -> tuple[int, int]:
    """Start and length of the nearest whole pixels; shifted by one where only rounding leads out."""
    length = max(1, round(end - start - _TIE))
    first = round(start - _TIE)
    if first == -1 and start > -1 + _TIE:
        first = 0
    if first + length == extent + 1 and end < extent + 1 - _TIE:
        first -= 1
    return first, length


def _extent(window: Window) -> str:
    row, col, height, width = window
    return f"rows {row} to {row + height} and columns {col} to {col + width}"


def _shown(bounds: Bounds) -> str:
    return ", ".join(f"{value:.12g}" for value in bounds)
