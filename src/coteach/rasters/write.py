"""Write GeoTIFFs: tiled, compressed, and whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import Bool, Shaped

from coteach.errors import RasterError
from coteach.rasters.dataset import GDAL_ERRORS, GDAL_OPTIONS, reason
from coteach.rasters.grid import Grid, Window

_BLOCK = 256


def write_raster(
    path: Path,
    array: Shaped[np.ndarray, "*bands h w"],
    grid: Grid,
    *,
    nodata: float | None = None,
    valid: Bool[np.ndarray, "h w"] | None = None,
    tags: Mapping[str, str] | None = None,
    descriptions: Sequence[str] | None = None,
) -> None:
    """Write a GeoTIFF; the same content gives the same bytes. An old file is replaced when the new one is whole.

    Args:
        path: the file; its folder is made if it is not there.
        array: ``(bands, h, w)``, or ``(h, w)`` for one band; of a dtype that GeoTIFF has.
        grid: of the same height and width.
        nodata: declared as NoData.
        valid: written as the file's internal mask.
        tags: name -> text.
        descriptions: the bands' names.

    Raises:
        RasterError: the array does not fit the grid, or the file cannot be written.
    """
    bands = array if array.ndim == 3 else array[None]
    if bands.shape[1:] != (grid.height, grid.width):
        cause = f"an array of {bands.shape[1:]} pixels does not fit a grid of {(grid.height, grid.width)}"
        raise RasterError(str(path), cause, "give an array of the grid's size")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with rasterio.Env(**GDAL_OPTIONS):
            _write(partial, bands, grid, nodata, valid, tags, descriptions)
        partial.replace(path)
    except GDAL_ERRORS as error:
        remedy = "free space there, or choose a folder that can be written"
        raise RasterError(str(path), f"cannot be written ({reason(error)})", remedy) from error
    finally:
        partial.unlink(missing_ok=True)


def _write(
    path: Path,
    bands: Shaped[np.ndarray, "bands h w"],
    grid: Grid,
    nodata: float | None,
    valid: Bool[np.ndarray, "h w"] | None,
    tags: Mapping[str, str] | None,
    descriptions: Sequence[str] | None,
) -> None:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=len(bands),
        height=grid.height,
        width=grid.width,
        dtype=bands.dtype,
        crs=grid.crs,
        transform=grid.transform,
        nodata=nodata,
        tiled=True,
        blockxsize=_BLOCK,
        blockysize=_BLOCK,
        compress="deflate",
        predictor=3 if bands.dtype.kind == "f" else 2,
        bigtiff="if_safer",
    ) as dataset:
        dataset.update_tags(**(tags or {}))
        for number, description in enumerate(descriptions or (), start=1):
            dataset.set_band_description(number, description)
        # all bands of a row of blocks at once: a block holds all bands, and is to be compressed once
        for row in range(0, grid.height, _BLOCK):
            strip = slice(row, min(row + _BLOCK, grid.height))
            window = Window(row, 0, strip.stop - row, grid.width).for_gdal()
            dataset.write(bands[:, strip], window=window)
            if valid is not None:
                dataset.write_mask(valid[strip], window=window)
