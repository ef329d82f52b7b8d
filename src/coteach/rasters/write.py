"""Write GeoTIFFs: tiled, compressed, and whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import Bool, Shaped
from rasterio import Affine
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetWriter
from rasterio.shutil import copy

from coteach.errors import OptionError, RasterError
from coteach.files import partial_path, room_for
from coteach.rasters.dataset import GDAL_ERRORS, GDAL_OPTIONS, reason, without
from coteach.rasters.grid import Grid, Window
from coteach.rasters.packed_mask import PackedMask
from coteach.rasters.written import check_written

BLOCK = 256  # pixels; side of the tiles of a file


@dataclass(frozen=True, slots=True)
class RasterLayout:
    """What has to be known of a file before it is written.

    Args:
        grid: where its pixels lie.
        bands: how many.
        dtype: one that GeoTIFF has, as ``float32``.
        nodata: declared as NoData.
        predictor: of the compression: 1 none, 2 differences, which suit few distinct values, 3 those of floats, which
            suit measurements.
        scales: of each band: what a stored 1 means; empty for 1.
        cog: whether it becomes a Cloud Optimised GeoTIFF, with overviews.
        threads: that compress.
    """

    grid: Grid
    bands: int
    dtype: str
    nodata: float | None = None
    predictor: int | None = None
    scales: tuple[float, ...] = ()
    cog: bool = False
    threads: int = 1


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
    layout = RasterLayout(grid, len(bands), str(bands.dtype), nodata)
    mask = None if valid is None else PackedMask(grid.height, grid.width)
    if mask is not None and valid is not None:
        mask.put(Window(0, 0, grid.height, grid.width), valid)
    with raster_writer(path, layout, tags=tags, descriptions=descriptions, mask=mask) as dataset:
        # all bands of a row of blocks at once: a block holds all bands, and is to be compressed once
        for row in range(0, grid.height, BLOCK):
            strip = slice(row, min(row + BLOCK, grid.height))
            window = Window(row, 0, strip.stop - row, grid.width).for_gdal()
            dataset.write(bands[:, strip], window=window)


@contextmanager
def raster_writer(
    path: Path,
    layout: RasterLayout,
    *,
    tags: Mapping[str, str] | None = None,
    descriptions: Sequence[str] | None = None,
    colors: Mapping[int, tuple[int, int, int, int]] | None = None,
    mask: PackedMask | None = None,
) -> Iterator[DatasetWriter]:
    """A GeoTIFF to be written part by part; it gets its name when the block ends without an error.

    Args:
        path: the file; its folder is made if it is not there.
        layout: of the file.
        tags: name -> text.
        descriptions: the bands' names.
        colors: colour table of the only band; code -> red, green, blue, alpha.
        mask: becomes the file's internal mask, as it is when the block ends.

    Raises:
        RasterError: the file cannot be written.
    """
    partial = partial_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with rasterio.Env(**GDAL_OPTIONS):
            with _created(partial, layout) as dataset:
                dataset.update_tags(**(tags or {}))
                for number, description in enumerate(descriptions or (), start=1):
                    dataset.set_band_description(number, description)
                if colors is not None:
                    dataset.write_colormap(1, colors)
                if layout.scales:
                    dataset.scales = layout.scales
                yield dataset
            if mask is not None:
                mask.write(partial)
            if layout.cog:
                _to_cog(partial, path, layout)
            check_written(partial, mask)
        partial.replace(path)
    except GDAL_ERRORS as error:
        remedy = "free space there, or choose a folder that can be written"
        cause = f"cannot be written ({reason(error)}{_want_of_space(partial, layout)})"
        raise RasterError(str(path), cause, remedy) from error
    finally:
        partial.unlink(missing_ok=True)


def _want_of_space(partial: Path, layout: RasterLayout) -> str:
    """What GDAL does not tell: whether the disk may have been full. There may be room again by now, by what others left."""
    grid, pixel = layout.grid, layout.bands * np.dtype(layout.dtype).itemsize
    needed, room = grid.height * grid.width * pixel, room_for(partial) if partial.parent.exists() else 0
    if room < needed:
        return f"; up to {needed:,} bytes are needed, there is room for {room:,}"
    return (
        f"; about {needed:,} bytes are needed" if partial.exists() else ""
    )  # it could be made, but not filled


def _created(path: Path, layout: RasterLayout) -> DatasetWriter:
    grid = layout.grid
    # an image without a place on earth has this transform, which as its map's own would be taken for south-up
    transform = None if grid.transform == Affine.identity() else grid.transform
    with without(NotGeoreferencedWarning):
        return rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=layout.bands,
            height=grid.height,
            width=grid.width,
            dtype=layout.dtype,
            crs=grid.crs,
            transform=transform,
            nodata=layout.nodata,
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            num_threads=layout.threads,
            photometric="minisblack",  # three or four bands of 8 bits are no picture
            **_compression(layout),
        )


def _compression(layout: RasterLayout) -> dict[str, object]:
    predictor = layout.predictor or (3 if layout.dtype.startswith("float") else 2)
    return {"compress": "deflate", "predictor": predictor, "bigtiff": "if_safer"}


def _to_cog(partial: Path, path: Path, layout: RasterLayout) -> None:
    """Give a GeoTIFF that will be ``path`` the order of a Cloud Optimised one, and overviews."""
    ordered = partial_path(path)  # of the path: a temporary name of a temporary name may be too long
    try:
        copy(
            partial,
            ordered,
            driver="COG",
            blocksize=BLOCK,
            overview_resampling="average",
            num_threads=layout.threads,
            **_compression(layout),
        )
        ordered.replace(partial)
    finally:
        ordered.unlink(missing_ok=True)


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """What fails while tables or folders are made in an output folder is an error of that option.

    Raises:
        OptionError: the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        cause = f"cannot be written ({error})"
        raise OptionError(f"output_dir {folder}", cause, "choose a folder that can be written") from error
