from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio import Affine
from rasterio.crs import CRS

from coteach.rasters.aef.cells import great_circle
from coteach.rasters.aef.index import _meets
from coteach.rasters.aef.places import (
    MARGIN,
    Box,
    around,
    clipped,
    laid_on,
    lon_lat_box,
    lon_lat_centre,
    north_up,
    shift,
)
from coteach.rasters.grid import Grid, Window

UTM = CRS.from_epsg(32617)


def grid(x=0.0, y=0.0, height=10, width=10, size=10.0, crs=UTM):
    return Grid(crs, Affine(size, 0, 500000 + x, 0, -size, 4000000 + y), height, width)


def test_an_image_inside():
    window, cover = laid_on(grid(x=35, y=-20, height=4, width=5), grid(height=100, width=100))
    assert window == Window(2 - MARGIN, 3 - MARGIN, 4 + 2 * MARGIN, 6 + 2 * MARGIN)  # columns 3.5 to 8.5
    assert cover > 0.9


def test_an_image_beside_or_only_in_the_margin_is_not_on_it():
    assert laid_on(grid(x=1000), grid(height=100, width=100)) is None
    assert laid_on(grid(x=-100), grid(height=100, width=100)) is None  # they touch
    assert laid_on(grid(x=-95), grid(height=100, width=100)) is not None


def test_half_of_an_image():
    _, cover = laid_on(grid(x=-50), grid(height=100, width=100))
    assert cover == pytest.approx(0.5, abs=0.05)


def test_another_side_of_the_earth_is_not_on_it():
    far = Grid(CRS.from_epsg(4326), Affine(1e-3, 0, 170, 0, -1e-3, -40), 10, 10)
    assert laid_on(far, grid()) is None


def test_rotated_images_fit():
    turned = Grid(UTM, Affine(500500, 0, 0, 0, 0, 0), 1, 1)
    turned = Grid(
        UTM, Affine.translation(500500, 3999500) @ Affine.rotation(45) @ Affine.scale(10, -10), 20, 20
    )
    window, _ = laid_on(turned, grid(height=100, width=100))
    side = 20 * math.sqrt(2)  # pixels, corner to corner
    assert side + 2 * MARGIN <= window.height <= side + 2 * MARGIN + 2
    assert side + 2 * MARGIN <= window.width <= side + 2 * MARGIN + 2


def test_rows_from_the_south_are_turned():
    south_up = Grid(UTM, Affine(10, 0, 500000, 0, 10, 3999000), 100, 50)
    assert north_up(south_up) == Grid(UTM, Affine(10, 0, 500000, 0, -10, 4000000), 100, 50)
    assert north_up(grid()) == grid()


def test_lattices():
    assert shift(grid(), grid(x=810, y=-30)) == (3, 81)
    assert shift(grid(), grid(x=5)) is None
    assert shift(grid(), grid(size=20.0)) is None
    assert shift(grid(), grid(crs=CRS.from_epsg(32616))) is None


def test_windows():
    assert clipped(Window(-2, 3, 5, 5), Window(0, 0, 10, 4)) == Window(0, 3, 3, 1)
    assert clipped(Window(0, 0, 2, 2), Window(2, 0, 2, 2)) is None
    assert around([Window(1, 2, 3, 4), Window(0, 5, 1, 9)]) == Window(0, 2, 4, 12)


def test_an_image_over_the_antimeridian():
    image = Grid(
        CRS.from_epsg(32601), Affine(100, 0, 160000, 0, -100, 10000), 100, 200
    )  # 174 W is its middle
    box = lon_lat_box(image)
    assert box.west > 179
    assert box.east < -179
    lon, lat = lon_lat_centre(grid(height=0, width=0))
    assert (lon, lat) == (pytest.approx(-81), pytest.approx(36.14, abs=0.01))


@pytest.mark.parametrize(
    ("box", "other", "meets"),
    [
        (Box(0, 0, 1, 1), (0.5, 0.5, 2, 2), True),
        (Box(0, 0, 1, 1), (1, 0, 2, 1), False),
        (Box(0, 0, 1, 1), (-5, -5, 5, 5), True),
        (Box(0, 0, 1, 1), (0.2, 0.2, 0.3, 0.3), True),
        (Box(0, 0, 1, 1), (0, 2, 1, 3), False),
        (Box(179, 0, -179, 1), (-179.5, 0, -178, 1), True),
        (Box(179, 0, -179, 1), (178, 0, 179.5, 1), True),
        (Box(179, 0, -179, 1), (0, 0, 1, 1), False),
        (Box(-179.9, 0, -179, 1), (179, 0, -179.5, 1), True),
    ],
)
def test_boxes_meet(box, other, meets):
    edges = [np.array([float(edge)]) for edge in other]
    assert _meets(box, *edges).tolist() == [meets]


@given(*[st.floats(-180, 180), st.floats(-90, 90)] * 2)
def test_great_circle_is_the_angle_between_the_vectors(lon, lat, other_lon, other_lat):
    def vector(lon, lat):
        lon, lat = math.radians(lon), math.radians(lat)
        return np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])

    a, b = vector(lon, lat), vector(other_lon, other_lat)
    angle = math.atan2(np.linalg.norm(np.cross(a, b)), a @ b)
    found = great_circle(lon, lat, np.array([other_lon]), np.array([other_lat]))
    assert found[0] == pytest.approx(6371.0088 * angle, abs=1e-3)
