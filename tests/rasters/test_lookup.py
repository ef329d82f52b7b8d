"""Rows and columns on another grid, against the position of every single pixel's centre."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform as to_crs

from coteach.rasters.dataset import GDAL_ERRORS
from coteach.rasters.grid import Grid, Window
from coteach.rasters.lookup import pixels_under

TIE = 1e-6  # as DESIGN's rule says: a centre on an edge, and one this near it, belongs to the pixel after it
ORTHO = "+proj=ortho +lat_0=40 +lon_0=-80 +datum=WGS84"


def grid(crs, transform, height=300, width=400):
    return Grid(CRS.from_user_input(crs), transform, height, width)


def all_of(image):
    return Window(0, 0, image.height, image.width)


def one_by_one(image, other, window):
    """Each pixel's centre, taken over by the projection itself."""
    rows, cols = np.mgrid[: window.height, : window.width] + 0.5
    rows, cols = image.places_on(other, rows + window.row_off, cols + window.col_off)
    return [np.floor(places + TIE) for places in (rows, cols)]


def assert_exact(image, other, window=None):
    window = window or all_of(image)
    expected = one_by_one(image, other, window)
    found = image.pixels_on(other, window)
    for places, pixels in zip(expected, found, strict=True):
        assert pixels.dtype == np.int64
        finite = np.isfinite(places)
        np.testing.assert_array_equal(pixels[finite], places[finite])
        assert (np.abs(pixels[~finite]) >= 1).all()
        assert (pixels[np.isnan(places)] == -1).all()
    return found


def beside(image, crs, pixel, degrees=0):
    """A grid of another CRS with a corner near the image's middle."""
    x, y = image.transform @ (image.width / 2, image.height / 2)
    (x,), (y,) = to_crs(image.crs, CRS.from_user_input(crs), [x], [y])
    turned = Affine.translation(x, y) @ Affine.rotation(degrees) @ Affine.scale(pixel, -pixel)
    return grid(crs, turned @ Affine.translation(-20.3, -30.7))


def at(crs, lon, lat, pixel, degrees=0, south_up=False, size=(300, 400)):
    (x,), (y,) = to_crs(CRS.from_epsg(4326), CRS.from_user_input(crs), [lon], [lat])
    shape = Affine.rotation(degrees) @ Affine.scale(pixel, pixel if south_up else -pixel)
    return grid(crs, Affine.translation(x, y) @ shape @ Affine.translation(-size[1] / 2, -size[0] / 2), *size)


@pytest.mark.parametrize("pixel", [0.3, 10, 250, 3000])
@pytest.mark.parametrize(
    ("crs", "metres"),
    [
        ("EPSG:32616", 1),
        ("EPSG:32618", 1),
        ("EPSG:4326", 111_000),
        ("EPSG:4267", 111_000),  # NAD27: another operation for each part of America
        ("EPSG:3857", 1),
        ("EPSG:3035", 1),  # LAEA, far away from its centre
        ("EPSG:5070", 1),  # Albers
        ("ESRI:54009", 1),  # Mollweide
        ("ESRI:54052", 1),  # Goode, interrupted
    ],
)
def test_other_crs(crs, metres, pixel):
    image = at("EPSG:32617", -80.2, 36.1, pixel, south_up=pixel == 250)
    assert_exact(image, beside(image, crs, 0.7 * pixel / metres, degrees=17 if pixel == 10 else 0))
    assert_exact(image, beside(image, crs, 2.9 * pixel / metres), Window(33, 101, 130, 257))


@pytest.mark.parametrize(
    ("image", "crs", "pixel"),
    [
        (at("EPSG:3413", 30, 89.999, 25), "EPSG:4326", 1e-3),  # the pole in the image
        (at("EPSG:3031", 0, -89.99, 500, degrees=30), "EPSG:4326", 0.01),
        (at("EPSG:32601", 179.999, 65, 30), "EPSG:4326", 3e-4),  # the antimeridian in the image
        (at("EPSG:32660", 179.99, -16.5, 10, degrees=-8), "EPSG:3857", 10),
        (at("EPSG:3413", 180, 71, 100, degrees=45), "EPSG:4326", 1e-3),
        (at("EPSG:4326", -87, 34.999, 1e-3), "EPSG:32617", 100),  # degrees to metres
        (at("EPSG:4326", -98.0, 40.0, 0.09, size=(200, 500)), "EPSG:4267", 0.05),  # all of the United States
        (at("EPSG:4267", -98.0, 40.0, 0.09, size=(200, 500)), "EPSG:4326", 0.05),
        (at("EPSG:4326", 0, 0, 0.72, size=(250, 500)), "ESRI:54009", 50_000),  # the globe
        (at("EPSG:4326", 0, 0, 0.72, size=(250, 500)), "ESRI:54052", 50_000),  # cut in pieces
        (at("EPSG:4326", 0, 0, 0.72, size=(230, 500)), "EPSG:3857", 50_000),
        (at("EPSG:3857", 0, 0, 90_000, size=(400, 440)), "EPSG:4326", 0.4),
    ],
)
def test_where_projections_end_or_jump(image, crs, pixel):
    other = beside(image, crs, pixel)
    assert_exact(image, other)
    assert_exact(image, other, Window(70, 130, 110, 140))


def test_beyond_the_limb_of_the_globe():
    image = at(ORTHO, -80, 40, 40_000)
    other = grid("EPSG:4326", Affine(0.1, 0, -90, 0, -0.1, 50))
    with suppress(*GDAL_ERRORS):  # GDAL reports the first 20 places that are nowhere, then keeps quiet
        one_by_one(image, other, all_of(image))
    rows, _ = assert_exact(image, other)
    assert not 0 <= rows[0, 0] < 300
    assert 0 <= rows[150, 200] < 300


def test_only_the_pixels_need_a_place():
    """The lattice reaches beyond them; where it finds no way, that is no error yet."""

    def places(rows, cols):
        if rows.max() > 100:
            raise RasterioError("nowhere")
        return rows / 3, cols / 3

    rows, cols = pixels_under(places, np.arange(100) + 0.5, np.arange(90) + 0.5)
    np.testing.assert_array_equal(rows[:, 0], np.floor((np.arange(100) + 0.5) / 3 + TIE))
    np.testing.assert_array_equal(cols[0], np.floor((np.arange(90) + 0.5) / 3 + TIE))
    with pytest.raises(RasterioError):
        pixels_under(places, np.arange(101) + 0.5, np.arange(90) + 0.5)


@settings(max_examples=60, deadline=None)
@given(
    lon=st.floats(-178, 178),
    lat=st.floats(-78, 78),
    pixel=st.floats(0.5, 3000),
    degrees=st.sampled_from([0, 0, 33, 90, 180, -77]),
    ratio=st.floats(0.1, 8),
    size=st.tuples(st.integers(1, 150), st.integers(1, 200)),
    crs=st.sampled_from(["EPSG:4326", "EPSG:3857", "ESRI:54009", "ESRI:54030"]),
)
def test_anywhere(lon, lat, pixel, degrees, ratio, size, crs):
    zone = 32601 + int((lon + 180) // 6) + (100 if lat < 0 else 0)
    image = at(f"EPSG:{zone}", lon, lat, pixel, degrees, size=size)
    assert_exact(image, beside(image, crs, pixel * ratio / (111_000 if crs == "EPSG:4326" else 1)))


SAME = grid("EPSG:32617", Affine(10, 0, 500_000, 0, -10, 4_000_000))


@pytest.mark.parametrize("scale", [1, 0.5, 2, 3, 1 / 3, 0.7])
@pytest.mark.parametrize("shift", [(0, 0), (0.5, 0.5), (-3, 7), (0.5 - 1e-7, 0.5 + 1e-7), (0.1234, -500.9)])
@pytest.mark.parametrize("turn", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_lines_in_the_same_crs(scale, shift, turn):
    """Ties included: at scale 0.5 every centre lies on an edge of the other grid."""
    placed = SAME.transform @ Affine.translation(*shift) @ Affine.scale(scale * turn[0], scale * turn[1])
    other = grid("EPSG:32617", placed)
    window = Window(17, 23, 120, 140)
    rows, cols = assert_exact(SAME, other, window)
    lines = SAME.lines_on(other, window)
    np.testing.assert_array_equal(np.broadcast_to(lines[0][:, None], rows.shape), rows)
    np.testing.assert_array_equal(np.broadcast_to(lines[1], cols.shape), cols)


def test_lines_of_a_shifted_grid_by_hand():
    other = grid("EPSG:32617", SAME.transform @ Affine.translation(5, -2))
    rows, cols = SAME.lines_on(other, Window(1, 3, 2, 4))
    assert rows.tolist() == [3, 4]
    assert cols.tolist() == [-2, -1, 0, 1]
    finer = grid("EPSG:32617", SAME.transform @ Affine.scale(0.5))
    rows, cols = SAME.lines_on(finer, Window(0, 0, 3, 2))
    assert (rows.tolist(), cols.tolist()) == ([1, 3, 5], [1, 3])  # on an edge: the pixel after it


def test_lines_of_two_rotated_grids_that_are_parallel():
    turned = grid("EPSG:32617", SAME.transform @ Affine.rotation(90))
    assert SAME.lines_on(turned, Window(0, 0, 5, 5)) is None
    parallel = grid("EPSG:32617", turned.transform @ Affine.translation(3, 2))
    window = Window(0, 0, 20, 30)
    lines = turned.lines_on(parallel, window)
    assert lines is not None
    assert_exact(turned, parallel, window)
    assert lines[0][0] == -2
    assert lines[1][0] == -3


@pytest.mark.parametrize("degrees", [20, 90, 180, 45, -77])
def test_rotated_in_the_same_crs(degrees):
    other = grid("EPSG:32617", SAME.transform @ Affine.rotation(degrees) @ Affine.scale(0.5))
    assert_exact(SAME, other, Window(17, 23, 120, 140))


def test_there_are_no_lines_between_crss():
    assert SAME.lines_on(grid("EPSG:4326", Affine(1e-4, 0, -81, 0, -1e-4, 36)), all_of(SAME)) is None


def test_few_places_are_asked_for():
    asked = []

    def places(rows, cols):
        asked.append(rows.size)
        return 0.7 * rows + 0.1 * cols + 1e-7 * rows**2, 1.3 * cols - 0.2 * rows + 1e-7 * rows * cols

    lines = np.arange(512) + 0.5, np.arange(1024) + 0.5
    rows, cols = pixels_under(places, *lines)
    assert sum(asked) < rows.size / 30
    exact = places(*np.meshgrid(*lines, indexing="ij"))
    np.testing.assert_array_equal(rows, np.floor(exact[0] + TIE))
    np.testing.assert_array_equal(cols, np.floor(exact[1] + TIE))


@pytest.mark.parametrize("at_row", [100.2, 128.0, 128.4, 159.99])
def test_kinks_jumps_and_holes_of_a_projection(at_row):
    """A kink, a jump and places that are not numbers, wherever they lie between the points of the lattice."""

    def places(rows, cols):
        beyond = rows + 0.03 * cols > at_row
        kinked = 0.7 * rows + np.where(beyond, 0.2 * (rows + 0.03 * cols - at_row), 0)
        jumped = np.where(beyond, 1.1, 1.1 + 36_000.5) + cols
        return kinked, np.where((rows < 40) & (cols < 90), np.nan, np.where(cols > 250, np.inf, jumped))

    lines = np.arange(300) + 0.5, np.arange(280) + 0.5
    rows, cols = pixels_under(places, *lines)
    exact = places(*np.meshgrid(*lines, indexing="ij"))
    np.testing.assert_array_equal(rows, np.floor(exact[0] + TIE))
    there = np.isfinite(exact[1])
    np.testing.assert_array_equal(cols[there], np.floor(exact[1][there] + TIE))
    assert (cols[np.isnan(exact[1])] == -1).all()
    assert (cols[np.isposinf(exact[1])] == 2**31).all()
