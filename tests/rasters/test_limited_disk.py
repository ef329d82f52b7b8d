"""Rasters on a disk that takes a part of them: GDAL tells nobody what fails when it closes a file."""

import resource
from contextlib import contextmanager

import numpy as np
import pytest
import rasterio
from label_rasters import NORTH_UP, UTM
from rasterio.crs import CRS

from coteach.errors import RasterError
from coteach.rasters.grid import Grid, Window
from coteach.rasters.packed_mask import PackedMask
from coteach.rasters.write import RasterLayout, raster_writer

GRID = Grid(CRS.from_string(UTM), NORTH_UP, 300, 280)


@contextmanager
def largest_file(size):
    """What fails then fails as it does on a full disk."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def write(path, values, valid, *, cog):
    mask = None
    if valid is not None:
        mask = PackedMask(*valid.shape)
        mask.put(Window(0, 0, *valid.shape), valid)
    layout = RasterLayout(GRID, len(values), str(values.dtype), cog=cog)
    with raster_writer(path, layout, mask=mask) as file:
        file.write(values)


@pytest.mark.parametrize("cog", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("bands", "dtype"), [(1, "uint8"), (3, "float32")])
def test_a_raster_is_whole_or_refused(tmp_path, bands, dtype, masked, cog):
    rng = np.random.default_rng(4)
    values = rng.integers(0, 200, (bands, GRID.height, GRID.width)).astype(dtype)
    valid = rng.random((GRID.height, GRID.width)) < 0.5 if masked else None
    path = tmp_path / "map.tif"
    write(path, values, valid, cog=cog)
    earlier = path.read_bytes()
    for share in (0.002, 0.3, 0.7, 0.99):
        with (
            largest_file(int(share * len(earlier))),
            pytest.raises(RasterError, match="cannot be written") as told,
        ):
            write(path, values[:, ::-1], valid, cog=cog)
        assert str(path) in str(told.value)
        assert f"about {values.nbytes:,} bytes are needed" in str(told.value)
        assert path.read_bytes() == earlier
        assert list(tmp_path.iterdir()) == [path]
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(), values)
        if valid is not None:
            np.testing.assert_array_equal(file.read_masks(1) > 0, valid)


@pytest.mark.parametrize(("ending", "cog"), [("_confidence.tif", False), (".tif", True)])
def test_the_longest_ids_name_rasters(tmp_path, ending, cog):
    """Only soft labels become COGs, for which GDAL makes longer temporary names."""
    values = np.zeros((1, GRID.height, GRID.width), np.uint8)
    path = tmp_path / f"{'x' * 200}{ending}"
    write(path, values, np.ones((GRID.height, GRID.width), np.bool_), cog=cog)
    assert list(tmp_path.iterdir()) == [path]
