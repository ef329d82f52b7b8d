from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from coteach.errors import OptionError, TableError
from coteach.rasters.options import BuildOptions
from coteach.rasters.sources import BadRow, Tile, read_rows, unused_columns
from coteach.tables import read_table

OPTIONS = BuildOptions(
    num_classes=4,
    alpha=0.6,
    beta=0.0,
    use_border=True,
    border_source="auto",
    border_radius=10.0,
    entropy_norm="max_entropy",
    image_key="image_path",
    mask_key="mask_path",
    lulc_keys=("esa_path", "esri_path"),
    patch_size=None,
    stride=None,
)


def rows_of(tmp_path, text, **changes):
    (tmp_path / "s.csv").write_text(text, encoding="utf-8")
    options = dataclasses.replace(OPTIONS, **changes)
    return read_rows(read_table(tmp_path / "s.csv"), options.image_key, options.source_keys)


def tiles_of(tmp_path, text, **changes):
    return [row.tile() for row in rows_of(tmp_path, text, **changes)]


def test_a_wide_table(tmp_path):
    text = "\ufefftile_id,esri_path,image_path,mask_path,esa_path\nb,x.tif,i/b.tif,m.tif,e.tif\na, ,i/a.tif,,e.tif\n"
    assert tiles_of(tmp_path, text) == [
        Tile(
            "b",
            tmp_path / "i/b.tif",
            {
                "mask_path": tmp_path / "m.tif",
                "esa_path": tmp_path / "e.tif",
                "esri_path": tmp_path / "x.tif",
            },
        ),
        Tile("a", tmp_path / "i/a.tif", {"esa_path": tmp_path / "e.tif"}),
    ]


def test_without_tile_id_the_image_names_the_tile(tmp_path):
    text = "image_path,mask_path\ni/Lisboa 2020.v1.tif,m.tif\n/elsewhere/x.tif,m.tif\n"
    (first, second) = tiles_of(tmp_path, text, lulc_keys=())
    assert (first.tile_id, second.tile_id) == ("Lisboa 2020.v1", "x")
    assert second.image == Path("/elsewhere/x.tif")


@pytest.mark.parametrize(
    "bad",
    ["../x", "/etc/x", "a/b", "a\\b", "..", ".", ".hidden", "C:x", "a*", 'a"b', "a\tb", "end.", "é" * 101],
)
def test_ids_that_are_no_file_names(tmp_path, bad):
    cell = '"' + bad.replace('"', '""') + '"'
    rows = tiles_of(
        tmp_path, f"tile_id,image_path,mask_path\n{cell},i.tif,m.tif\ngood,j.tif,m.tif\n", lulc_keys=()
    )
    assert isinstance(rows[0], BadRow)
    assert rows[0].tile_id == bad
    assert (
        f"s.csv, row 1 ({bad}): tile_id {bad!r} cannot be the name of a file; give letters" in rows[0].error
    )
    assert rows[1] == Tile("good", tmp_path / "j.tif", {"mask_path": tmp_path / "m.tif"})


@pytest.mark.parametrize("good", ["tile_7", "34TGL-2020", "a.b", "a b", "Ünï", "(1)", "x" * 200])
def test_ids_that_are_file_names(tmp_path, good):
    (tile,) = tiles_of(tmp_path, f"tile_id,image_path,mask_path\n{good},i.tif,m.tif\n", lulc_keys=())
    assert tile.tile_id == good


def test_rows_that_name_no_tile(tmp_path):
    text = "tile_id,image_path,mask_path,esa_path\n,i.tif,m.tif,\na,,m.tif,\nb,i.tif,, \nc,i.tif,m.tif,\nC,i.tif,m.tif,\n"
    empty, imageless, sourceless, tile, again = tiles_of(tmp_path, text, lulc_keys=("esa_path",))
    assert "row 1: tile_id is empty" in empty.error
    assert "row 2 (a): image_path is empty" in imageless.error
    assert "row 3 (b): all of its sources (mask_path, esa_path) are empty" in sourceless.error
    assert tile.tile_id == "c"
    assert "row 5 (C): tile_id 'C' is that of row 4 already" in again.error


def test_all_faults_of_a_row_are_kept(tmp_path):
    text = "tile_id,image_path,mask_path\n../x,,\na,i.tif,m.tif\nA,,m.tif\n"
    bad, good, again = rows_of(tmp_path, text, lulc_keys=())
    assert [fault.column for fault in bad.faults] == ["image_path", "tile_id", ""]
    assert [fault.error.cause.partition(" ")[0] for fault in bad.faults] == ["image_path", "tile_id", "all"]
    assert good.faults == ()
    assert (again.number, [fault.column for fault in again.faults]) == (3, ["image_path", "tile_id"])
    (nameless,) = rows_of(tmp_path, "image_path,mask_path\n,m.tif\n", lulc_keys=())
    assert [fault.column for fault in nameless.faults] == [
        "image_path"
    ]  # it has no name for want of an image


def test_columns_are_required(tmp_path):
    with pytest.raises(TableError, match=r"s.csv: no column 'esri_path' \(is it 'esry_path'\?\)"):
        tiles_of(tmp_path, "image_path,mask_path,esa_path,esry_path\ni,m,e,e\n")
    with pytest.raises(TableError, match=r"s.csv: no column 'mask_path'"):
        tiles_of(tmp_path, "image_path,esa_path\ni,e\n", lulc_keys=("esa_path",))
    with pytest.raises(TableError, match=r"s.csv: has no rows"):
        tiles_of(tmp_path, "image_path,mask_path\n", lulc_keys=())
    (tile,) = tiles_of(tmp_path, "image_path,esa_path\ni.tif,e.tif\n", mask_key=None, lulc_keys=("esa_path",))
    assert list(tile.sources) == ["esa_path"]


def test_columns_that_are_forgotten(tmp_path):
    (tmp_path / "s.csv").write_text("tile_id,image_path,mask_path,esa_path,glc_path,note\n")
    table = read_table(tmp_path / "s.csv")
    assert unused_columns(table, "image_path", ("mask_path", "esa_path")) == ["glc_path"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_classes": 1}, "num_classes: 1 is out of range"),
        ({"alpha": 0.7, "beta": 0.4}, r"alpha \+ beta: 0.7 \+ 0.4 is more than 1"),
        ({"beta": 0.2}, "beta: 0.2 gives weight to embeddings, and there are none"),
        ({"alpha": 0.0, "use_border": False}, r"alpha \+ beta: both are 0"),
        ({"border_radius": 0.0}, "border_radius: 0.0 is no radius"),
        ({"entropy_norm": "max"}, "entropy_norm: there is no 'max'"),
        ({"border_source": "both"}, "border_source: there is no 'both'; choose auto, mask or argmax"),
        ({"border_source": "mask", "mask_key": None}, "border_source: 'mask' needs the column of a mask"),
        ({"mask_key": None, "lulc_keys": ()}, "lulc_keys: without a mask and label maps nothing votes"),
        ({"lulc_keys": ("a", "a")}, "lulc_keys: the column 'a' has two uses"),
        ({"lulc_keys": ("mask_path",)}, "lulc_keys: the column 'mask_path' has two uses"),
        ({"lulc_keys": ("image_path",)}, "lulc_keys: the column 'image_path' has two uses"),
        ({"patch_size": 0}, "patch_size: 0 is no size"),
        ({"patch_size": 8, "stride": 0}, "stride: 0 is no size"),
        ({"stride": 8}, "stride: has no meaning without patches"),
        ({"weights": "best"}, "weights: there is no 'best'; choose equal or learned"),
        ({"aef_source": "s3"}, "aef_source: there is no 's3'; choose gcs or hf"),
        ({"aef_resampling": "cubic"}, "--aef-resampling: 'cubic' mixes"),
        ({"aef_embeddings_dir": Path("aef")}, "aef_embeddings_dir: aef would not be used, because beta is 0"),
        ({"dtype": "int8"}, "dtype: there is no 'int8'; choose float32 or uint8"),
        ({"fingerprint": "md5"}, "fingerprint: there is no 'md5'; choose stat or content"),
        ({"source_weights": {"glc_path": 2.0}}, "source_weights: 'glc_path' is no column that votes"),
        ({"legends": {"glc_path": {1: 0}}}, "legends: 'glc_path' is no column that votes"),
        ({"source_weights": {"esa_path": -1.0}}, "weights: -1.0 is no weight"),
        ({"source_weights": {"esa_path": 2.0}, "weights": "learned"}, "are given, and to be learned as well"),
        (
            {"ignore_codes": (9, 3)},
            "ignore_codes: 3 is a class, since codes are 0 to 3; give codes that mean",
        ),
    ],
)
def test_options_that_cannot_be(changes, message):
    with pytest.raises(OptionError, match=message):
        dataclasses.replace(OPTIONS, **changes)


def test_without_borders_the_constraint_on_alpha_is_lifted():
    assert dataclasses.replace(OPTIONS, alpha=3.0, use_border=False).alpha == 3
