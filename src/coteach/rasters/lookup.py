"""In which pixels places lie: to the integer what the projection says, but asked at few of the places.

Between two CRSs a position (row, column) on the other grid is a function of the position on this one that bends
little. It is computed on a lattice and interpolated in between. Along an axis, linear interpolation between points
``h`` apart errs by at most ``h² max|f''| / 8``, bilinear interpolation by the sum over the two axes; ``h² f''`` is
the second difference of neighbouring points. The sum of the largest second differences at a cell's corners is
therefore eight times what the error is where ``f''`` is even, and at least twice what a kink within the cell
leads to. A pixel whose interpolated position is farther than this from an edge lies in the pixel that is told; the
others are computed one by one. Where a projection ends or jumps, as at the antimeridian, the second differences
are as large as the jump or no numbers, on either side of it: there, every pixel is computed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64, Int64

from coteach.rasters.dataset import GDAL_ERRORS

Places = Callable[
    [Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"]],
    tuple[Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"]],
]

_TIE = 1e-6  # pixels; a centre this near an edge lies on it, and belongs to the pixel after the edge
_LIMIT = 2.0**31  # no raster is larger; infinity, where a projection ends, has no integer
_STEPS = (64, 32, 16, 8, 4)  # pixels between the points of a lattice
_NOISE = 1e-3  # pixels; above what the iterations within a projection leave undecided


def pixels_at(
    rows: Float64[np.ndarray, "*shape"], cols: Float64[np.ndarray, "*shape"]
) -> tuple[Int64[np.ndarray, "*shape"], Int64[np.ndarray, "*shape"]]:
    """Rows and columns of the pixels that hold these places; -1 for a place that is nowhere."""
    return holding(rows), holding(cols)


def holding(places: Float64[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
    """The rows, or columns, that hold these places; -1 for one that is nowhere."""
    held: Float64[np.ndarray, "*shape"] = np.nan_to_num(np.floor(places + _TIE), nan=-1.0)
    return held.clip(-_LIMIT, _LIMIT).astype(np.int64)


def pixels_under(
    places: Places, rows: Float64[np.ndarray, " h"], cols: Float64[np.ndarray, " w"]
) -> tuple[Int64[np.ndarray, "h w"], Int64[np.ndarray, "h w"]]:
    """``pixels_at(*places(...))`` of all pairs of these rows and columns, as the module's text tells.

    Args:
        places: where places lie on the other grid; what it says of one does not depend on the others.
        rows: centres of rows, 1 apart.
        cols: centres of columns, 1 apart.

    Returns:
        ``(h, w)`` rows and columns.

    Raises:
        RasterioError, CPLE_BaseError: ``places`` has none for one of these.
    """
    for step in _STEPS:
        try:
            lattices = [_Lattice(values, step) for values in places(*_points(rows, cols, step))]
        except GDAL_ERRORS:  # it is the pixels that must have a place, not the lattice, which reaches farther
            break
        share = np.mean(np.minimum(2 * (lattices[0].bounds + lattices[1].bounds), 1))
        if share <= 4 * _NOISE + 8 / step**2:  # else a finer lattice costs less than it saves
            return _interpolated(places, rows, cols, lattices, step)
    return pixels_at(*places(*np.meshgrid(rows, cols, indexing="ij")))


def _points(
    rows: Float64[np.ndarray, " h"], cols: Float64[np.ndarray, " w"], step: int
) -> tuple[Float64[np.ndarray, "n m"], Float64[np.ndarray, "n m"]]:
    """A lattice that covers the pixels, and one cell more on each side."""
    down, right = (axis[0] + step * np.arange(-1.0, -(-len(axis) // step) + 2) for axis in (rows, cols))
    down, right = np.meshgrid(down, right, indexing="ij")
    return down, right


class _Lattice:
    """Rows, or columns, on the other grid at the points of a lattice.

    Args:
        values: ``(n + 3, m + 3)`` of n by m cells and a margin of one cell.
        step: pixels along a cell's side.

    Attributes:
        bounds: ``(n, m)`` of each cell, how far off interpolation may be; at most 1, which settles no pixel.
    """

    def __init__(self, values: Float64[np.ndarray, "_ _"], step: int) -> None:
        self._step = step
        self._values = values[1:-1, 1:-1] + _TIE
        with np.errstate(invalid="ignore"):
            bends = _corners(np.abs(np.diff(values, 2, 0))[:, 1:-1]) + _corners(
                np.abs(np.diff(values, 2, 1))[1:-1]
            )
            self.bounds = np.nan_to_num(bends + _NOISE, nan=1.0).clip(max=1.0)
            self.bounds[_corners(np.abs(self._values)) > _LIMIT / 2] = 1

    def settle(self, band: int, pixels: Int64[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
        """Fill in the pixels of one row of cells; returns where that is certain."""
        height, width = pixels.shape
        upper, lower = self._values[band], self._values[band + 1]
        ramp = np.arange(self._step) / self._step
        with np.errstate(invalid="ignore"):
            lines = upper + ramp[:height, None] * (lower - upper)
            places = np.diff(lines)[:, :, None] * ramp
            places += lines[:, :-1, None]
            held = np.floor(places)
            places -= held
            places -= 0.5
            certain = np.abs(places, out=places) < (0.5 - self.bounds[band])[:, None]
            pixels[:] = held.reshape(height, -1)[:, :width]  # of what is not certain, any number
        settled: Bool[np.ndarray, "h w"] = certain.reshape(height, -1)[:, :width]
        return settled


def _corners(values: Float64[np.ndarray, "_ _"]) -> Float64[np.ndarray, "_ _"]:
    """The largest of the four corners of each cell; NaN if one is."""
    lines = np.maximum(values[1:], values[:-1])
    largest: Float64[np.ndarray, "_ _"] = np.maximum(lines[:, 1:], lines[:, :-1])
    return largest


def _interpolated(
    places: Places,
    rows: Float64[np.ndarray, " h"],
    cols: Float64[np.ndarray, " w"],
    lattices: list[_Lattice],
    step: int,
) -> tuple[Int64[np.ndarray, "h w"], Int64[np.ndarray, "h w"]]:
    pixels = np.empty((2, len(rows), len(cols)), np.int64)
    doubtful = []
    for band, top in enumerate(range(0, len(rows), step)):
        certain = [
            lattice.settle(band, axis[top : top + step])
            for lattice, axis in zip(lattices, pixels, strict=True)
        ]
        down, right = np.nonzero(~(certain[0] & certain[1]))
        doubtful.append((down + top, right))
    down, right = map(np.concatenate, zip(*doubtful, strict=True))
    if down.size:
        pixels[:, down, right] = np.concatenate(pixels_at(*places(rows[None, down], cols[None, right])))
    return pixels[0], pixels[1]
