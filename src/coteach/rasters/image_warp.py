"""See an image from another raster's grid, whatever CRS and resolution it has: tiles of a web map from a mask.

Values are mixed by GDAL, within :data:`TOLERANCE` of the exact place. What a pixel becomes does not depend on the
window that asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import Bool, Float32
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT

from coteach.errors import OptionError, RasterError
from coteach.rasters.dataset import GDAL_OPTIONS, check_whole, opened, translated
from coteach.rasters.grid import Grid, Window
from coteach.rasters.handles import kept_open
from coteach.rasters.overlap import pixel_ratio

RESAMPLINGS = ("bilinear", "nearest")
TOLERANCE = 1e-3  # pixels of the image by which a place may be off; exact places cost four times as much
_ROUNDING = 1e-3


class WarpedImage:
    """An image that is read on other grids.

    Args:
        path: any raster that GDAL reads and that says where it lies, as an MBTiles file.
        bands: which of its bands, counted from 1.
        resampling: ``"bilinear"``: the four pixels around a pixel's centre by their nearness, or, where the image is
            finer, all under the pixel by the same tent; those without data do not count. ``"nearest"``: the pixel
            that holds the centre.

    Attributes:
        path: the file.
        grid: its grid.
        dtype: of its first band that is read.
        num_bands: how many are read.

    Raises:
        OptionError: there is no such resampling, or no band is asked for.
        RasterError: the file is missing, damaged, has no CRS or lacks a band.
    """

    def __init__(self, path: Path, bands: Sequence[int], resampling: str = "bilinear") -> None:
        if resampling not in RESAMPLINGS:
            remedy = f"choose {' or '.join(RESAMPLINGS)}"
            raise OptionError("image_resampling", f"there is no {resampling!r}", remedy)
        self.path = path
        self._bands = list(bands)
        self.num_bands = len(self._bands)
        self._resampling = Resampling[resampling]
        with opened(path) as dataset:
            self.grid = Grid.of_dataset(dataset)
            _check_bands(dataset, self._bands)
            check_whole(dataset)
            self.dtype: str = dataset.dtypes[self._bands[0] - 1]
            self._overviews: list[int] = dataset.overviews(self._bands[0])
            # else the warp would not tell what lies outside of the image
            self._add_alpha = ColorInterp.alpha not in dataset.colorinterp

    def read(
        self, grid: Grid, window: Window
    ) -> tuple[Float32[np.ndarray, "bands h w"], Bool[np.ndarray, "h w"]]:
        """The image on a part of a grid.

        Args:
            grid: of any CRS, resolution and orientation.
            window: the part; within the grid.

        Returns:
            ``(bands, h, w)`` values, in the image's units; and ``(h, w)``, False where it does not reach or has no data.

        Raises:
            RasterError: it is damaged there, or its CRS does not reach there.
        """
        part = window.for_gdal()
        with self._opened(grid) as dataset, self._warped(dataset, grid) as warped:
            values = warped.read(self._bands, window=part).astype(np.float32, copy=False)
            # not its mask: GDAL takes alpha for one only beside one or three bands
            alpha = warped.colorinterp.index(ColorInterp.alpha) + 1
            valid = warped.read(alpha, window=part) > 0
        return values, valid & np.isfinite(values).all(axis=0)

    def _warped(self, dataset: DatasetReader, grid: Grid) -> WarpedVRT:
        return WarpedVRT(
            dataset,
            crs=grid.crs,
            transform=grid.transform,
            height=grid.height,
            width=grid.width,
            resampling=self._resampling,
            tolerance=TOLERANCE,
            add_alpha=self._add_alpha,
        )

    @contextmanager
    def _opened(self, grid: Grid) -> Iterator[DatasetReader]:
        """The image, or the coarsest of its overviews whose pixels are not larger than those of a grid."""
        with translated(str(self.path)):
            most = (1 + _ROUNDING) / pixel_ratio(grid, self.grid)
        fitting = [level for level, factor in enumerate(self._overviews) if factor <= most]
        if not fitting or self._resampling is Resampling.nearest:
            with kept_open(self.path) as dataset:
                yield dataset
            return
        with (
            rasterio.Env(**GDAL_OPTIONS),
            translated(str(self.path)),
            rasterio.open(self.path, overview_level=fitting[-1]) as dataset,
        ):
            yield dataset


def _check_bands(dataset: DatasetReader, bands: Sequence[int]) -> None:
    """Refuse bands that are not there, or that say only where data is.

    Raises:
        OptionError: none is asked for.
        RasterError: it lacks one.
    """
    if not bands:
        raise OptionError("selected_bands", "is empty", "name at least one band, counted from 1")
    meanings = dict(zip(dataset.indexes, dataset.colorinterp, strict=True))
    there = [index for index, meaning in meanings.items() if meaning != ColorInterp.alpha]
    missing = [band for band in bands if band not in there]
    if missing:
        had = ", ".join(map(str, there))
        cause = f"has no band {missing[0]}; its bands are {had}"
        raise RasterError(dataset.name, cause, "correct selected_bands")
