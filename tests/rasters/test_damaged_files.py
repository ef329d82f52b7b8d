"""Files that lie: what GDAL would read as values although the file itself says that they are not."""

import re

import numpy as np
import pytest
import rasterio
from label_rasters import NORTH_UP, write_map
from rasterio import Affine

from coteach.errors import RasterError
from coteach.rasters.codes import read_codes
from coteach.rasters.dataset import open_raster
from coteach.rasters.grid import Grid, Window

CODES = np.random.default_rng(0).integers(0, 3, (40, 50)).astype(np.uint8)
BLOCKS = {"compress": "deflate", "tiled": True, "blockxsize": 16, "blockysize": 16}


def vrt(path, name, *, raw=False):
    """A VRT of one band of a file."""
    relative = int(not str(name).startswith("/"))
    source = f'<SourceFilename relativeToVRT="{relative}">{name}</SourceFilename>'
    band = (
        f'<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">{source}<ImageOffset>0</ImageOffset>'
        "<PixelOffset>1</PixelOffset><LineOffset>50</LineOffset></VRTRasterBand>"
        if raw
        else f'<VRTRasterBand dataType="Byte" band="1"><SimpleSource>{source}<SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand>"
    )
    path.write_text(
        '<VRTDataset rasterXSize="50" rasterYSize="40"><SRS>EPSG:32617</SRS>'
        f"<GeoTransform>{', '.join(map(str, NORTH_UP.to_gdal()))}</GeoTransform>{band}</VRTDataset>"
    )
    return path


@pytest.mark.parametrize("profile", [{}, {"predictor": 2}, {"BIGTIFF": "YES"}])
def test_every_block_is_held_against_its_checksum(tmp_path, profile):
    """A bit in the middle of a block is flipped; some such files GDAL reads as other values, and says nothing."""
    path = write_map(tmp_path / "map.tif", CODES, **BLOCKS, **profile)
    grid = Grid.of(path)
    np.testing.assert_array_equal(read_codes(path, grid, 3), CODES)
    with rasterio.open(path) as dataset:
        middles = {
            (x, y): number(dataset, "OFFSET", x, y) + number(dataset, "SIZE", x, y) // 2
            for x in range(4)
            for y in range(3)
            if (x, y) != (3, 2)  # the last one is read before, and there GDAL looks
        }
    whole = path.read_bytes()
    for (x, y), middle in middles.items():
        damaged = bytearray(whole)
        damaged[middle] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(RasterError, match=rf"from row {16 * y}, column {16 * x} on do not match"):
            read_codes(path, grid, 3)
        elsewhere = grid.part(Window(16 * ((y + 1) % 2), 16 * ((x + 1) % 3), 8, 8))
        read_codes(path, elsewhere, 3)  # blocks that nobody reads are not looked at


def number(dataset, what, x, y):
    return int(dataset.get_tag_item(f"BLOCK_{what}_{x}_{y}", "TIFF", bidx=1))


def test_other_compressions_have_no_checksums(tmp_path):
    for compress in ("lzw", "packbits", "none"):
        path = write_map(tmp_path / f"{compress}.tif", CODES, **(BLOCKS | {"compress": compress}))
        np.testing.assert_array_equal(read_codes(path, Grid.of(path), 3), CODES)


def test_a_missing_part_is_no_zeros(tmp_path):
    """After two reads of a VRT of itself GDAL gives zeros for whatever is missing: so none of them is read."""
    lost = vrt(tmp_path / "lost.vrt", "gone.tif")
    self_made = vrt(tmp_path / "self.vrt", "self.vrt")
    for _ in range(3):
        with pytest.raises(RasterError, match=r"self\.vrt: is a VRT of itself"):
            open_raster(self_made)
        with pytest.raises(RasterError, match=r"lost\.vrt: is a VRT of .*gone\.tif, which does not exist"):
            open_raster(lost)


def test_a_vrt_of_a_vrt_of_itself(tmp_path):
    vrt(tmp_path / "a.vrt", "b.tif")  # whatever its name says
    vrt(tmp_path / "b.tif", "a.vrt")
    for name in ("a.vrt", "b.tif"):
        with pytest.raises(RasterError, match="is a VRT of itself"):
            open_raster(tmp_path / name)


def test_a_part_that_is_missing_deep_down(tmp_path):
    vrt(tmp_path / "inner.vrt", "gone.tif")
    outer = vrt(tmp_path / "outer.vrt", "inner.vrt")
    with pytest.raises(RasterError, match=r"inner\.vrt: is a VRT of .*gone\.tif"):
        open_raster(outer)


@pytest.mark.parametrize(
    "name",
    [
        "/vsicurl/http://127.0.0.1:9/x.tif",
        "/vsizip//vsicurl/http://127.0.0.1:9/x.zip",
        "WMS:http://127.0.0.1:9/x",
        "GTIFF_DIR:1:/vsicurl/http://127.0.0.1:9/x.tif",
    ],
)
def test_a_vrt_of_the_network(tmp_path, name):
    with pytest.raises(RasterError, match="is no file of this computer; download"):
        open_raster(vrt(tmp_path / "far.vrt", name))


def test_a_description_of_a_network_service_is_no_raster_nor_a_part_of_one(tmp_path):
    path = tmp_path / "map.tif"
    path.write_text(
        "<GDAL_WMS><Service name='TMS'><ServerUrl>http://127.0.0.1:9/${z}/${x}/${y}</ServerUrl></Service>"
        "<DataWindow><TileLevel>1</TileLevel></DataWindow></GDAL_WMS>"
    )
    for refused in (path, vrt(tmp_path / "outer.vrt", "map.tif")):
        with pytest.raises(RasterError, match=r"cannot be read .*map\.tif"):
            open_raster(refused)


def test_raw_bytes_are_no_description(tmp_path):
    (tmp_path / "raw").write_bytes(b"<" * 2000)
    with open_raster(vrt(tmp_path / "raw.vrt", "raw", raw=True)) as raw:
        assert (raw.read(1) == ord("<")).all()


def test_a_vrt_of_a_vrt_without_a_place_on_earth(tmp_path):
    bare = "".join(re.split("<SRS>.*</GeoTransform>", vrt(tmp_path / "x.vrt", "inner.vrt").read_text()))
    (tmp_path / "outer.vrt").write_text(bare)
    (tmp_path / "inner.vrt").write_text(bare.replace("inner.vrt", "map.tif"))
    write_map(tmp_path / "map.tif", CODES)
    with open_raster(tmp_path / "outer.vrt") as dataset:  # and no warning
        np.testing.assert_array_equal(dataset.read(1), CODES)


def test_raw_bytes_are_shown_of_files_beside_the_vrt_only(tmp_path):
    (tmp_path / "here").mkdir()
    for folder in (tmp_path, tmp_path / "here"):
        (folder / "raw").write_bytes(CODES.tobytes())
    with open_raster(vrt(tmp_path / "here" / "in.vrt", "raw", raw=True)) as dataset:
        np.testing.assert_array_equal(dataset.read(1), CODES)
    for name in ("../raw", tmp_path / "raw"):
        with pytest.raises(RasterError, match=r"shows the raw bytes of .*raw, which is not in its folder"):
            open_raster(vrt(tmp_path / "here" / "out.vrt", name, raw=True))


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e13])
@pytest.mark.parametrize("place", [0, 2, 5])
def test_a_geotransform_that_is_no_place(tmp_path, number, place):
    numbers = list(NORTH_UP)[:6]
    numbers[place] = float(number)
    path = write_map(tmp_path / "map.tif", CODES, transform=Affine(*numbers))
    with pytest.raises(RasterError, match=re.escape("has no place on earth (geotransform ")):
        Grid.of(path)
