"""Open rasters quietly: whatever goes wrong with a file is a RasterError that names it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from coteach.errors import RasterError

# a process reads few files at once; GDAL's own limit, a share of the memory, would be spent once a worker
GDAL_OPTIONS = {"GDAL_CACHEMAX": 256 << 20, "GDAL_TIFF_INTERNAL_MASK": True}
GDAL_ERRORS = (RasterioError, CPLE_BaseError, OSError)


@contextmanager
def opened(path: Path) -> Iterator[DatasetReader]:
    """Open a raster for reading; a failure while it is open is translated too.

    Raises:
        RasterError: the file is missing, is no raster, or is damaged where it is read.
    """
    if not path.is_file():
        raise RasterError(str(path), "does not exist", "correct the path")
    with rasterio.Env(**GDAL_OPTIONS):
        try:
            with warnings.catch_warnings():
                # an image to train on needs no place on earth; who needs one asks for it
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                dataset = rasterio.open(path)
            with dataset:
                yield dataset
        except GDAL_ERRORS as error:
            remedy = "give a raster that is whole, and of a format that GDAL reads"
            raise RasterError(str(path), f"cannot be read ({reason(error)})", remedy) from error


def check_whole(dataset: DatasetReader) -> None:
    """Read the last pixel: of a file that was cut off it is missing, although the header may be there."""
    dataset.read(window=Window(dataset.width - 1, dataset.height - 1, 1, 1))


def reason(error: BaseException) -> str:
    """The innermost message of an error of rasterio: the outer one says only that there was another."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


def files_behind(path: Path) -> list[Path]:
    """All files that reading a raster may touch: itself, its masks and headers, and a VRT's parts, of any depth.

    Raises:
        RasterError: one of them is missing or no raster.
    """
    found = {path: True}
    unseen = [path]
    while unseen:
        with opened(unseen.pop()) as dataset:
            names = [Path(name) for name in dataset.files]
        unseen += [name for name in names if name.suffix.lower() == ".vrt" and name not in found]
        found.update(dict.fromkeys(names, True))
    return list(found)
