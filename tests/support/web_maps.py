"""MBTiles files for tests, written by GDAL's own driver."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from rasterio import Affine
from rasterio.io import DatasetReader
from rasterio.warp import Resampling, reproject, transform_bounds

WEB = "EPSG:3857"
TOP_ZOOM = 2 * 20037508.342789244 / 256  # metres of a pixel at zoom 0


def write_mbtiles(path: Path, rgba: np.ndarray, *, zoom: int, tile: tuple[int, int], overviews=()) -> Path:
    """``(4, h, w)`` uint8 from the upper left corner of a tile (x, y) of a zoom level, pixel by pixel."""
    size = TOP_ZOOM / 2**zoom
    left, top = (-TOP_ZOOM * 128 + tile[0] * 256 * size, TOP_ZOOM * 128 - tile[1] * 256 * size)
    return _stored(path, rgba, Affine(size, 0, left, 0, -size, top), overviews)


def web_map_of(source: DatasetReader, path: Path, bands=(1, 2, 3)) -> Path:
    """Bands of an open raster as RGB tiles; transparent where it has no data."""
    transform, height, width = grid_over(source, WEB, 35)
    values = source.read(list(bands))
    seen = (source.dataset_mask() > 0).astype(np.uint8) * 255
    rgba = np.zeros((4, height, width), np.uint8)
    reproject(
        np.concatenate([values.clip(0, 255).astype(np.uint8), seen[None]]),
        rgba,
        src_crs=source.crs,
        src_transform=source.transform,
        dst_crs=WEB,
        dst_transform=transform,
        resampling=Resampling.nearest,
    )
    return _stored(path, rgba, transform)


def grid_over(source: DatasetReader, crs: str, size: float) -> tuple[Affine, int, int]:
    """Geotransform, rows and columns of a grid of another CRS that covers a raster."""
    left, bottom, right, top = transform_bounds(source.crs, crs, *source.bounds)
    return (
        Affine(size, 0, left, 0, -size, top),
        int((top - bottom) / size) + 1,
        int((right - left) / size) + 1,
    )


def _stored(path: Path, rgba: np.ndarray, transform: Affine, overviews=()) -> Path:
    with rasterio.MemoryFile() as memory:
        profile = {"driver": "GTiff", "count": 4, "height": rgba.shape[1], "width": rgba.shape[2]}
        with memory.open(
            **profile, dtype="uint8", crs=WEB, transform=transform, photometric="RGB", alpha="YES"
        ) as file:
            file.write(rgba)
        rasterio.shutil.copy(
            memory.name, path, driver="MBTiles", TILE_FORMAT="PNG", ZOOM_LEVEL_STRATEGY="AUTO"
        )
    if overviews:
        with rasterio.open(path, "r+") as file:
            file.build_overviews(list(overviews), Resampling.average)
    return path
