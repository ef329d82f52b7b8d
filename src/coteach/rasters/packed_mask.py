"""Where a raster has data, one bit a pixel, to be written when all of its values are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import Bool
from rasterio.io import DatasetReader

from coteach.rasters.grid import Window

_SQUARE, _ROWS = 64 * 256, 256  # pixels: side of a square of blocks in GDAL's cache, and rows of a block


class PackedMask:
    """A mask that is filled part by part.

    Written beside the values, the mask would come to lie in the file wherever GDAL finds the time, which compresses
    and keeps blocks back; written afterwards it lies in the same place every time.

    Args:
        height: rows.
        width: columns.
    """

    def __init__(self, height: int, width: int) -> None:
        self._width = width
        self._bits = np.zeros((height, -(-width // 8)), np.uint8)

    def put(self, window: Window, valid: Bool[np.ndarray, "h w"]) -> None:
        """Note where a part has data; its first column is a multiple of 8."""
        packed = np.packbits(valid, axis=1)
        Window(window.row_off, window.col_off // 8, *packed.shape).cut(self._bits)[:] = packed

    def write(self, path: Path) -> None:
        """Make it the internal mask of a finished GeoTIFF."""
        with rasterio.open(path, "r+") as dataset:
            for window in self._as_cached():
                dataset.write_mask(self._part(window), window=window.for_gdal())

    def is_of(self, dataset: DatasetReader) -> bool:
        """Whether an open raster has this mask."""
        return all(
            np.array_equal(dataset.read_masks(1, window=window.for_gdal()) > 0, self._part(window))
            for window in self._as_cached()
        )

    def _part(self, window: Window) -> Bool[np.ndarray, "h w"]:
        byte = Window(window.row_off, window.col_off // 8, window.height, -(-window.width // 8))
        return np.unpackbits(byte.cut(self._bits), axis=1, count=window.width).view(np.bool_)

    def _as_cached(self) -> Iterator[Window]:
        """Rows of blocks, in the order in which GDAL's cache lists the blocks of a band."""
        height = len(self._bits)
        for top in range(0, height, _SQUARE):
            for left in range(0, self._width, _SQUARE):
                for row in range(top, min(top + _SQUARE, height), _ROWS):
                    yield Window(row, left, min(_ROWS, height - row), min(_SQUARE, self._width - left))
