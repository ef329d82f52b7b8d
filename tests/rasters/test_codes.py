"""The warp onto the image's grid, against a look-up of pixel centres written here, pixel by pixel."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import rasterio
from label_rasters import NORTH_UP, UTM, write_image, write_map
from rasterio import Affine
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from soft_label_oracle import loop_nearest

from coteach.errors import OptionError, RasterError
from coteach.rasters import codes as codes_module
from coteach.rasters.codes import read_codes
from coteach.rasters.grid import Grid


def random_codes(shape, seed=0, high=5):
    return np.random.default_rng(seed).integers(0, high, shape).astype(np.uint8)


def turned(degrees, x, y, pixel):
    return Affine.translation(x, y) @ Affine.rotation(degrees) @ Affine.scale(pixel, -pixel)


# name -> the source's transform, CRS and shape; the image has 20 x 24 pixels of 10 m
SOURCES = {
    "same grid": (NORTH_UP, UTM, (20, 24)),
    "shifted by part of a pixel": (Affine(10, 0, 499973.1, 0, -10, 4000021.7), UTM, (20, 24)),
    "coarser": (Affine(30, 0, 499990, 0, -30, 4000010), UTM, (9, 9)),
    "finer": (Affine(2, 0, 499980, 0, -2, 4000020), UTM, (140, 150)),
    "not square": (Affine(7, 0, 499980, 0, -13, 4000020), UTM, (20, 40)),
    "south-up": (Affine(10, 0, 499985, 0, 10, 3999795), UTM, (22, 27)),
    "east-left": (Affine(-10, 0, 500245, 0, -10, 4000005), UTM, (21, 25)),
    "rotated": (turned(30, 499950, 3999990, 9), UTM, (30, 40)),
    "sheared": (Affine(10, 2, 499960, 1, -9, 4000000), UTM, (30, 30)),
    "covers a corner": (Affine(10, 0, 500103, 0, -10, 3999904), UTM, (40, 40)),
    "geographic": (Affine(1e-4, 0, -81.0005, 0, -1e-4, 36.1485), "EPSG:4326", (60, 60)),
    "next zone": (turned(3.5, -40130, 4016730, 9), "EPSG:32618", (40, 60)),
    "equal area": (turned(-9, 1331970, 1560330, 8), "EPSG:5070", (60, 60)),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("image_grid", ["north-up", "south-up", "rotated"])
def test_every_pixel_takes_the_source_pixel_that_holds_its_centre(tmp_path, name, image_grid):
    transform, crs, shape = SOURCES[name]
    places = {
        "north-up": NORTH_UP,
        "south-up": Affine(10, 0, 500000, 0, 10, 3999800),
        "rotated": turned(-12, 499990, 3999950, 8),
    }
    image = write_image(tmp_path / "image.tif", 20, 24, transform=places[image_grid])
    source = write_map(tmp_path / "map.tif", random_codes(shape), transform=transform, crs=crs, nodata=4)
    expected = loop_nearest(image, source, 4)
    assert len(np.unique(expected[expected >= 0])) == 4  # the source does reach the image
    np.testing.assert_array_equal(read_codes(source, Grid.of(image), 4), expected)


@pytest.mark.parametrize(
    "name", ["shifted by part of a pixel", "not square", "rotated", "geographic", "next zone"]
)
def test_gdal_s_warper_agrees(tmp_path, name):
    transform, crs, shape = SOURCES[name]
    image = write_image(tmp_path / "image.tif", 20, 24)
    source = write_map(tmp_path / "map.tif", random_codes(shape), transform=transform, crs=crs)
    with rasterio.open(source) as file:
        place = {"crs": UTM, "transform": NORTH_UP, "height": 20, "width": 24}
        with WarpedVRT(
            file, resampling=Resampling.nearest, tolerance=1e-9, add_alpha=True, **place
        ) as warped:
            codes, alpha = warped.read()
    expected = np.where((alpha > 0) & (codes < 4), codes.astype(int), -1)
    np.testing.assert_array_equal(read_codes(source, Grid.of(image), 4), expected)


@pytest.mark.parametrize("name", SOURCES)
def test_parts_make_the_whole(tmp_path, monkeypatch, name):
    """Few pixels at a time, as for scenes larger than memory."""
    transform, crs, shape = SOURCES[name]
    grid = Grid.of(write_image(tmp_path / "image.tif", 20, 24))
    source = write_map(tmp_path / "map.tif", random_codes(shape), transform=transform, crs=crs)
    unknown, unknown_in_parts = Counter(), Counter()
    whole = read_codes(source, grid, 4, unknown=unknown)
    monkeypatch.setattr(codes_module, "_STRIP", 70)
    monkeypatch.setattr(codes_module, "_READ", 9)
    np.testing.assert_array_equal(read_codes(source, grid, 4, unknown=unknown_in_parts), whole)
    assert unknown_in_parts == unknown


def test_only_what_lies_under_the_image_is_read(tmp_path, monkeypatch):
    grid = Grid.of(write_image(tmp_path / "image.tif", 20, 24))
    country = write_map(
        tmp_path / "map.tif", random_codes((3000, 3000)), transform=Affine(10, 0, 490000, 0, -10, 4010000)
    )
    read = []
    original = codes_module.LabelMap._read
    monkeypatch.setattr(
        codes_module.LabelMap, "_read", lambda self, part: read.append(part) or original(self, part)
    )
    read_codes(country, grid, 4)
    assert [(part.row_off, part.col_off, part.height, part.width) for part in read] == [(1000, 1000, 20, 24)]


def test_a_centre_on_an_edge_belongs_to_the_pixel_after_it(tmp_path):
    # image pixels of 10 m on source pixels of 5 m: every centre is a corner of four of them. These
    # coordinates have no exact binary form, so that some centres land just before the edge
    image = write_image(
        tmp_path / "image.tif", 8, 8, transform=Affine(0.1, 0, -81.3, 0, -0.1, 36.7), crs="EPSG:4326"
    )
    values = np.add.outer(np.arange(16), 16 * np.arange(16)).T.astype(np.uint8)
    source = write_map(
        tmp_path / "map.tif", values, transform=Affine(0.05, 0, -81.3, 0, -0.05, 36.7), crs="EPSG:4326"
    )
    np.testing.assert_array_equal(read_codes(source, Grid.of(image), 256), values[1::2, 1::2])


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
)
def test_dtypes(tmp_path, dtype):
    values = np.array([[0, 1, 2], [3, 4, 100]], dtype)
    source = write_map(tmp_path / "map.tif", values, nodata=1)
    unknown = Counter()
    codes = read_codes(source, Grid.of(source), 4, unknown=unknown)
    assert codes.dtype == np.int16
    assert codes.tolist() == [[0, -1, 2], [3, -1, -1]]
    assert unknown == {4: 1, 100: 1}


def test_unknown_codes_may_be_negative_or_huge(tmp_path):
    source = write_map(tmp_path / "map.tif", np.array([[-1, -32768, 3e9, 2]], np.float64))
    unknown = Counter()
    assert read_codes(source, Grid.of(source), 3, unknown=unknown).tolist() == [[-1, -1, -1, 2]]
    assert unknown == {-1: 1, -32768: 1, 3_000_000_000: 1}


@pytest.mark.parametrize("nodata", [None, -99999, math.nan])
def test_nan_and_infinity_do_not_vote(tmp_path, nodata):
    values = np.array([[0, math.nan, math.inf, -math.inf, 2, -99999]], np.float32)
    source = write_map(tmp_path / "map.tif", values, nodata=nodata)
    unknown = Counter()
    assert read_codes(source, Grid.of(source), 3, unknown=unknown).tolist() == [[0, -1, -1, -1, 2, -1]]
    assert unknown == ({} if nodata == -99999 else {-99999: 1})


def test_masked_pixels_do_not_vote(tmp_path):
    valid = np.array([[True, False, True]])
    source = write_map(tmp_path / "map.tif", np.array([[1, 1, 0]], np.uint8), valid=valid)
    assert read_codes(source, Grid.of(source), 2).tolist() == [[1, -1, 0]]


def test_nodata_beside_a_mask_does_not_vote_either(tmp_path):
    valid = np.array([[True, False, True]])
    source = write_map(tmp_path / "map.tif", np.array([[1, 1, 0]], np.uint8), valid=valid, nodata=0)
    assert read_codes(source, Grid.of(source), 2).tolist() == [[1, -1, -1]]


def test_an_alpha_band_masks(tmp_path):
    bands = np.array([[[1, 1, 0]], [[255, 0, 255]]], np.uint8)
    source = write_map(tmp_path / "map.tif", bands, photometric="minisblack", alpha="yes")
    assert read_codes(source, Grid.of(source), 2).tolist() == [[1, -1, 0]]


def test_a_palette_is_no_hindrance(tmp_path):
    source = write_map(tmp_path / "map.tif", np.array([[1, 0]], np.uint8))
    with rasterio.open(source, "r+") as file:
        file.write_colormap(1, {0: (1, 2, 3, 255), 1: (4, 5, 6, 255)})
    assert read_codes(source, Grid.of(source), 2).tolist() == [[1, 0]]


def error_of(path, grid, num_classes=4):
    with pytest.raises(RasterError) as caught:
        read_codes(path, grid, num_classes)
    assert caught.value.thing == str(path)
    assert caught.value.remedy
    return caught.value.cause


def test_what_cannot_be_used(tmp_path):
    grid = Grid.of(write_image(tmp_path / "image.tif", 20, 24))
    codes = random_codes((20, 24))
    assert error_of(tmp_path / "none.tif", grid) == "does not exist"
    assert error_of(tmp_path, grid) == "does not exist"
    (tmp_path / "nothing.tif").touch()
    assert error_of(tmp_path / "nothing.tif", grid) == "is empty (0 bytes)"
    assert error_of(tmp_path / ("x" * 300), grid) == "cannot be read (File name too long)"
    (tmp_path / "text.tif").write_text("hello")
    assert "not recognized as being in a supported file format" in error_of(tmp_path / "text.tif", grid)
    away = write_map(tmp_path / "away.tif", codes, transform=Affine(10, 0, 600000, 0, -10, 4000000))
    assert error_of(away, grid) == "does not overlap the image"
    # its pixels touch the image's border, no more
    beside = write_map(tmp_path / "beside.tif", codes, transform=Affine(10, 0, 500240, 0, -10, 4000000))
    assert error_of(beside, grid) == "does not overlap the image"
    lost = write_map(tmp_path / "lost.tif", codes, crs=None)
    assert error_of(lost, grid) == "has no coordinate reference system (CRS)"
    nowhere = write_map(tmp_path / "nowhere.tif", codes, crs=None, transform=None)
    assert error_of(nowhere, grid) == "has no coordinate reference system (CRS)"
    half = write_map(tmp_path / "half.tif", codes + np.float32(0.5))
    assert "which is no class code" in error_of(half, grid)
    rgb = write_map(tmp_path / "rgb.tif", np.stack([codes] * 3))
    assert error_of(rgb, grid) == "has 3 bands, a label map has one"
    wave = write_map(tmp_path / "wave.tif", codes.astype(np.complex64))
    assert error_of(wave, grid) == "holds complex64 values"
    mercury = write_map(tmp_path / "utm.tif", codes, crs='LOCAL_CS["site",UNIT["metre",1]]')
    assert "does not reach there" in error_of(mercury, grid)


def test_fractions_outside_the_image_or_under_nodata_do_no_harm(tmp_path):
    values = np.array([[0, 1, 0.5, 0.25]], np.float32)
    source = write_map(tmp_path / "map.tif", values, nodata=0.5)
    grid = Grid.of(write_image(tmp_path / "image.tif", 1, 3))
    assert read_codes(source, grid, 2).tolist() == [[0, 1, -1]]


@pytest.mark.parametrize("compress", ["deflate", "none"])
def test_a_truncated_map(tmp_path, compress):
    source = write_map(tmp_path / "map.tif", random_codes((400, 400)), compress=compress)
    grid = Grid.of(source)
    content = source.read_bytes()
    source.write_bytes(content[: len(content) * 2 // 3])
    assert error_of(source, grid).startswith("cannot be read (")


def test_num_classes_is_checked(tmp_path):
    source = write_map(tmp_path / "map.tif", random_codes((4, 4)))
    with pytest.raises(OptionError, match="num_classes: 1 is out of range"):
        read_codes(source, Grid.of(source), 1)
