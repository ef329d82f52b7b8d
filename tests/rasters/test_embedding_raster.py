"""Embeddings on the image's grid, against loops over pixels that project one centre at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from label_rasters import NORTH_UP, UTM, write_image, write_map
from rasterio import Affine
from rasterio.warp import transform as move_points

from coteach.errors import OptionError, RasterError
from coteach.rasters import embeddings as module
from coteach.rasters.embeddings import EmbeddingRaster, check_embeddings, embedding_path
from coteach.rasters.grid import Grid, Window
from coteach.rasters.patch_embeddings import read_patch

HEIGHT, WIDTH, BANDS = 12, 14, 3
SIZE = Window(0, 0, HEIGHT, WIDTH)


def turned(degrees, x, y, pixel):
    return Affine.translation(x, y) @ Affine.rotation(degrees) @ Affine.scale(pixel, -pixel)


# name -> transform, CRS and shape of the embeddings; the image has 12 x 14 pixels of 10 m
PLACES = {
    "same grid": (NORTH_UP, UTM, (HEIGHT, WIDTH)),
    "same grid, south-up": (Affine(10, 0, 500000, 0, 10, 3999880), UTM, (HEIGHT, WIDTH)),
    "finer": (Affine(4, 0, 499990, 0, -4, 4000010), UTM, (40, 45)),
    "finer, south-up": (Affine(3, 0, 499990, 0, 3, 3999870), UTM, (50, 55)),
    "finer, rotated": (turned(25, 499960, 3999990, 4), UTM, (50, 60)),
    "finer, a corner": (Affine(4, 0, 500063, 0, -4, 3999947), UTM, (40, 45)),
    "finer, geographic": (Affine(4.5e-5, 0, -81.0003, 0, -4.5e-5, 36.1455), "EPSG:4326", (47, 60)),
    "finer, next zone": (turned(3.5, -40130, 4016730, 6), "EPSG:32618", (60, 74)),
    "coarser": (Affine(30, 0, 499985, 0, -30, 4000005), UTM, (6, 6)),
    "coarser, a corner": (Affine(30, 0, 500063, 0, -30, 3999947), UTM, (6, 6)),
}


def quantised(shape, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.integers(-127, 128, (BANDS, *shape)).astype(np.int8)
    values[:, rng.random(shape) < 0.1] = -128
    values[1, rng.random(shape) < 0.05] = -128
    return values


def loop_vector(column):
    """-128 first, then sign(v) (|v| / 127.5)^2, then unit length; None for NoData."""
    if -128 in column:
        return None
    vector = [math.copysign((abs(v) / 127.5) ** 2, v) for v in column]
    length = math.hypot(*vector)
    return [v / length for v in vector] if length else None


def pixel_of(place, source, target):
    """The target pixel that holds the centre of a source pixel, or None."""
    row, col = place
    x, y = source.transform @ (col + 0.5, row + 0.5)
    if source.crs != target.crs:
        (x,), (y,) = move_points(source.crs, target.crs, [x], [y])
    col, row = ~target.transform @ (x, y)
    row, col = math.floor(row + 1e-6), math.floor(col + 1e-6)
    return (row, col) if 0 <= row < target.height and 0 <= col < target.width else None


def places(grid):
    return [(row, col) for row in range(grid.height) for col in range(grid.width)]


def loop_nearest(image, own, values):
    found = np.full((BANDS, HEIGHT, WIDTH), np.nan)
    for place in places(image):
        pixel = pixel_of(place, image, own)
        vector = None if pixel is None else loop_vector(values[(slice(None), *pixel)].tolist())
        if vector is not None:
            found[(slice(None), *place)] = vector
    return found


def loop_aggregate(image, own, values):
    members = {place: [] for place in places(image)}
    for place in places(own):
        target = pixel_of(place, own, image)
        vector = loop_vector(values[(slice(None), *place)].tolist())
        if target is not None and vector is not None:
            members[target].append(vector)
    found = np.full((BANDS, HEIGHT, WIDTH), np.nan)
    for place, vectors in members.items():
        if vectors:
            total = [math.fsum(parts) for parts in zip(*vectors, strict=True)]
            found[(slice(None), *place)] = [value / math.hypot(*total) for value in total]
    return found


def read(path, image, resampling, window=SIZE):
    with EmbeddingRaster(path, Grid.of(image), resampling) as raster:
        return raster.read(window)


@pytest.fixture(params=["north-up", "south-up", "rotated"])
def image(request, tmp_path):
    transforms = {
        "north-up": NORTH_UP,
        "south-up": Affine(10, 0, 500000, 0, 10, 3999880),
        "rotated": turned(-12, 499990, 3999970, 10),
    }
    return write_image(tmp_path / "image.tif", HEIGHT, WIDTH, transform=transforms[request.param])


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("way", ["nearest", "aggregate"])
def test_vectors_are_those_of_the_loop(tmp_path, image, name, way):
    transform, crs, shape = PLACES[name]
    values = quantised(shape)
    path = write_map(tmp_path / "emb.tif", values, transform=transform, crs=crs)
    loop = {"nearest": loop_nearest, "aggregate": loop_aggregate}[way]
    expected = loop(Grid.of(image), Grid.of(path), values)
    assert np.isfinite(expected[0]).any()  # they do meet
    found = read(path, image, way)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("way", ["nearest", "aggregate"])
def test_windows_and_parts_make_the_whole_bit_for_bit(tmp_path, monkeypatch, name, way):
    transform, crs, shape = PLACES[name]
    image = write_image(tmp_path / "image.tif", HEIGHT, WIDTH, transform=turned(-12, 499990, 3999970, 10))
    path = write_map(tmp_path / "emb.tif", quantised(shape), transform=transform, crs=crs)
    whole = read(path, image, way)
    with EmbeddingRaster(path, Grid.of(image), way) as raster:
        for height, width in [(5, WIDTH), (4, 3), (1, 1)]:
            for row in range(0, HEIGHT, height):
                for col in range(0, WIDTH, width):
                    part = Window(row, col, min(height, HEIGHT - row), min(width, WIDTH - col))
                    np.testing.assert_array_equal(raster.read(part), part.cut(whole))
    monkeypatch.setattr(module, "_VALUES", 40)
    np.testing.assert_array_equal(read(path, image, way), whole)


def test_four_vectors_in_a_pixel_by_hand(tmp_path):
    """(127, 0) and (0, 127) give 45 degrees, however long; NoData does not count; opposite ones cancel."""
    image = write_image(tmp_path / "image.tif", 1, 3)
    first = [[127, 10, 7, -128, 5, -5], [0, 0, 7, 7, 5, -5]]
    second = [[0, 0, 7, 7, 0, 0], [127, 90, 7, -128, 0, 0]]
    values = np.array([first, second], np.int8)
    path = write_map(tmp_path / "emb.tif", values, transform=Affine(5, 0, 500000, 0, -5, 4000000))
    diagonal = math.sqrt(0.5)
    expected = [[[diagonal, diagonal, math.nan]], [[diagonal, diagonal, math.nan]]]
    np.testing.assert_allclose(read(path, image, "auto", Window(0, 0, 1, 3)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("pixel", "degrees", "way"),
    [
        (10, 0, "nearest"),
        (20, 0, "nearest"),
        (8, 0, "aggregate"),
        (5, 0, "aggregate"),
        (9, 3.5, "aggregate"),  # cos + sin = 1.06: fits into 10 m
        (9, 45, "nearest"),  # some pixels would hold no centre
        (7, 45, "aggregate"),  # 7 times the root of 2 is 9.9
        (5, 90, "aggregate"),
    ],
)
def test_auto(tmp_path, pixel, degrees, way):
    image = write_image(tmp_path / "image.tif", HEIGHT, WIDTH)
    centre = Affine.translation(500070, 3999940) @ Affine.rotation(degrees)
    transform = centre @ Affine.translation(-200.3, 200.7) @ Affine.scale(pixel, -pixel)
    side = 401 // pixel
    values = np.full((BANDS, side, side), 9, np.int8)
    path = write_map(tmp_path / "emb.tif", values, transform=transform)
    with EmbeddingRaster(path, Grid.of(image)) as raster:
        assert raster.resampling == way
        assert np.isfinite(raster.read(SIZE)).all()  # no pixel stays empty


def test_auto_across_crs(tmp_path):
    image = write_image(tmp_path / "image.tif", HEIGHT, WIDTH)
    for name, way in [("finer, geographic", "aggregate"), ("finer, next zone", "aggregate")]:
        transform, crs, shape = PLACES[name]
        path = write_map(tmp_path / "emb.tif", quantised(shape), transform=transform, crs=crs)
        with EmbeddingRaster(path, Grid.of(image)) as raster:
            assert raster.resampling == way


def test_none_asks_for_the_image_s_grid(tmp_path):
    image = write_image(tmp_path / "image.tif", HEIGHT, WIDTH)
    values = quantised((HEIGHT, WIDTH))
    path = write_map(tmp_path / "emb.tif", values)
    expected = loop_nearest(Grid.of(image), Grid.of(path), values)
    np.testing.assert_allclose(read(path, image, "none"), expected, atol=1e-6)
    others = {
        "shifted": {"transform": Affine(10, 0, 500001, 0, -10, 4000000)},
        "south-up": {"transform": Affine(10, 0, 500000, 0, 10, 3999880)},
        "other CRS": {"crs": "EPSG:32618"},
    }
    for options in others.values():
        other = write_map(tmp_path / "other.tif", values, **options)
        with pytest.raises(RasterError):
            EmbeddingRaster(other, Grid.of(image), "none")
    smaller = write_map(tmp_path / "smaller.tif", values[:, :-1])
    with pytest.raises(RasterError, match=r"not on the image's grid .* use --aef-resampling auto"):
        EmbeddingRaster(smaller, Grid.of(image), "none")
    with pytest.raises(OptionError, match="belong to no place"):
        EmbeddingRaster(path, Grid.of(image), "bilinear")


def row_of(tmp_path, values, **options):
    """The vectors of a raster of one row, on its own grid."""
    path = write_map(tmp_path / "emb.tif", values, **options)
    return read(path, path, "none", Window(0, 0, 1, values.shape[-1]))


def test_floats_are_taken_as_they_are(tmp_path):
    values = np.array([[[3, -0.03, math.nan, math.inf, 0, -9]], [[4, 0.04, 1, 1, 0, 1]]])
    expected = [[0.6, -0.6, *[math.nan] * 4], [0.8, 0.8, *[math.nan] * 4]]
    for dtype in ("float32", "float64"):
        found = row_of(tmp_path, values.astype(dtype), nodata=-9)
        np.testing.assert_allclose(found[:, 0], expected, atol=1e-7)
    found = row_of(tmp_path, values.astype(np.float32))  # nothing declared: -9 is a number
    assert found[0, 0, -1] == pytest.approx(-9 / math.sqrt(82))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("nodata", [None, -128, -127])
def test_integers(tmp_path, dtype, nodata):
    values = np.array([[[51, -128, 51, -127]], [[-51, 51, 0, 1]]], dtype)
    found = row_of(tmp_path, values, nodata=nodata)
    half = math.sqrt(0.5)
    last = math.isnan(found[0, 0, 3])
    assert last == (nodata == -127)
    np.testing.assert_allclose(found[:, 0, :3], [[half, math.nan, 1], [-half, math.nan, 0]], atol=1e-6)


def test_int16_out_of_range(tmp_path):
    values = np.array([[[51, -9999]], [[51, 1]]], np.int16)
    assert np.isnan(row_of(tmp_path, values, nodata=-9999)).tolist() == [[[False, True]]] * 2
    with pytest.raises(
        RasterError, match="holds -9999, which is no quantised component; give values of -127"
    ):
        row_of(tmp_path, values)


def test_masks_and_alpha(tmp_path):
    values = np.array([[[51, 51]], [[51, 51]]], np.int8)
    found = row_of(tmp_path, values, valid=np.array([[True, False]]))
    assert np.isnan(found).tolist() == [[[False, True]]] * 2
    with_alpha = np.array([[[51, 51]], [[127, 0]], [[51, 51]]], np.int8)
    found = row_of(tmp_path, with_alpha, photometric="minisblack", alpha="yes")
    assert np.isnan(found).tolist() == [[[False, True]]] * 2
    np.testing.assert_allclose(found[:, 0, 0], math.sqrt(0.5), rtol=1e-6)


@pytest.mark.parametrize("bands", [1, 4, 64, 130])
def test_any_number_of_bands(tmp_path, bands):
    values = np.random.default_rng(bands).integers(-127, 128, (bands, 1, 5)).astype(np.int8)
    found = row_of(tmp_path, values)
    assert found.shape == (bands, 1, 5)
    for col in range(5):
        expected = loop_vector(values[:, 0, col].tolist())
        np.testing.assert_allclose(found[:, 0, col], expected or np.nan, atol=1e-6)


def error_of(path, grid, **options):
    with pytest.raises(RasterError) as caught:
        EmbeddingRaster(path, grid, **options)
    assert caught.value.thing == str(path)
    assert caught.value.remedy
    return caught.value.cause


def test_what_cannot_be_used(tmp_path):
    grid = Grid.of(write_image(tmp_path / "image.tif", HEIGHT, WIDTH))
    values = quantised((HEIGHT, WIDTH))
    assert error_of(tmp_path / "none.tif", grid) == "does not exist"
    (tmp_path / "text.tif").write_text("hello")
    assert "not recognized" in error_of(tmp_path / "text.tif", grid)
    away = write_map(tmp_path / "away.tif", values, transform=Affine(10, 0, 600000, 0, -10, 4000000))
    assert error_of(away, grid) == "does not overlap the image"
    lost = write_map(tmp_path / "lost.tif", values, crs=None)
    assert error_of(lost, grid) == "has no coordinate reference system (CRS)"
    for dtype in ("uint8", "uint16", "int32", "complex64"):
        other = write_map(tmp_path / "other.tif", values.clip(0).astype(dtype))
        assert error_of(other, grid) == f"holds {dtype} values, whose scale is not known"


def test_a_truncated_raster(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.integers(-127, 128, (BANDS, 300, 300)).astype(np.int8)
    path = write_map(tmp_path / "emb.tif", values, compress="deflate")
    grid = Grid.of(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    assert error_of(path, grid).startswith("cannot be read (")


def test_errors_of_others_are_not_said_of_the_raster(tmp_path):
    path = write_map(tmp_path / "emb.tif", quantised((HEIGHT, WIDTH)))
    with pytest.raises(FileNotFoundError), EmbeddingRaster(path, Grid.of(path)):
        (tmp_path / "nothing").read_bytes()


def test_only_what_lies_under_the_window_is_read(tmp_path, monkeypatch):
    image = write_image(tmp_path / "image.tif", HEIGHT, WIDTH)
    values = np.full((1, 2000, 2000), 5, np.int8)
    path = write_map(tmp_path / "emb.tif", values, transform=Affine(5, 0, 497000, 0, -5, 4003000))
    read_parts = []
    original = module.StoredVectors.read
    monkeypatch.setattr(
        module.StoredVectors, "read", lambda self, part: read_parts.append(part) or original(self, part)
    )
    for way in ("aggregate", "nearest"):
        read(path, image, way, Window(2, 3, 4, 5))
    assert len(read_parts) == 2
    assert sum(part.height * part.width for part in read_parts) < 400


def test_a_folder_of_embeddings(tmp_path):
    assert embedding_path(tmp_path, "tile_7", "gcs") == tmp_path / "tile_7.tif"
    assert embedding_path(tmp_path, "tile_7", "hf") == tmp_path / "tile_7.npy"
    with pytest.raises(OptionError, match=r"--aef-embeddings-dir: there is no folder .*; download"):
        check_embeddings(tmp_path / "none", ["a"], "gcs")
    with pytest.raises(
        OptionError, match=r"--aef-embeddings-dir: .* has no file for any tile, as a\.tif; name"
    ):
        check_embeddings(tmp_path, ["a", "b"], "gcs")
    (tmp_path / "b.npy").touch()
    check_embeddings(tmp_path, ["a", "b"], "hf")
    with pytest.raises(OptionError, match="its files are those of --aef-source hf"):
        check_embeddings(tmp_path, ["a", "b"], "gcs")


@pytest.mark.parametrize("shape", [(2,), (1, 2)])
def test_patches(tmp_path, shape):
    path = tmp_path / "tile.npy"
    np.save(path, np.array([3, -4], ">f8").reshape(shape))
    vector = read_patch(path)
    assert vector.dtype == np.float32
    assert vector.tolist() == [3, -4]
    np.save(path, np.array([51, -102], np.int8).reshape(shape))
    np.testing.assert_allclose(read_patch(path), [0.16, -0.64], rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        (np.zeros(3), "nothing but zeros"),
        (np.array([1, math.nan]), "NaN"),
        (np.array([1, -128], np.int8), "NoData"),
        (np.ones((2, 3)), "holds 2 x 3 numbers, not one vector"),
        (np.ones((1, 1, 3)), "holds no vector"),
        (np.array(3.0), "holds no vector"),
        (np.ones(0), "holds no vector"),
        (np.ones(3, np.uint8), "holds uint8 values, whose scale is not known"),
        (np.array(["a"]), "whose scale is not known"),
        (np.array([300, 1], np.int16), "holds 300, which is no quantised component"),
    ],
)
def test_patches_that_are_none(tmp_path, values, cause):
    path = tmp_path / "tile.npy"
    np.save(path, values)
    with pytest.raises(RasterError) as caught:
        read_patch(path)
    assert caught.value.thing == str(path)
    assert cause in caught.value.cause


def test_patches_that_cannot_be_read(tmp_path):
    path = tmp_path / "tile.npy"
    with pytest.raises(RasterError, match="does not exist"):
        read_patch(path)
    for content in (b"", b"hello", b"\x93NUMPY\x01\x00"):
        path.write_bytes(content)
        with pytest.raises(RasterError, match="cannot be read"):
            read_patch(path)
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises(RasterError, match="cannot be read"):
        read_patch(path)
