"""Which windows of masks are shown, by a table; and other maps whose values are no classes, by legends."""

import shutil

import numpy as np
import pytest
import rasterio
from label_rasters import write_map
from web_maps import web_map_of

from coteach import MBTilesSoftLabelMaskWindowedDataset
from coteach.errors import OptionError, RasterError, TableError
from coteach.rasters.grid import Window

LEGEND = {10: 0, 20: 1, 30: 2, 40: 3, 99: -1}


@pytest.fixture(scope="module")
def made(tmp_path_factory, nc_landcover):
    """A web map, two masks of 72 x 90 pixels, and the land cover once in classes and once in codes of its own."""
    folder = tmp_path_factory.mktemp("made")
    with rasterio.open(nc_landcover.image) as file:
        web_map_of(file, folder / "map.mbtiles")
    with rasterio.open(nc_landcover.landcover) as file:
        codes, crs, whole = file.read(1), file.crs, file.transform
    codes = np.where(codes < 4, codes, 255).astype(np.uint8)
    for name, (row, col) in {"a": (150, 100), "b": (240, 260)}.items():
        part = codes[row : row + 72, col : col + 90]
        place = whole @ rasterio.Affine.translation(col, row)
        write_map(folder / "masks" / f"{name}.tif", part, transform=place, crs=crs, nodata=255)
    write_map(folder / "classes.tif", codes, transform=whole, crs=crs, nodata=255)
    own = np.full_like(codes, 99)
    for value, meant in LEGEND.items():
        own[codes == meant] = value
    write_map(folder / "codes.tif", own, transform=whole, crs=crs)
    return folder


@pytest.fixture
def world(made, tmp_path):
    return shutil.copytree(made, tmp_path / "w")


def shown(folder, *, others=(), **options):
    return MBTilesSoftLabelMaskWindowedDataset(
        folder / "map.mbtiles",
        mask_dir=folder / "masks",
        lulc_paths=[folder / name for name in others],
        **({"num_classes": 4, "patch_size": 32} | options),
    )


def listed(folder, text):
    table = folder / "windows.csv"
    table.write_text(text)
    return table


def places(dataset):
    return [(dataset.location(i)[0].stem, dataset.location(i)[1]) for i in range(len(dataset))]


def test_the_windows_of_a_table_are_shown_in_its_order_mask_by_mask(world):
    table = listed(
        world,
        "mask_path,row_off,col_off,patch_h,patch_w\nmasks/b.tif,7,3,32,32\n"
        f"{world}/masks/a.tif,40,58,32,32\nelsewhere/a.tif,0,1,32,32\n",
    )
    dataset = shown(world, windows_csv=table, window_index_cache=world / "kept.json")
    expected = [("a", (40, 58)), ("a", (0, 1)), ("b", (7, 3))]
    assert places(dataset) == [(name, Window(*offset, 32, 32)) for name, offset in expected]
    with rasterio.open(world / "masks" / "b.tif") as file:
        codes = file.read(1)[7:39, 3:35]
    label = dataset[2]["mask"]["mask"].numpy()
    assert (label.argmax(0) == codes)[codes != 255].all()
    # another list is another index, though the file of the index is there
    table.write_text("mask_path,row_off,col_off\nmasks/b.tif,7,4\n")
    again = shown(world, windows_csv=table, window_index_cache=world / "kept.json")
    assert places(again) == [("b", Window(7, 4, 32, 32))]


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("mask_path,row_off\na.tif,0\n", TableError, "no column 'col_off'"),
        ("mask_path,row_off,col_off\n", TableError, "has no rows"),
        ("mask_path,row_off,col_off\nc.tif,0,0\n", TableError, "row 1: c.tif is none of the masks"),
        ("mask_path,row_off,col_off\na.tif,0,-1\n", TableError, "row 1: col_off is '-1'"),
        ("mask_path,row_off,col_off,height,width\na.tif,0,0,32,16\n", TableError, "32 x 16, patch_size is 32 x 32"),
        ("mask_path,row_off,col_off\na.tif,41,0\n", RasterError, "row 41 and column 0 leaves its 72 x 90 pixels"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_table_is_named(world, text, error, says):
    with pytest.raises(error, match=says):
        shown(world, windows_csv=listed(world, text))


@pytest.mark.parametrize("norm", ["max_entropy", "minmax"])
def test_a_map_in_codes_of_its_own_votes_as_the_same_map_in_classes(made, norm):
    options = {"entropy_norm": norm, "alpha": 0.7}
    by_legend = shown(made, others=["codes.tif"], lulc_legends=[LEGEND], **options)
    by_class = shown(made, others=["classes.tif"], **options)
    assert len(by_legend) == len(by_class) == 18
    for index in range(18):
        for key in ("mask", "w_conf"):
            one, other = by_legend[index]["mask"][key], by_class[index]["mask"][key]
            np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_another_legend_is_another_index(world):
    # Both swap two classes of the codes; the range of the entropy over the tile is kept in the index.
    options = {"others": ["codes.tif"], "entropy_norm": "minmax", "window_index_cache": world / "kept.json"}
    wrong = {10: 1, 20: 0, 30: 3, 40: 2, 99: -1}
    shown(world, lulc_legends=[LEGEND], **options)
    kept = (world / "kept.json").stat().st_ino
    shown(world, lulc_legends=[LEGEND], **options)
    assert (world / "kept.json").stat().st_ino == kept
    shown(world, lulc_legends=[wrong], **options)
    assert (world / "kept.json").stat().st_ino != kept


@pytest.mark.parametrize(
    ("legends", "says"),
    [
        ([], "0 for 1 lulc_paths"),
        ([{10: 4}], "has the class 4 for code 10"),
        ([{}], "is empty"),
    ],
)
def test_a_legend_that_does_not_fit_is_refused(made, legends, says):
    with pytest.raises(OptionError, match=says):
        shown(made, others=["codes.tif"], lulc_legends=legends)
