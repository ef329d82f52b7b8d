from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from label_rasters import NORTH_UP, UTM, write_map
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.enums import MaskFlags

from coteach.errors import RasterError
from coteach.labels.votes import vote_shares
from coteach.rasters.dataset import GDAL_OPTIONS, check_whole, opened
from coteach.rasters.grid import Grid, Window
from coteach.rasters.read import PARTS_TAG, raster_shape, read_image, read_soft_label
from coteach.rasters.write import RasterLayout, raster_writer, write_raster

GRID = Grid(CRS.from_string(UTM), NORTH_UP, 300, 270)
SMALL = Grid(GRID.crs, NORTH_UP, 4, 3)


@pytest.fixture
def shares():
    drawn = np.random.default_rng(1).random((3, 300, 270), np.float32)
    return drawn / drawn.sum(0)


@pytest.fixture
def voted():
    return np.random.default_rng(2).random((300, 270)) < 0.8


def test_what_is_written_is_read_by_others(tmp_path, shares, voted):
    file = tmp_path / "new" / "folder" / "p.tif"
    write_raster(file, shares, GRID, valid=voted, tags={"MADE": "here"}, descriptions=["a", "b", "c"])
    with rasterio.open(file) as written:
        np.testing.assert_array_equal(written.read(), shares)
        np.testing.assert_array_equal(written.read_masks(), np.broadcast_to(voted * 255, shares.shape))
        assert written.mask_flag_enums == ([MaskFlags.per_dataset],) * 3
        assert (written.crs, written.transform) == (GRID.crs, GRID.transform)
        assert (written.descriptions, written.tags()["MADE"]) == (("a", "b", "c"), "here")
        assert (written.driver, written.compression.value, written.block_shapes[0]) == (
            "GTiff",
            "DEFLATE",
            (256, 256),
        )
        assert written.files == [str(file)]  # the mask is within
    assert [path.name for path in file.parent.iterdir()] == ["p.tif"]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_one_band_with_nodata(tmp_path, dtype):
    values = np.arange(300 * 270).reshape(300, 270).astype(dtype)
    write_raster(tmp_path / "x.tif", values, GRID, nodata=7.0)
    with rasterio.open(tmp_path / "x.tif") as written:
        np.testing.assert_array_equal(written.read(1), values)
        assert (written.nodata, written.count) == (7, 1)


def test_blocks_are_stored_once(tmp_path, monkeypatch, shares, voted):
    """Where not all of them fit into GDAL's cache: one stored again leaves its old version in the file."""
    monkeypatch.setitem(GDAL_OPTIONS, "GDAL_CACHEMAX", 2 << 20)  # a block of three bands has 0.75 MB
    write_raster(tmp_path / "x.tif", shares, GRID, valid=voted)
    with rasterio.open(tmp_path / "x.tif") as written:
        sizes = [
            int(written.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=1))
            for row in (0, 1)
            for col in (0, 1)
        ]
    assert sum(sizes) + 20_000 > (tmp_path / "x.tif").stat().st_size


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path, shares, voted):
    file = tmp_path / "x.tif"
    file.write_text("old")
    with pytest.raises(RasterError, match=r"x.tif: an array of \(299, 270\) pixels does not fit"):
        write_raster(file, shares[:, 1:], GRID)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tif"]
    assert file.read_text() == "old"
    (tmp_path / "folder").mkdir()
    with pytest.raises(RasterError, match=r"folder: cannot be written \("):
        write_raster(tmp_path / "folder", shares, GRID)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "x.tif"]


def test_a_full_disk_is_an_error(monkeypatch, tmp_path, shares):
    def full(self, *args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rasterio.io.DatasetWriter, "write", full, raising=False)
    with pytest.raises(RasterError, match="No space left on device"):
        write_raster(tmp_path / "x.tif", shares, GRID)
    assert list(tmp_path.iterdir()) == []


def test_soft_labels_whole_and_by_window(tmp_path, shares, voted):
    write_raster(tmp_path / "p.tif", shares, GRID, valid=voted)
    weights = np.where(voted, shares[0], np.float32(0))
    write_raster(tmp_path / "w.tif", weights, GRID, valid=voted)
    for window in (None, Window(250, 3, 40, 260), Window(299, 269, 1, 1)):
        part = (lambda array: array) if window is None else window.cut
        p_soft, w_conf, valid = read_soft_label(tmp_path / "p.tif", tmp_path / "w.tif", window)
        assert (p_soft.dtype, w_conf.dtype, valid.dtype) == (np.float32, np.float32, np.bool_)
        np.testing.assert_array_equal(p_soft, part(shares))
        np.testing.assert_array_equal(w_conf, part(weights))
        np.testing.assert_array_equal(valid, part(voted))
        p_soft, w_conf, valid = read_soft_label(tmp_path / "p.tif", None, window)
        np.testing.assert_array_equal(w_conf, part(voted).astype(np.float32))
        np.testing.assert_array_equal(valid, part(voted))


def test_nodata_of_the_weights_counts_too(tmp_path):
    write_map(tmp_path / "p.tif", np.ones((2, 1, 3), np.float32) / 2)
    write_map(tmp_path / "w.tif", np.array([[0.5, -1, 0]], np.float32), nodata=-1)
    _, _, valid = read_soft_label(tmp_path / "p.tif", tmp_path / "w.tif")
    assert valid.tolist() == [[True, False, True]]


def test_weights_of_another_size(tmp_path):
    write_map(tmp_path / "p.tif", np.ones((2, 4, 3), np.float32) / 2)
    write_map(tmp_path / "w.tif", np.ones((3, 4), np.float32))
    write_map(tmp_path / "w2.tif", np.ones((2, 4, 3), np.float32))
    write_raster(
        tmp_path / "w3.tif", np.ones((3, 4, 3), np.float32), SMALL, descriptions=["W_conf", "votes", "votes"]
    )
    with pytest.raises(
        RasterError, match=r"w.tif: has 1 bands of 3 x 4 pixels, .*p.tif has 2 bands of 4 x 3 pixels"
    ):
        read_soft_label(tmp_path / "p.tif", tmp_path / "w.tif")
    for bands in (2, 3):
        with pytest.raises(RasterError, match=rf"w{bands}.tif: has {bands} bands where 1 is expected"):
            read_soft_label(tmp_path / "p.tif", tmp_path / f"w{bands}.tif")


def test_votes_in_8_bits_are_the_shares_to_the_last_bit(tmp_path):
    """Every combination of up to four votes for three classes, and no vote at all."""
    counts = np.array([c for c in itertools.product(range(5), repeat=3) if sum(c) <= 4], np.uint8)
    expected = np.array([[n / sum(c) if any(c) else 1 / 3 for n in c] for c in counts.tolist()], np.float32)
    grid = Grid(GRID.crs, NORTH_UP, 1, len(counts))
    voted = counts.any(axis=1)[None]
    write_raster(tmp_path / "p.tif", counts.T[:, None], grid, valid=voted, tags={PARTS_TAG: "votes"})
    p_soft, w_conf, valid = read_soft_label(tmp_path / "p.tif", None)
    assert p_soft.dtype == np.float32
    np.testing.assert_array_equal(p_soft, expected.T[:, None])
    np.testing.assert_array_equal(valid, voted)
    np.testing.assert_array_equal(w_conf, voted.astype(np.float32))
    # the sources' maps, by the votes in memory
    codes = np.full((4, len(counts)), -1)
    for pixel, row in enumerate(counts):
        cast = np.repeat(np.arange(3), row)
        codes[: len(cast), pixel] = cast
    np.testing.assert_array_equal(p_soft[:, 0], vote_shares(codes, 3)[0])


def test_shares_in_8_bits_sum_to_one_and_are_near(tmp_path, shares, voted):
    parts = np.where(voted, np.rint(shares * 255), 0).astype(np.uint8)
    assert len(set(parts.sum(0, dtype=int)[voted].tolist())) > 1  # rounded, they do not sum to 255
    write_raster(tmp_path / "p.tif", parts, GRID, valid=voted, tags={PARTS_TAG: "shares"})
    p_soft, _, valid = read_soft_label(tmp_path / "p.tif", None, Window(7, 5, 200, 250))
    np.testing.assert_array_equal(valid, voted[7:207, 5:255])
    np.testing.assert_allclose(p_soft.sum(0), 1, atol=1e-6)
    np.testing.assert_allclose(p_soft[:, valid], shares[:, 7:207, 5:255][:, valid], atol=0.005)
    assert (p_soft[:, ~valid] == np.float32(1 / 3)).all()


@pytest.mark.parametrize(("tags", "found"), [({}, "lacks the tag"), ({PARTS_TAG: "x"}, "has 'x' in the tag")])
def test_8_bits_that_do_not_say_what_they_are(tmp_path, tags, found):
    write_raster(tmp_path / "p.tif", np.ones((2, 4, 3), np.uint8), SMALL, tags=tags)
    with pytest.raises(
        RasterError, match=rf"p.tif: holds 8-bit numbers, but {found} SOFT_LABEL_PARTS.*float32"
    ):
        read_soft_label(tmp_path / "p.tif", None)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_weights_with_a_scale_and_a_band_of_votes(tmp_path, dtype):
    write_map(tmp_path / "p.tif", np.ones((2, 4, 3), np.float32) / 2)
    weights = np.array([[0, 1, 2], [3, 100, 127], [128, 200, 253], [254, 255, 255]], dtype)
    scale = 1 / 255 if dtype == "uint8" else 1
    if dtype == "float32":
        weights /= 255
    layout = RasterLayout(SMALL, 2, dtype, scales=(scale, 1.0))
    with raster_writer(tmp_path / "w.tif", layout, descriptions=["W_conf", "votes"]) as file:
        file.write(np.stack([weights, np.full((4, 3), 4, dtype)]))
    for window in (None, Window(1, 1, 3, 2)):
        _, w_conf, valid = read_soft_label(tmp_path / "p.tif", tmp_path / "w.tif", window)
        expected = weights.astype(np.float64) * scale
        assert w_conf.dtype == np.float32
        np.testing.assert_array_equal(
            w_conf, (expected if window is None else window.cut(expected)).astype(np.float32)
        )
        assert valid.all()
    assert w_conf.max() == 1


def test_an_offset_of_the_weights_counts(tmp_path):
    write_map(tmp_path / "p.tif", np.ones((2, 4, 3), np.float32) / 2)
    write_map(tmp_path / "w.tif", np.full((4, 3), 50, np.uint8))
    with rasterio.open(tmp_path / "w.tif", "r+") as file:
        file.scales, file.offsets = [0.01], [0.25]
    assert (read_soft_label(tmp_path / "p.tif", tmp_path / "w.tif")[1] == 0.75).all()


def test_an_image_comes_as_it_is(tmp_path):
    bands = np.array([[[1, -99999, 300, 4, 5]], [[1, 2, -99999, math.nan, math.inf]]], np.float32)
    file = write_map(tmp_path / "i.tif", bands, nodata=-99999)
    values, valid = read_image(file)
    np.testing.assert_array_equal(values, bands)
    assert valid.tolist() == [[True, False, False, False, False]]
    assert raster_shape(file) == (2, 1, 5, "float32")


def test_an_image_needs_no_place_on_earth(tmp_path):
    file = write_map(tmp_path / "i.tif", np.full((3, 4, 5), 9, np.uint16), crs=None, transform=None)
    values, valid = read_image(file, Window(1, 1, 2, 3))
    assert (values == 9).all()
    assert (values.shape, values.dtype, valid.all()) == ((3, 2, 3), np.float32, True)


@pytest.mark.parametrize(
    "window", [Window(-1, 0, 2, 2), Window(0, -1, 2, 2), Window(3, 0, 2, 2), Window(0, 4, 2, 2)]
)
def test_a_window_beyond_the_edge(tmp_path, window):
    file = write_map(tmp_path / "i.tif", np.zeros((4, 5), np.uint8))
    with pytest.raises(RasterError, match=r"i.tif: has 4 x 5 pixels, which the window of rows .* leaves"):
        read_image(file, window)


def test_missing_and_truncated_files(tmp_path):
    with pytest.raises(RasterError, match=r"none.tif: does not exist"):
        read_image(tmp_path / "none.tif")
    noise = np.random.default_rng(0).integers(0, 255, (3, 400, 400)).astype(np.uint8)
    for interleave in ("pixel", "band"):
        file = write_map(tmp_path / f"{interleave}.tif", noise, interleave=interleave)
        with opened(file) as dataset:
            check_whole(dataset)
        content = file.read_bytes()
        file.write_bytes(content[:-3000])
        with pytest.raises(RasterError, match=r"cannot be read \("), opened(file) as dataset:
            check_whole(dataset)


def test_grid_of_a_file(tmp_path):
    file = write_map(tmp_path / "i.tif", np.zeros((4, 5), np.uint8))
    assert Grid.of(file) == Grid(CRS.from_epsg(32617), NORTH_UP, 4, 5)
    flat = write_map(tmp_path / "f.tif", np.zeros((4, 5), np.uint8), transform=Affine(10, 0, 5, 0, 0, 5))
    with pytest.raises(RasterError, match=r"f.tif: has pixels without area"):
        Grid.of(flat)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 300))
def test_strips_cover_a_grid_once(height, width, pixels):
    seen = np.zeros((height, width), int)
    for window in Grid(GRID.crs, NORTH_UP, height, width).strips(pixels):
        assert window.height * window.width <= max(pixels, width)
        window.cut(seen)[...] += 1
    assert (seen == 1).all()


@given(st.integers(1, 9), st.integers(1, 9))
def test_halves_cover_a_window_once(height, width):
    if height * width == 1:
        return
    seen = np.zeros((2 + height, 3 + width), int)
    for half in Window(2, 3, height, width).halves():
        half.cut(seen)[...] += 1
    assert (seen[2:, 3:] == 1).all()
    assert seen.sum() == height * width
