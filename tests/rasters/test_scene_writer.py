"""Maps of scenes, written row by row."""

import json
from contextlib import suppress

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.crs import CRS

from coteach.legend import Legend
from coteach.rasters.grid import Grid, Window
from coteach.rasters.scene_writer import SceneFiles, scene_writer

NAMES = ("urban", "forest", "water")
COLORS = ((200, 0, 0), (0, 100, 0), (0, 0, 250))
LEGEND = Legend(NAMES, COLORS)


def grid(height, width, crs="EPSG:32617"):
    return Grid(CRS.from_user_input(crs), Affine(10, 0, 500000, 0, -10, 4000000), height, width)


def drawn(height, width, seed=0):
    rng = np.random.default_rng(seed)
    valid = rng.random((height, width)) > 0.2
    figures = rng.random((2, height, width), np.float32)
    return rng.integers(0, 3, (height, width)), *np.where(valid, figures, np.float32(np.nan)), valid


def write_all(files, arrays, rows, cols=None, *, disagreement=True, legend=LEGEND):
    """Write the arrays in bands of ``cols`` columns, each in strips of ``rows`` rows."""
    height, width = arrays[0].shape
    with scene_writer(files, grid(height, width), legend, disagreement=disagreement) as writer:
        for left in range(0, width, cols or width):
            for top in range(0, height, rows):
                window = Window(top, left, min(rows, height - top), min(cols or width, width - left))
                classes, confidence, difference, valid = (window.cut(array) for array in arrays)
                writer.write(window, classes, confidence, difference if disagreement else None, valid)


@pytest.mark.parametrize(("rows", "cols"), [(1, None), (100, None), (384, 256), (700, 512), (999, None)])
def test_what_comes_in_strips_is_in_the_files(tmp_path, rows, cols):
    classes, confidence, disagreement, valid = arrays = drawn(700, 600)
    files = SceneFiles(tmp_path / "new", "a")
    write_all(files, arrays, rows, cols)
    with rasterio.open(files.classes) as file:
        assert np.array_equal(file.read(1), np.where(valid, classes, 255))
        assert np.array_equal(file.read_masks(1) > 0, valid)
        assert (file.dtypes, file.nodata, file.count) == (("uint8",), 255, 1)
        assert (file.crs, file.transform) == (grid(1, 1).crs, grid(1, 1).transform)
        assert file.block_shapes == [(256, 256)]
        assert file.profile["compress"] == "deflate"
        assert json.loads(file.tags()["CLASS_NAMES"]) == list(NAMES)
        assert [file.colormap(1)[code] for code in range(3)] == [(*color, 255) for color in COLORS]
    with rasterio.open(files.confidence) as file:
        assert file.descriptions == ("confidence", "disagreement")
        np.testing.assert_array_equal(file.read(), [confidence, disagreement])
        assert np.isnan(file.nodata)
        assert np.array_equal(file.read_masks(2) > 0, valid)
    assert "<Category>forest</Category>" in files.names.read_text()
    assert sorted(file.name for file in files.folder.iterdir()) == [
        "a_class.tif",
        "a_class.tif.aux.xml",
        "a_confidence.tif",
    ]


def test_the_same_rows_give_the_same_bytes_and_no_holes(tmp_path):
    arrays = drawn(700, 600)
    for name, rows in (("a", 100), ("b", 100), ("c", 700)):
        write_all(SceneFiles(tmp_path, name), arrays, rows)
    a, b, c = (SceneFiles(tmp_path, name) for name in "abc")
    for one, other, at_once in zip(a.maps, b.maps, c.maps, strict=True):
        assert one.read_bytes() == other.read_bytes() == at_once.read_bytes()


def test_without_disagreement_there_is_one_band(tmp_path):
    files = SceneFiles(tmp_path, "a")
    write_all(files, drawn(20, 30), 7, disagreement=False)
    with rasterio.open(files.confidence) as file:
        assert file.descriptions == ("confidence",)


def test_many_classes_need_two_bytes(tmp_path):
    files, legend = SceneFiles(tmp_path, "a"), Legend.of(300)
    classes, confidence, disagreement, valid = drawn(20, 30)
    classes = classes * 100 + 99  # up to 299
    write_all(files, (classes, confidence, disagreement, valid), 20, legend=legend)
    with rasterio.open(files.classes) as file:
        assert (file.dtypes, file.nodata) == (("uint16",), 65535)
        assert np.array_equal(file.read(1), np.where(valid, classes, 65535))
        assert file.colormap(1)[299][:3] == legend.colors[299]


def test_255_classes_fit_into_one_byte(tmp_path):
    files = SceneFiles(tmp_path, "a")
    write_all(files, drawn(5, 5), 5, legend=Legend.of(255))
    with rasterio.open(files.classes) as file:
        assert (file.dtypes, file.nodata) == (("uint8",), 255)


def test_a_scene_without_a_place_on_earth_has_maps_without_one(tmp_path):
    files = SceneFiles(tmp_path, "a")
    nowhere = Grid(CRS(), Affine.identity(), 5, 5)
    with scene_writer(files, nowhere, LEGEND, disagreement=False) as writer:
        classes, confidence, _, valid = drawn(5, 5)
        writer.write(Window(0, 0, 5, 5), classes, confidence, None, valid)
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning), rasterio.open(files.classes) as file:
        assert file.crs is None


def test_what_fails_leaves_the_old_maps_and_no_half_of_the_new(tmp_path):
    files = SceneFiles(tmp_path, "a")
    write_all(files, drawn(300, 30), 30)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    classes, confidence, _, valid = drawn(300, 30, seed=1)
    with suppress(RuntimeError), scene_writer(files, grid(300, 30), LEGEND, disagreement=False) as writer:
        writer.write(Window(0, 0, 300, 30), classes, confidence, None, valid)
        raise RuntimeError
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
