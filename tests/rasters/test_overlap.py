"""Coverage and resolution from geometry alone, against the pixels that are really met."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_rasters import NORTH_UP, UTM
from rasterio import Affine
from rasterio.crs import CRS

from coteach.errors import RasterError
from coteach.rasters.grid import Grid, Window
from coteach.rasters.overlap import coverage, pixel_ratio

ANY = Path("map.tif")


def grid(height, width, transform=NORTH_UP, crs=UTM):
    return Grid(CRS.from_user_input(crs), transform, height, width)


def met_share(image, label_map):
    """Every pixel's centre, looked up."""
    rows, cols = image.pixels_on(label_map, Window(0, 0, image.height, image.width))
    return np.mean((rows >= 0) & (rows < label_map.height) & (cols >= 0) & (cols < label_map.width))


@settings(max_examples=150)
@given(
    size=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    map_size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    shift=st.tuples(st.floats(-130, 130), st.floats(-130, 130)),
    scale=st.floats(0.05, 5),
    degrees=st.sampled_from([0, 0, 30, 180, -77]),
)
def test_the_share_is_that_of_all_pixels(size, map_size, shift, scale, degrees):
    """About, but it is an error exactly where no pixel is met, and 1 only if the corners are."""
    image = grid(*size)
    placed = NORTH_UP @ Affine.translation(*shift) @ Affine.rotation(degrees) @ Affine.scale(scale)
    label_map = grid(*map_size, placed)
    expected = met_share(image, label_map)
    if expected == 0:
        with pytest.raises(
            RasterError, match=r"map.tif: does not overlap the image; give a raster that covers"
        ):
            coverage(ANY, image, label_map)
        return
    share = coverage(ANY, image, label_map)
    assert share == pytest.approx(expected, abs=0.11)
    assert share > 0
    if max(size) <= 20:  # every pixel is looked at
        assert share == pytest.approx(expected)


def test_a_map_that_hides_between_the_points_is_found():
    image = grid(3000, 3000)
    assert coverage(ANY, image, grid(1, 1, NORTH_UP @ Affine.translation(1234, 777))) == 1 / 9_000_000
    corner = NORTH_UP @ Affine.translation(-7, -7)
    assert 0 < coverage(ANY, image, grid(8, 8, corner)) < 1
    with pytest.raises(RasterError, match="does not overlap"):
        coverage(ANY, image, grid(7, 7, corner))


def test_maps_in_another_crs():
    image = grid(50, 60)
    # 36.1446 N, 81 W is the image's corner; a pixel has about 1.1e-4 by 9e-5 degrees
    whole = Affine(1e-4, 0, -81.001, 0, -1e-4, 36.146)
    assert coverage(ANY, image, grid(100, 100, whole, "EPSG:4326")) == 1
    half = Affine(1e-4, 0, -80.99667, 0, -1e-4, 36.146)
    label_map = grid(100, 100, half, "EPSG:4326")
    assert coverage(ANY, image, label_map) == pytest.approx(met_share(image, label_map), abs=0.05)
    elsewhere = Affine(1e-4, 0, -70, 0, -1e-4, 36.146)
    with pytest.raises(RasterError, match="does not overlap"):
        coverage(ANY, image, grid(100, 100, elsewhere, "EPSG:4326"))


def test_the_globe_covers_everything_and_the_far_side_nothing():
    globe = grid(180, 360, Affine(1, 0, -180, 0, -1, 90), "EPSG:4326")
    assert coverage(ANY, grid(50, 60), globe) == 1
    behind = Affine(10, 0, 500000, 0, -10, 4000000)
    with pytest.raises(RasterError):
        coverage(ANY, grid(50, 60), grid(10, 10, behind, "EPSG:32647"))


@pytest.mark.parametrize(
    "image_transform", [NORTH_UP, NORTH_UP @ Affine.rotation(20), NORTH_UP @ Affine.scale(1, -1)]
)
@pytest.mark.parametrize(("scale", "expected"), [((3, 3), 3), ((0.1, 0.1), 0.1), ((4, 1), 2), ((-2, 2), 2)])
def test_pixel_ratio(image_transform, scale, expected):
    label_map = grid(10, 10, NORTH_UP @ Affine.translation(3, 4) @ Affine.scale(*scale))
    assert pixel_ratio(grid(20, 30, image_transform), label_map) == pytest.approx(expected)
