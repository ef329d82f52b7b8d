"""Open rasters quietly: whatever goes wrong with a file is a RasterError that names it."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import Bool
from rasterio._err import CPLE_BaseError
from rasterio.env import ensure_env
from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from coteach.errors import RasterError
from coteach.rasters.vrt_parts import NETWORK_FORMATS, check_parts

# a process reads few files at once; GDAL's own limit, a share of the memory, would be spent once a worker
GDAL_OPTIONS = {"GDAL_CACHEMAX": 256 << 20, "GDAL_TIFF_INTERNAL_MASK": True}
_FILTERS = threading.RLock()
_open = ensure_env(DatasetReader)  # rasterio.open takes one format only
GDAL_ERRORS = (RasterioError, CPLE_BaseError, OSError)


@contextmanager
def opened(path: Path) -> Iterator[DatasetReader]:
    """Open a raster for reading; a failure while it is open is translated too.

    Raises:
        RasterError: the file is missing, empty, no raster, or damaged where it is read.
    """
    with rasterio.Env(**GDAL_OPTIONS), translated(str(path)), open_raster(path) as dataset:
        yield dataset


def open_raster(path: Path) -> DatasetReader:
    """Open a raster for reading by whoever closes it; reads are to be :func:`translated`.

    Raises:
        RasterError: the file is missing, empty or no raster, or a VRT that leads to no file.
    """
    with translated(str(path)):
        if not path.is_file():
            raise RasterError(str(path), "does not exist", "correct the path")
        if not path.stat().st_size:
            raise RasterError(str(path), "is empty (0 bytes)", "copy or download it again")
        dataset = _open_local(path)
        try:
            check_parts(path, dataset, _open_local)
        except BaseException:
            dataset.close()
            raise
        return dataset


def _open_local(path: Path) -> DatasetReader:
    # an image to train on needs no place on earth; who needs one asks for it
    with without(NotGeoreferencedWarning):
        return _open(str(path), driver=_local_drivers())


@cache
def _local_drivers() -> list[str]:
    """The formats that GDAL reads, without those whose files say where on the network the pixels are."""
    with rasterio.Env() as environment:
        return sorted(set(environment.drivers()) - NETWORK_FORMATS)


@contextmanager
def without(category: type[Warning]) -> Iterator[None]:
    """Leave warnings of a category out. Filters are everybody's: one thread at a time changes them."""
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore", category)
        yield


def check_whole(dataset: DatasetReader) -> None:
    """Read the last pixel: of a file that was cut off it is missing, although the header may be there.

    Of the last band only: it comes last in every order of bands, and a header may declare thousands of them.

    Raises:
        RasterError: it cannot be read.
    """
    with translated(dataset.name):
        dataset.read(dataset.count, window=Window(dataset.width - 1, dataset.height - 1, 1, 1))


def block_extent(dataset: DatasetReader, row: int, col: int) -> tuple[int, int]:
    """Where in its file a block of a GeoTIFF's first band lies, and how long it is, in bytes; 0 if the file lacks it.

    Args:
        dataset: the raster.
        row: of the block, counted in blocks.
        col: of the block, counted in blocks.
    """
    place, length = (
        int(dataset.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=1) or 0)
        for what in ("OFFSET", "SIZE")
    )
    return place, length


def read_valid(dataset: DatasetReader, window: Window | None = None) -> Bool[np.ndarray, "bands h w"]:
    """Where each band has data: no NoData value, and nothing masked.

    Args:
        dataset: the raster.
        window: the part to read; None is all of it.
    """
    # GDAL takes the fourth of four bands for alpha; that NoData counts then is as it should be
    with without(NodataShadowWarning):
        valid: Bool[np.ndarray, "bands h w"] = dataset.read_masks(window=window) > 0
    return valid


@contextmanager
def translated(file: str) -> Iterator[None]:
    """What GDAL finds wrong with a file is an error that names it."""
    try:
        yield
    except GDAL_ERRORS as error:
        remedy = "give a raster that is whole, and of a format that GDAL reads"
        raise RasterError(file, f"cannot be read ({reason(error)})", remedy) from error


def reason(error: BaseException) -> str:
    """The innermost message of an error of rasterio: the outer one says only that there was another."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(getattr(error, "strerror", None) or error)  # without the file's name, which is said already


def sidecars(path: Path) -> list[Path]:
    """Where GDAL looks for what else there is to say of a raster: its mask, its metadata and its overviews."""
    return [Path(f"{path}{suffix}") for suffix in (".msk", ".aux.xml", ".ovr")]


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
        # a VRT lists its parts, and not what lies beside them
        beside = (side for name in names for side in sidecars(name))
        found.update((side, True) for side in beside if side.is_file())
    return list(found)
