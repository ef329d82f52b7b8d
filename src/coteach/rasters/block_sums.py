"""The checksums of a GeoTIFF's compressed blocks: GDAL has the pixels before it is at them, and may not look at them."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from rasterio.enums import Compression
from rasterio.io import DatasetReader

from coteach.errors import RasterError
from coteach.rasters.dataset import block_extent
from coteach.rasters.grid import Window

_PIECE = 1 << 20  # bytes decompressed at once


class BlockSums:
    """Checks the blocks of one band, each once; of a file that is not compressed by Deflate there are no checksums.

    Args:
        path: the file.
        dataset: the same, open.
    """

    def __init__(self, path: Path, dataset: DatasetReader) -> None:
        self._path = path
        self._dataset = dataset
        self._height, self._width = dataset.block_shapes[0]
        self._summed = dataset.driver == "GTiff" and dataset.compression == Compression.deflate
        shape = -(-dataset.height // self._height), -(-dataset.width // self._width)
        self._seen = np.zeros(shape if self._summed else (0, 0), np.bool_)

    def check(self, part: Window) -> None:
        """Check the blocks that a window of the raster, not empty, needs.

        Raises:
            RasterError: one of them is damaged.
        """
        if not self._summed:
            return
        top, left = part.row_off // self._height, part.col_off // self._width
        below = (part.row_off + part.height - 1) // self._height + 1
        right = (part.col_off + part.width - 1) // self._width + 1
        unseen = np.argwhere(~self._seen[top:below, left:right]) + np.array([top, left])
        if not unseen.size:
            return
        with self._path.open("rb") as stream:
            for row, col in unseen.tolist():
                place, size = block_extent(self._dataset, row, col)
                stream.seek(place)
                if size and not _is_whole(stream.read(size)):
                    cause = f"is damaged: the pixels from row {row * self._height}, column {col * self._width} on do "
                    raise RasterError(
                        str(self._path), f"{cause}not match their checksum", "copy or download it again"
                    )
        self._seen[top:below, left:right] = True


def _is_whole(block: bytes) -> bool:
    """Whether a zlib stream ends, and as its checksum says."""
    stream = zlib.decompressobj()
    try:
        while block and not stream.eof:
            stream.decompress(block, _PIECE)
            block = stream.unconsumed_tail
    except zlib.error:
        return False
    return stream.eof
