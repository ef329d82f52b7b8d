from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from rasterio import Affine

from coteach.errors import RasterError
from coteach.rasters.recode import recode_classes

OPTIONS = {"nodata": 255, "class_names": ("a", "b"), "class_colors": ((1, 2, 3), (4, 5, 6))}


def write(path, values, nodata=None):
    profile = {"crs": "EPSG:32617", "transform": Affine(30, 0, 500000, 0, -30, 4000000), "nodata": nodata}
    height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype=values.dtype, **profile
    ) as f:
        f.write(values, 1)
    return path


def test_codes_names_colours_and_grid(tmp_path):
    source = write(tmp_path / "s.tif", np.array([[1, 2, 7], [-99999, 7, 1]], np.float32), nodata=-99999)
    recode_classes(source, tmp_path / "t.tif", codes={1: 0, 2: 1, 7: 1}, **OPTIONS)
    with rasterio.open(tmp_path / "t.tif") as target, rasterio.open(source) as original:
        assert target.read(1).tolist() == [[0, 1, 1], [255, 1, 0]]
        assert target.dtypes == ("uint8",)
        assert (target.crs, target.transform, target.nodata) == (original.crs, original.transform, 255)
        assert json.loads(target.tags()["CLASS_NAMES"]) == ["a", "b"]
        assert [target.colormap(1)[code] for code in (0, 1)] == [(1, 2, 3, 255), (4, 5, 6, 255)]


def test_codes_without_a_new_one_are_named(tmp_path):
    source = write(tmp_path / "s.tif", np.array([[1, 2, 9], [200, 1, 1]], np.uint8))
    with pytest.raises(RasterError, match=r"s\.tif: holds the codes 2, 9, 200, which have no new code"):
        recode_classes(source, tmp_path / "t.tif", codes={1: 0}, **OPTIONS)
    assert not (tmp_path / "t.tif").exists()


def test_an_unreadable_source(tmp_path):
    (tmp_path / "s.tif").write_text("no raster")
    with pytest.raises(RasterError, match="cannot be read"):
        recode_classes(tmp_path / "s.tif", tmp_path / "t.tif", codes={}, **OPTIONS)
