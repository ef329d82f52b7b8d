"""What a VRT leads to, looked at before a pixel is read.

GDAL finds a part that is missing when it reads it. But after it has met a VRT of itself, it takes missing parts for
zeros, in all that the same thread reads later: votes for class 0 that nobody gave. So neither is left to it.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from pathlib import Path

from rasterio.io import DatasetReader

from coteach.errors import RasterError

_VRT = b"<VRTDataset"
_HEAD = 512  # bytes; what comes before the first element of a VRT is short
# Text that says where pixels are, perhaps on the network.
_DESCRIBES = re.compile(rb'<[A-Za-z?!][\w?!-]{2}|\{\s*"')
_WITHIN = re.compile(r"[A-Za-z0-9_]{2,}:(?!//)")  # a data set within a file, such as NETCDF:"a.nc":b
_REMOTE = re.compile(r'(?:^|[:"])(?:/vsi|https?:|ftp:)')
# Of GDAL.
NETWORK_FORMATS = {"DAAS", "EEDA", "EEDAI", "HTTP", "PLMOSAIC", "STACIT", "STACTA", "WCS", "WMS", "WMTS"}


def check_parts(path: Path, dataset: DatasetReader, open_part: Callable[[Path], DatasetReader]) -> None:
    """Refuse a VRT whose parts are missing, lie on the network, or are itself. Other rasters pass.

    Args:
        path: the file.
        dataset: the same, open.
        open_part: opens a part, and refuses formats that lead to the network.

    Raises:
        RasterError: names the part.
        RasterioError: a part that describes other files is refused.
    """
    if dataset.driver == "VRT":
        _check(path, dataset, (_identity(path),), open_part)


def _check(
    path: Path,
    dataset: DatasetReader,
    above: tuple[tuple[int, int], ...],
    open_part: Callable[[Path], DatasetReader],
) -> None:
    for part in _parts(path, dataset):
        if not part.is_file():
            raise RasterError(
                str(path), f"is a VRT of {part}, which does not exist", "correct it, or copy the file there"
            )
        if _identity(part) in above:
            raise RasterError(
                str(path), "is a VRT of itself", "make it again from the rasters that it is to show"
            )
        with part.open("rb") as stream:
            head = stream.read(_HEAD).removeprefix(BOM_UTF8).lstrip()
        if _VRT in head or _DESCRIBES.match(head):
            with open_part(part) as inner:
                if inner.driver == "VRT":
                    _check(part, inner, (*above, _identity(part)), open_part)


def _parts(path: Path, dataset: DatasetReader) -> Iterator[Path]:
    """The files that a VRT names, once each; GDAL lists the VRT first."""
    raw = any("VRTRawRasterBand" in text for text in dataset.tags(ns="xml:VRT").values())
    for name in dict.fromkeys(dataset.files[1:]):
        prefix, colon, _ = name.partition(":")
        if _REMOTE.search(name) or (colon and prefix.upper() in NETWORK_FORMATS):
            remedy = "download the file, and make the VRT of that"
            raise RasterError(str(path), f"is a VRT of {name}, which is no file of this computer", remedy)
        part = Path(name)
        if raw and not part.resolve().is_relative_to(path.resolve().parent):
            remedy = "move the file beside the VRT, or convert it to GeoTIFF"
            raise RasterError(str(path), f"shows the raw bytes of {name}, which is not in its folder", remedy)
        if part.is_file() or not _WITHIN.match(name):
            yield part


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
