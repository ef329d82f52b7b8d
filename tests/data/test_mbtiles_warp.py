"""The image of a web map on another grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from label_rasters import write_map
from rasterio import Affine
from rasterio.warp import transform
from scipy import ndimage
from web_maps import write_mbtiles

from coteach.errors import OptionError, RasterError
from coteach.rasters.grid import Grid, Window
from coteach.rasters.image_warp import TOLERANCE, WarpedImage

ZOOM, TILE = 12, (1151, 1610)  # near Raleigh; pixels of 31 m on the ground
UTM_GRID = Affine(25, 3, 702000, 4, -26, 3972000)  # a rotated one


def rgba(rng, height=256, width=256):
    """Noise that is smooth enough to be told from its neighbours by hand."""
    values = ndimage.gaussian_filter(rng.normal(size=(4, height, width)), (0, 2, 2))
    values = 127 + 300 * values
    values[3] = 255
    return values.clip(0, 255).astype(np.uint8)


def grid_in(path: Path, height=60, width=70) -> Grid:
    """A rotated grid in UTM in the middle of a file."""
    with rasterio.open(path) as file:
        x, y = file.transform @ (file.width / 2, file.height / 2)
        (x,), (y,) = transform(file.crs, "EPSG:32617", [x], [y])
    moved = (
        Affine.translation(x, y) @ Affine(25, 3, 0, 4, -26, 0) @ Affine.translation(-width / 2, -height / 2)
    )
    return Grid(rasterio.crs.CRS.from_epsg(32617), moved, height, width)


def places(path: Path, grid: Grid):
    """Fractional rows and columns of the centres of the file's pixels, 0 at the first centre; by rasterio alone."""
    rows, cols = np.mgrid[: grid.height, : grid.width] + 0.5
    xs, ys = grid.transform @ (cols.ravel(), rows.ravel())
    with rasterio.open(path) as file:
        xs, ys = transform(grid.crs, file.crs, xs, ys)
        cols, rows = ~file.transform @ (np.array(xs), np.array(ys))
    return rows.reshape(grid.height, grid.width) - 0.5, cols.reshape(grid.height, grid.width) - 0.5


def whole(grid):
    return Window(0, 0, grid.height, grid.width)


def test_bilinear_is_what_scipy_interpolates(tmp_path):
    colours = rgba(np.random.default_rng(1))
    path = write_mbtiles(tmp_path / "a.mbtiles", colours, zoom=ZOOM, tile=TILE)
    grid = grid_in(path)
    values, seen = WarpedImage(path, [3, 1]).read(grid, whole(grid))
    at = places(path, grid)
    assert seen.all()
    for band, value in zip((2, 0), values, strict=True):
        expected = ndimage.map_coordinates(colours[band].astype(float), at, order=1)
        # GDAL stretches its tent where pixels are a little coarser along a rotated axis
        assert np.abs(value - expected).max() <= 1.5
    assert values.std() > 10


def test_nearest_is_the_pixel_that_holds_the_centre(tmp_path):
    colours = np.random.default_rng(2).integers(0, 256, (4, 256, 256)).astype(np.uint8)
    colours[3] = 255
    path = write_mbtiles(tmp_path / "a.mbtiles", colours, zoom=ZOOM, tile=TILE)
    grid = grid_in(path)
    values, _ = WarpedImage(path, [1, 2, 3], "nearest").read(grid, whole(grid))
    rows, cols = places(path, grid)
    near = np.minimum(*(np.abs(axis - np.floor(axis) - 0.5) for axis in (rows, cols)))  # to an edge
    clear = near > 2 * TOLERANCE
    expected = colours[:3, np.rint(rows).astype(int), np.rint(cols).astype(int)]
    assert clear.mean() > 0.98
    np.testing.assert_array_equal(values[:, clear], expected[:, clear])


def test_a_window_is_that_part_of_the_whole(tmp_path):
    colours = rgba(np.random.default_rng(3))
    path = write_mbtiles(tmp_path / "a.mbtiles", colours, zoom=ZOOM, tile=TILE)
    grid = grid_in(path, 300, 600)  # reaches beyond the image, and over several of GDAL's blocks
    image = WarpedImage(path, [1, 2, 3])
    values, seen = image.read(grid, whole(grid))
    assert 0 < seen.mean() < 1
    for window in (
        Window(0, 0, 64, 64),
        Window(121, 99, 50, 33),
        Window(236, 500, 64, 100),
        Window(120, 250, 1, 1),
    ):
        part, part_seen = image.read(grid, window)
        np.testing.assert_array_equal(part, window.cut(values))
        np.testing.assert_array_equal(part_seen, window.cut(seen))


def test_what_is_transparent_or_beside_is_not_seen(tmp_path):
    colours = rgba(np.random.default_rng(4))
    colours[:, 100:140, 110:150] = 0
    path = write_mbtiles(tmp_path / "a.mbtiles", colours, zoom=ZOOM, tile=TILE)
    grid = grid_in(path, 300, 300)
    values, seen = WarpedImage(path, [1]).read(grid, whole(grid))
    rows, cols = places(path, grid)
    inside = (rows > 0.5) & (rows < 254.5) & (cols > 0.5) & (cols < 254.5)
    hole = (rows > 100.5) & (rows < 138.5) & (cols > 110.5) & (cols < 148.5)
    near_hole = (rows > 97) & (rows < 142) & (cols > 107) & (cols < 152)
    assert hole.any()
    assert not seen[hole].any()
    assert seen[inside & ~near_hole].all()
    assert not seen[(rows < -1) | (rows > 256) | (cols < -1) | (cols > 256)].any()
    # neighbours without data do not darken: no value is below the least of the opaque ones
    assert values[0, seen].min() >= float(colours[0][colours[3] > 0].min()) - 1


def test_any_raster_will_do_and_its_nodata_counts(tmp_path):
    values = np.random.default_rng(5).integers(1, 200, (2, 60, 60)).astype(np.uint16)
    values[:, 20:40, 20:40] = 0
    path = write_map(tmp_path / "a.tif", values, nodata=0)
    plain = write_map(tmp_path / "b.tif", values)
    for file, hole in ((path, True), (plain, False)):
        grid = Grid.of(file)
        wider = Grid(grid.crs, grid.transform @ Affine.translation(-10, -10), 80, 80)
        found, seen = WarpedImage(file, [2]).read(wider, Window(0, 0, 80, 80))
        expected = np.zeros((80, 80), bool)
        expected[10:70, 10:70] = (values[1] > 0) | (not hole)
        np.testing.assert_array_equal(seen, expected)
        np.testing.assert_array_equal(found[0][expected], np.pad(values[1], 10)[expected])


def test_a_finer_image_is_averaged(tmp_path):
    colours = np.zeros((4, 256, 256), np.uint8)
    colours[:3] = 200 * (np.indices((256, 256)).sum(0) % 2)
    colours[3] = 255
    path = write_mbtiles(tmp_path / "a.mbtiles", colours, zoom=ZOOM, tile=TILE)
    with rasterio.open(path) as file:
        coarse = Grid(file.crs, file.transform @ Affine.scale(8), 32, 32)
    values, _ = WarpedImage(path, [1]).read(coarse, Window(8, 8, 16, 16))
    assert np.abs(values - 100).max() <= 2  # a pixel alone would be 0 or 200


def test_the_coarsest_overview_that_is_fine_enough_is_read(tmp_path):
    path = write_map(tmp_path / "a.tif", np.full((1, 256, 256), 10, np.uint8))
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4], rasterio.enums.Resampling.nearest)
    for level, value in ((0, 20), (1, 40)):
        with rasterio.open(path, "r+", overview_level=level) as file:
            file.write(np.full((1, *file.shape), value, np.uint8))
    fine = Grid.of(path)

    def seen_by(factor, resampling="bilinear"):
        side = int(256 / factor)
        grid = Grid(fine.crs, fine.transform @ Affine.scale(factor), side, side)
        values, _ = WarpedImage(path, [1], resampling).read(grid, Window(2, 2, 4, 4))
        assert values.std() == 0
        return int(values[0, 0, 0])

    assert [seen_by(factor) for factor in (0.5, 1, 1.9, 2, 3, 4, 16)] == [10, 10, 10, 20, 20, 40, 40]
    assert seen_by(4, "nearest") == 10


@pytest.mark.parametrize(
    ("bands", "resampling", "error", "words"),
    [
        (
            [1, 4],
            "bilinear",
            RasterError,
            r"a.mbtiles: has no band 4; its bands are 1, 2, 3; correct selected_bands",
        ),
        ([0], "bilinear", RasterError, r"has no band 0"),
        ([], "bilinear", OptionError, r"selected_bands: is empty"),
        ([1], "cubic", OptionError, r"image_resampling: there is no 'cubic'; choose bilinear or nearest"),
    ],
)
def test_bands_and_resamplings_that_are_none(tmp_path, bands, resampling, error, words):
    colours = np.full((4, 256, 256), 255, np.uint8)
    path = write_mbtiles(tmp_path / "a.mbtiles", colours, zoom=ZOOM, tile=TILE)
    with pytest.raises(error, match=words):
        WarpedImage(path, bands, resampling)


def test_a_file_that_is_no_map_is_named(tmp_path):
    broken = tmp_path / "broken.mbtiles"
    broken.write_bytes(b"no database at all")
    for path, words in ((broken, "cannot be read"), (tmp_path / "none.mbtiles", "does not exist")):
        with pytest.raises(RasterError, match=rf"{path.name}: {words}"):
            WarpedImage(path, [1])
