"""Names and colours of classes in rasters."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from label_rasters import write_map, write_sources

from coteach import build_soft_labels
from coteach.errors import RasterError
from coteach.rasters.legend import category_names, color_table, find_legend, legend_tags, read_legend

CODES = np.zeros((2, 2), np.uint8)
RED_BLUE = ((255, 0, 0), (0, 0, 255))


def tagged(path, colors=None, **tags):
    write_map(path, CODES)
    with rasterio.open(path, "r+") as file:
        file.update_tags(**tags)
        if colors:
            file.write_colormap(1, {code: (*color, 255) for code, color in enumerate(colors)})
    return path


def test_tags_and_colour_table(tmp_path):
    path = tagged(tmp_path / "a.tif", RED_BLUE, CLASS_NAMES='["Wald", "Gewässer"]')
    assert read_legend(path, 2) == (("Wald", "Gewässer"), RED_BLUE)
    path = tagged(tmp_path / "b.tif", CLASS_COLORS='["#0102ff", "#000000"]')
    assert read_legend(path, 2) == (None, ((1, 2, 255), (0, 0, 0)))


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"CLASS_NAMES": "no JSON", "CLASS_COLORS": "no JSON"},
        {"CLASS_NAMES": '{"a": 1}', "CLASS_COLORS": "[1, 2]"},
        {"CLASS_NAMES": '["one"]', "CLASS_COLORS": '["#000000"]'},  # fewer than there are classes
        {"CLASS_NAMES": '["twin", "twin"]', "CLASS_COLORS": '["red", "blue"]'},
    ],
)
def test_what_does_not_tell_the_classes_apart_is_no_legend(tmp_path, tags):
    assert read_legend(tagged(tmp_path / "a.tif", **tags), 2) == (None, None)


def test_a_colour_table_of_one_colour_is_none(tmp_path):
    assert read_legend(tagged(tmp_path / "a.tif", [(9, 9, 9)] * 2), 2) == (None, None)


def test_the_first_raster_that_has_some_counts(tmp_path):
    (tmp_path / "broken.tif").write_text("no raster")
    files = [
        tmp_path / "missing.tif",
        tmp_path / "broken.tif",
        tagged(tmp_path / "plain.tif"),
        tagged(tmp_path / "names.tif", CLASS_NAMES='["a", "b"]'),
        tagged(tmp_path / "both.tif", RED_BLUE, CLASS_NAMES='["c", "d"]'),
    ]
    assert find_legend(files, 2) == (("a", "b"), RED_BLUE)
    assert find_legend(files[:3], 2) == (None, None)
    with pytest.raises(RasterError, match="does not exist"):
        read_legend(files[0], 2)


def test_tags_come_back(tmp_path):
    tags = legend_tags(("x & y", "Fluß"), RED_BLUE)
    assert json.loads(tags["CLASS_COLORS"]) == ["#ff0000", "#0000ff"]
    assert read_legend(tagged(tmp_path / "a.tif", **tags), 2) == (("x & y", "Fluß"), RED_BLUE)
    assert legend_tags(None, None) == {}


def test_a_whole_table():
    table = color_table(RED_BLUE)
    assert [table[0], table[1], table[255]] == [(255, 0, 0, 255), (0, 0, 255, 255), (0, 0, 0, 0)]
    assert len(table) == 256


def test_gdal_reads_the_category_names(tmp_path):
    path = write_map(tmp_path / "a.tif", CODES)
    (tmp_path / "a.tif.aux.xml").write_text(category_names(["<a & b>", "Gewässer"]), encoding="utf-8")
    rasterio.shutil.copy(path, tmp_path / "a.vrt", driver="VRT")  # GDAL writes down what it has read
    [band] = ET.parse(tmp_path / "a.vrt").getroot().findall("VRTRasterBand")
    assert [name.text for name in band.find("CategoryNames")] == ["<a & b>", "Gewässer"]


def test_p_soft_carries_on_the_legend_of_the_mask_before_that_of_other_sources(tmp_path):
    write_map(tmp_path / "image.tif", CODES)
    tagged(tmp_path / "lulc.tif", RED_BLUE, CLASS_NAMES='["c", "d"]')
    tagged(tmp_path / "mask.tif", CLASS_NAMES='["a", "b"]')
    row = {"tile_id": "t", "image_path": "image.tif", "lulc_path": "lulc.tif", "mask_path": "mask.tif"}
    table = write_sources(tmp_path / "sources.csv", [row])
    options = {"lulc_keys": ["lulc_path"], "max_workers": 1}
    assert build_soft_labels(table, tmp_path / "soft", 2, **options).failures == ()
    p_soft = tmp_path / "soft" / "p_soft" / "t.tif"
    assert read_legend(p_soft, 2) == (("a", "b"), RED_BLUE)
    with rasterio.open(p_soft) as file:
        assert file.descriptions == ("a", "b")

    tagged(tmp_path / "mask.tif")
    write_map(tmp_path / "lulc.tif", CODES)
    assert build_soft_labels(table, tmp_path / "soft", 2, **options).built == ("t",)
    assert read_legend(p_soft, 2) == (None, None)
    with rasterio.open(p_soft) as file:
        assert file.descriptions == ("class 0", "class 1")
