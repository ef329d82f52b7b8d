"""AlphaEarth's GeoTIFFs, on the web or here, read window by window and north-up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import rasterio
from jaxtyping import Shaped
from rasterio.io import DatasetReader

from coteach.rasters.aef.places import is_south_up, north_up
from coteach.rasters.aef.retry import ReadFailedError, Retry, is_url
from coteach.rasters.dataset import GDAL_ERRORS, reason
from coteach.rasters.grid import Grid, Window

NO_DATA = -128


def gdal_options(retry: Retry) -> dict[str, object]:
    """How GDAL reads files on the web.

    Args:
        retry: how long GDAL waits before it asks a busy server again; that it does so is cheaper than to begin anew.
    """
    return {
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_CACHEMAX": 512 << 20,  # of all threads; a block of a file of 64 bands takes up to 64 MB
        "GDAL_HTTP_MAX_RETRY": min(2, retry.attempts - 1),
        "GDAL_HTTP_RETRY_DELAY": retry.delay,
        "GDAL_HTTP_CONNECTTIMEOUT": 30,
        "GDAL_HTTP_LOW_SPEED_TIME": 60,  # seconds without progress after which a request is given up
        "GDAL_HTTP_LOW_SPEED_LIMIT": 1,
        # what went wrong once is not to be remembered for the next attempt
        "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/",
    }


class Cog:
    """An open file.

    Args:
        url: where it came from.
        dataset: the file.

    Attributes:
        grid: its grid, north-up even if its rows are stored from south to north.
        fill: what stands where there is no data.

    Raises:
        RasterError: it does not say where on earth it lies.
    """

    def __init__(self, url: str, dataset: DatasetReader) -> None:
        stored = Grid.of_dataset(dataset)
        self.url = url
        self.grid = north_up(stored)
        self.bands: int = dataset.count
        self.dtype = str(np.dtype(dataset.dtypes[0]))
        self.fill = NO_DATA if self.dtype == "int8" else _fill(dataset, self.dtype)
        self.descriptions: tuple[str, ...] = tuple(text or "" for text in dataset.descriptions)
        self._dataset, self._south_up = dataset, is_south_up(stored)

    def read(self, window: Window) -> Shaped[np.ndarray, "b h w"]:
        """A window of ``grid``, all bands, as stored.

        Raises:
            ReadFailedError: it cannot be read.
        """
        row = self.grid.height - window.row_off - window.height if self._south_up else window.row_off
        stored = Window(row, window.col_off, window.height, window.width)
        with translated(self.url):
            values: Shaped[np.ndarray, "b h w"] = self._dataset.read(window=stored.for_gdal())
        return values[:, ::-1] if self._south_up else values


class OpenCogs:
    """Files that stay open while one thread cuts tiles from them."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Cog, DatasetReader]] = {}

    def get(self, url: str) -> Cog:
        """The file at an address or path, opened the first time.

        Raises:
            ReadFailedError: it cannot be opened.
            RasterError: it does not say where on earth it lies.
        """
        if url not in self._open:
            with translated(url):
                dataset = rasterio.open(f"/vsicurl/{url}" if is_url(url) else url)
            self._open[url] = (Cog(url, dataset), dataset)
        return self._open[url][0]

    def close(self) -> None:
        """Close all; they are opened anew if they are asked for again."""
        for _, dataset in self._open.values():
            dataset.close()
        self._open.clear()


@contextmanager
def translated(url: str) -> Iterator[None]:
    """What GDAL cannot read is a :class:`ReadFailedError`."""
    try:
        yield
    except GDAL_ERRORS as error:
        raise ReadFailedError(url, reason(error)) from error


def _fill(dataset: DatasetReader, dtype: str) -> float:
    if dataset.nodata is not None:
        return float(dataset.nodata)
    return np.nan if dtype.startswith("float") else 0
