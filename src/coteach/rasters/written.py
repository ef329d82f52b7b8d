"""Whether a GeoTIFF that was just written is all there: of what fails when it closes a file, GDAL tells nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

from coteach.rasters.dataset import GDAL_ERRORS, block_extent, without
from coteach.rasters.packed_mask import PackedMask


def check_written(path: Path, mask: PackedMask | None = None) -> None:
    """Look for blocks that are missing or end behind the file; their values are not looked at.

    Args:
        path: a GeoTIFF whose blocks each hold all bands.
        mask: its internal mask, which is compared.

    Raises:
        OSError: it is not all there: the disk is full, or broken.
    """
    size = path.stat().st_size
    try:
        with without(NotGeoreferencedWarning), rasterio.open(path) as dataset:
            whole = _ends(dataset, size) and (mask is None or mask.is_of(dataset))
    except GDAL_ERRORS:
        whole = False
    if not whole:
        raise OSError("the disk has not taken all of it")


def _ends(dataset: DatasetReader, size: int) -> bool:
    height, width = dataset.block_shapes[0]
    for row, col in np.ndindex(-(-dataset.height // height), -(-dataset.width // width)):
        place, length = block_extent(dataset, row, col)
        if length == 0 or place + length > size:
            return False
    return True
