"""Exact Euclidean distances to marked pixels, of a whole array or strip by strip.

The squared distance separates (Meijster et al., 2000): down each column to the nearest mark, then along each row
``min over x' of g(x')² + (x - x')²``. All of it is whole numbers, so that parts give what the whole gives.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped, UInt
from scipy.spatial import KDTree

from coteach.labels.patterns import unsigned

_CACHED = 1 << 16  # pixels worked on at once: what stays near the processor
_NEAR = 512  # pixels; marks further away are found by a tree, which takes longer a pixel but not longer the further
_ASKED = 1 << 20  # pixels the tree is asked of at once
_EXACT = 1 << 24  # float32 holds smaller whole numbers


def squared_distance(marks: Bool[np.ndarray, "h w"], limit: int) -> UInt[np.ndarray, "h w"]:
    """Squared distance to the nearest mark, exact up to a limit.

    Args:
        marks: the pixels that have distance 0.
        limit: L in pixels, at least 0.

    Returns:
        ``(h, w)`` whole numbers, exact where at most L²; elsewhere some number above L².
    """
    beyond = limit + 1
    dtype = unsigned(beyond**2 + limit**2)
    along = np.where(marks, 0, beyond).astype(dtype)
    _scan(along)
    _scan(along[::-1])
    return _row_minima(along * along, limit)


def root(squared: UInt[np.ndarray, "*pixels"]) -> Float32[np.ndarray, "*pixels"]:
    """The distance of a squared one, rounded once."""
    exact = np.float32 if squared.dtype.itemsize < 3 or int(squared.max(initial=0)) < _EXACT else np.float64
    roots: Float32[np.ndarray, "*pixels"] = np.sqrt(squared.astype(exact)).astype(np.float32)
    return roots


class MarkedRaster:
    """Marks of a raster that is seen in parts, one bit a pixel; gives exact distances strip by strip.

    Args:
        height: rows.
        width: columns.
    """

    def __init__(self, height: int, width: int) -> None:
        self._shape = (height, width)
        self._bits = np.zeros((height, -(-width // 8)), np.uint8)
        # a distance that no pixel has: what a column without marks has
        self._far = height + width
        self._dtype = unsigned(self._far**2 + width**2)
        self._above: dict[int, Int64[np.ndarray, " w"]] = {}
        self._below: dict[int, Int64[np.ndarray, " w"]] = {}

    def mark(self, row: int, col: int, marks: Bool[np.ndarray, "h w"]) -> None:
        """Note the marks of a part whose first pixel is at ``row`` and ``col``; the latter is a multiple of 8."""
        packed = np.packbits(marks, axis=1)
        self._bits[row : row + packed.shape[0], col // 8 : col // 8 + packed.shape[1]] = packed

    def any(self) -> bool:
        """Whether there is a mark at all."""
        return bool(self._bits.any())

    def cut(self, strip_height: int) -> list[slice]:
        """Cut into strips of rows, when all marks are there; :meth:`squared_distance` is asked for these."""
        height, width = self._shape
        strips = [slice(row, min(row + strip_height, height)) for row in range(0, height, strip_height)]
        last, first = np.full(width, -self._far), np.full(width, height + self._far)
        for strip in strips:
            self._above[strip.start] = last
            marks = self._marks(strip)
            last = np.where(marks.any(axis=0), strip.stop - 1 - marks[::-1].argmax(axis=0), last)
        for strip in reversed(strips):
            self._below[strip.start] = first
            marks = self._marks(strip)
            first = np.where(marks.any(axis=0), strip.start + marks.argmax(axis=0), first)
        return strips

    def squared_distance(self, strip: slice) -> UInt[np.ndarray, "h w"]:
        """Squared distance of each pixel of a strip to the nearest mark of the raster, which has one."""
        marks = self._marks(strip)
        above, below = self._above[strip.start], self._below[strip.start]
        along = np.where(marks, 0, self._far).astype(self._dtype)
        along[0] = np.minimum(along[0], np.minimum(strip.start - above, self._far))
        along[-1] = np.minimum(along[-1], np.minimum(below - (strip.stop - 1), self._far))
        _scan(along)
        _scan(along[::-1])
        squared = _row_minima(along * along, _NEAR)
        far = np.flatnonzero(squared > _NEAR**2)
        if far.size:
            _ask_tree(squared, far, _points(marks, above - strip.start, below - strip.start, self._far))
        return squared

    def _marks(self, strip: slice) -> Bool[np.ndarray, "h w"]:
        bits = np.unpackbits(self._bits[strip], axis=1, count=self._shape[1])
        return bits.view(np.bool_)


def _scan(along: UInt[np.ndarray, "h w"]) -> None:
    """A row is at most one further from a mark than the row before it."""
    for before, row in pairwise(along):
        np.minimum(row, before + 1, out=row)


def _row_minima(squared: UInt[np.ndarray, "h w"], limit: int) -> UInt[np.ndarray, "h w"]:
    """Minimum over x', at most ``limit`` away, of ``squared(x') + (x - x')²``."""
    height, width = squared.shape
    limit = min(limit, width - 1)
    rows = max(1, _CACHED // width)
    result = squared.copy()
    top = np.iinfo(squared.dtype).max - squared.dtype.type(limit * limit)
    around = np.full((rows, width + 2 * limit), top, squared.dtype)
    for row in range(0, height, rows):
        part = result[row : row + rows]
        padded = around[: len(part)]
        padded[:, limit : limit + width] = part
        for step in range(1, limit + 1):
            if step % 8 == 1 and step * step >= part.max():
                break
            nearest = np.minimum(
                padded[:, limit - step : limit - step + width], padded[:, limit + step : limit + step + width]
            )
            nearest += squared.dtype.type(step * step)
            np.minimum(part, nearest, out=part)
    return result


def _points(
    marks: Bool[np.ndarray, "h w"], above: Int64[np.ndarray, " w"], below: Int64[np.ndarray, " w"], far: int
) -> Int64[np.ndarray, "n 2"]:
    """Row and column of all marks in a strip, and in each column of the nearest above and below it."""
    cols = np.arange(len(above))
    points = [np.argwhere(marks)]
    for rows in (above, below):
        there = np.abs(rows) < far
        points.append(np.stack([rows[there], cols[there]], axis=1))
    return np.concatenate(points)


def _ask_tree(
    squared: UInt[np.ndarray, "h w"], pixels: Int64[np.ndarray, " n"], points: Int64[np.ndarray, "m 2"]
) -> None:
    """Set the squared distance of some pixels, given by their place in the array, to the nearest of the points."""
    tree = KDTree(points)
    flat: Shaped[np.ndarray, " pixels"] = squared.reshape(-1)
    for start in range(0, len(pixels), _ASKED):
        asked = pixels[start : start + _ASKED]
        places = np.stack(np.divmod(asked, squared.shape[1]), axis=1)
        nearest = points[tree.query(places)[1]]
        flat[asked] = np.square(nearest - places).sum(axis=1)
