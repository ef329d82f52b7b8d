"""Files that no library would write, each in the place of a sound raster: name -> what makes it."""

from __future__ import annotations

import math
import os
import random
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine
from rasterio.errors import NotGeoreferencedWarning

SIZE = 48
PLACE = Affine(10, 0, 500000, 0, -10, 4000000)
Change = Callable[[Path, random.Random], bool]


def saved(path: Path, codes: np.ndarray, **profile: object) -> Path:
    """A GeoTIFF of ``(h, w)`` values."""
    given = {"crs": "EPSG:32617", "transform": PLACE, "count": 1, "dtype": codes.dtype, **profile}
    height, width = codes.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", height=height, width=width, **given) as dataset:
            dataset.write(codes, 1)
    return path


def rewritten(path: Path, **profile: object) -> None:
    """The same values, otherwise kept."""
    with rasterio.open(path) as dataset:
        codes = dataset.read(1)
    saved(path, codes, **profile)


def _kept(**profile: object) -> Change:
    return lambda path, rng: bool(rewritten(path, **profile))


def _placed(*numbers: float) -> Change:
    return _kept(transform=Affine(*numbers))


def _typed(dtype: str, value: float) -> Change:
    return lambda path, rng: not saved(path, np.full((SIZE, SIZE), value, dtype))


def _bytes(content: bytes) -> Change:
    return lambda path, rng: not path.write_bytes(content)


_TAGS = {
    "width": (256, 4),
    "height": (257, 4),
    "bits": (258, 8),
    "compression": (259, 1),
    "photometric": (262, 1),
    "offset": (273, 8),
    "bands": (277, 1),
    "rows": (278, 4),
    "size": (279, 16),
    "format": (339, 1),
}


def _by_hand(**tags: int) -> Change:
    """A TIFF of one strip of 16 zeros, with these tags."""

    def change(path: Path, rng: random.Random) -> bool:
        entries = b"".join(
            struct.pack("<HHII", number, 4, 1, tags.get(name, usual))
            for name, (number, usual) in _TAGS.items()
        )
        header = b"II*\0" + struct.pack("<I", 24) + bytes(16)
        path.write_bytes(header + struct.pack("<H", len(_TAGS)) + entries + bytes(4))
        return False

    return change


def _vrt(text: str) -> Change:
    """A VRT; the raster that was there is ``sound.tif`` beside it."""

    def change(path: Path, rng: random.Random) -> bool:
        path.rename(path.with_name("sound.tif"))
        path.write_text(text.replace("SELF", path.name).replace("FOLDER", str(path.parent)))
        return False

    return change


def _of(name: str, size: int = SIZE, kind: str = "", inner: str = "", more: str = "") -> str:
    """A VRT of one band of a file; an absolute name is not relative to the VRT."""
    relative = int(not name.startswith("/"))
    return (
        f'<VRTDataset rasterXSize="{size}" rasterYSize="{size}"><SRS>EPSG:32617</SRS>'
        "<GeoTransform>500000,10,0,4000000,0,-10</GeoTransform>"
        f'<VRTRasterBand dataType="Byte" band="1" {kind}>{inner}<SimpleSource>'
        f'<SourceFilename relativeToVRT="{relative}">{name}</SourceFilename><SourceBand>1</SourceBand>'
        f"</SimpleSource></VRTRasterBand>{more}</VRTDataset>"
    )


def _raw(name: str) -> str:
    """A VRT whose pixels are the bytes of a file."""
    return (
        '<VRTDataset rasterXSize="16" rasterYSize="16"><SRS>EPSG:32617</SRS>'
        "<GeoTransform>500000,10,0,4000000,0,-10</GeoTransform>"
        '<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">'
        f'<SourceFilename relativeToVRT="0">{name}</SourceFilename><ImageOffset>0</ImageOffset>'
        "<PixelOffset>1</PixelOffset><LineOffset>16</LineOffset></VRTRasterBand></VRTDataset>"
    )


_PYTHON = (
    "<PixelFunctionType>bad</PixelFunctionType><PixelFunctionLanguage>Python</PixelFunctionLanguage>"
    "<PixelFunctionCode><![CDATA[\ndef bad(*args):\n    open('FOLDER/entered', 'w')\n]]></PixelFunctionCode>"
)
_SERVICE = (
    b"<GDAL_WMS><Service name='TMS'><ServerUrl>http://127.0.0.1:9/${z}/${x}/${y}</ServerUrl></Service><DataWindow>"
    b"<UpperLeftX>-20037508</UpperLeftX><UpperLeftY>20037508</UpperLeftY><LowerRightX>20037508</LowerRightX>"
    b"<LowerRightY>-20037508</LowerRightY><TileLevel>18</TileLevel><TileCountX>1</TileCountX>"
    b"<TileCountY>1</TileCountY><YOrigin>top</YOrigin></DataWindow><Projection>EPSG:3857</Projection>"
    b"<BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY><BandsCount>1</BandsCount></GDAL_WMS>"
)


def _sparse(size: int) -> Change:
    """No block is written: all of them mean 0."""

    def change(path: Path, rng: random.Random) -> bool:
        profile = {"width": size, "height": size, "crs": "EPSG:32617", "transform": PLACE, "BIGTIFF": "YES"}
        blocks = {"tiled": True, "blockxsize": 16384, "blockysize": 16384} if size > SIZE else {}
        rasterio.open(
            path, "w", driver="GTiff", count=1, dtype="uint8", SPARSE_OK=True, **profile, **blocks
        ).close()
        return False

    return change


def _instead(make: Callable[[Path], object]) -> Change:
    """Something else than a file of the name."""

    def change(path: Path, rng: random.Random) -> bool:
        path.unlink()
        make(path)
        return False

    return change


ABSURD: dict[str, Change] = {
    "zero bands": _by_hand(bands=0),
    "65535 bands": _by_hand(bands=65535),
    "zero width": _by_hand(width=0),
    "2^31 - 1 pixels a side": _by_hand(width=2**31 - 1, height=2**31 - 1),
    "2^32 - 1 pixels a side": _by_hand(width=2**32 - 1, height=2**32 - 1),
    "one strip of 10^10 pixels": _by_hand(width=100000, height=100000, rows=100000, size=2**32 - 1),
    "a strip beyond the file": _by_hand(offset=2**31),
    "no bits a pixel": _by_hand(bits=0),
    "1000 bits a pixel": _by_hand(bits=1000),
    "an unknown compression": _by_hand(compression=4711),
    "VRT without bands": _vrt('<VRTDataset rasterXSize="4" rasterYSize="4"></VRTDataset>'),
    "VRT of itself": _vrt(_of("SELF")),
    "VRT of a missing file": _vrt(_of("gone.tif")),
    "VRT outside, relative": _vrt(_of("../" * 12 + "etc/passwd")),
    "VRT outside, absolute": _vrt(_of("/etc/passwd")),
    "VRT of the network": _vrt(_of("/vsicurl/http://127.0.0.1:9/x.tif")),
    "VRT of raw bytes outside": _vrt(_raw("/etc/passwd")),
    "VRT with Python code": _vrt(_of("sound.tif", kind='subClass="VRTDerivedRasterBand"', inner=_PYTHON)),
    "VRT of 2^31 - 1 pixels a side": _vrt(_of("sound.tif", size=2**31 - 1)),
    "VRT of 2^40 pixels a side": _vrt(_of("sound.tif", size=2**40)),
    "VRT nested 5000 deep": _vrt("<VRTDataset>" * 5000),
    "VRT with an entity": _vrt('<!DOCTYPE x [<!ENTITY e SYSTEM "/etc/passwd">]>' + _of("&e;")),
    "description of a network service": _bytes(_SERVICE),
    "no CRS": _kept(crs=None),
    "geotransform of NaN": _placed(math.nan, 0, 0, 0, math.nan, 0),
    "origin of NaN": _placed(10, 0, math.nan, 0, -10, 4e6),
    "infinite geotransform": _placed(math.inf, 0, 0, 0, -math.inf, 0),
    "geotransform of 1e308": _placed(1e308, 0, 1e308, 0, -1e308, 1e308),
    "geotransform of 1e-308": _placed(1e-308, 0, 500000, 0, -1e-308, 4e6),
    "pixels without area": _placed(10, 10, 5e5, 10, 10, 4e6),
    "pixels as large as the earth": _placed(1e7, 0, -2e7, 0, -1e7, 2e7),
    "mirrored and rotated": _placed(-6, 8, 500300, 8, 6, 3999600),
    "complex numbers": _typed("complex64", 1),
    "NaN everywhere": _typed("float32", math.nan),
    "infinity everywhere": _typed("float64", math.inf),
    "fractions": _typed("float32", 0.5),
    "1e30 everywhere": _typed("float32", 1e30),
    "negative bytes": _typed("int8", -1),
    "2^63": _typed("uint64", 2**63),
    "-2^63": _typed("int64", -(2**63)),
    "sparse": _sparse(SIZE),
    "sparse, 4 x 10^12 pixels": _sparse(2_000_000),
    "no byte": _bytes(b""),
    "zeros": _bytes(bytes(4096)),
    "a table": _bytes(b"tile_id,image_path\n"),
    "the beginning of a ZIP file": _bytes(b"PK\3\4" + bytes(100)),
    "a pickle": _bytes(b"\x80\x04cos\nsystem\n(X\x04\0\0\0trueR."),
    "a link to itself": _instead(lambda path: path.symlink_to(path.name)),
    "a folder": _instead(Path.mkdir),
    "a pipe": _instead(os.mkfifo),
}
