"""Soft labels made when they are first read: against the formulas, the builder, and themselves."""

from __future__ import annotations

import os
import pickle
import sys
import time
import warnings

import numpy as np
import pytest
import rasterio
import torch
from label_rasters import NORTH_UP, UTM, read_band, write_map, write_sources
from rasterio.warp import transform_bounds
from soft_label_oracle import loop_confidence, loop_shares
from torch.utils.data import DataLoader

from coteach import SoftLabelCachedDataset, build_soft_labels, confidence_weight
from coteach.errors import OptionError, RasterError, TableError
from coteach.methods.base import Stream
from coteach.rasters import fingerprint
from coteach.rasters.making import making
from coteach.training.streams import LoaderOptions, make_loader

# the maps hold a few codes that are no class, see Tiles.draw
pytestmark = pytest.mark.filterwarnings("ignore:.*which do not vote")

CLASSES, NODATA = 4, 255
KEYS = ["esa_path", "esri_path"]


class Tiles:
    """Tiles with an image and three label maps of patches with holes, and their table."""

    def __init__(self, folder, *, tiles=2, height=40, width=52, seed=0):
        self.folder = folder
        self.shape = (height, width)
        self.rng = np.random.default_rng(seed)
        self.rows = []
        for number in range(tiles):
            row = {"tile_id": f"t{number}", "image_path": f"i{number}.tif"}
            image = self.rng.integers(1, 255, (2, height, width), dtype=np.uint8)
            write_map(folder / row["image_path"], image)
            for key in ("mask_path", *KEYS):
                row[key] = f"{key}{number}.tif"
                self.draw(row[key])
            self.rows.append(row)
        self.table = write_sources(folder / "sources.csv", self.rows)

    def draw(self, name):
        """Write a label map of squares, with a hole of no data and a few codes that are no class."""
        height, width = self.shape
        small = self.rng.integers(CLASSES, size=(height // 8 + 1, width // 8 + 1), dtype=np.uint8)
        codes = small.repeat(8, 0).repeat(8, 1)[:height, :width].copy()
        codes[:6, :9] = NODATA
        codes[-1, -3:] = 77
        write_map(self.folder / name, codes, nodata=NODATA)

    def codes(self, number=0):
        """The votes of a tile, mask first; -1 where a map does not vote."""
        maps = [read_band(self.folder / self.rows[number][key]) for key in ("mask_path", *KEYS)]
        return np.stack([np.where(one < CLASSES, one.astype(np.int16), np.int16(-1)) for one in maps])

    def data_set(self, cache="cache", **options):
        options = {"lulc_keys": KEYS, "patch_size": (16, 20)} | options
        return SoftLabelCachedDataset(self.table, self.folder / cache, CLASSES, **options)

    def built(self, **options):
        """P_soft and W_conf of tile 0 as files."""
        folder = self.folder / "built"
        report = build_soft_labels(
            self.table, folder, CLASSES, lulc_keys=KEYS, scheduler="serial", dtype="float32", **options
        )
        assert report.failures == ()
        with (
            rasterio.open(folder / "p_soft" / "t0.tif") as p,
            rasterio.open(folder / "w_conf" / "t0.tif") as w,
        ):
            return p.read(), w.read()


@pytest.fixture
def tiles(tmp_path):
    return Tiles(tmp_path)


def parts(item):
    return item["mask"]["mask"].numpy(), item["mask"]["w_conf"].numpy()


def assert_windows_are_those_of(data_set, p_soft, w_conf):
    """Every window of tile 0."""
    looked_at = 0
    for index, row in enumerate(data_set.rows):
        if row["tile_id"] == "t0":
            _, window = data_set.location(index)
            found = parts(data_set[index])
            np.testing.assert_array_equal(found[0], window.cut(p_soft))
            np.testing.assert_array_equal(found[1], window.cut(w_conf))
            looked_at += 1
    assert looked_at


def stamps(folder):
    return {str(file): file.stat().st_mtime_ns for file in sorted(folder.rglob("*.tif"))}


VARIANTS = [
    {"border_source": border, "entropy_norm": norm, "border_radius": radius}
    for border, radius in (("mask", 10), ("mask", 3.5), ("auto", 200), ("argmax", 10))
    for norm in ("max_entropy", "minmax")
]


@pytest.mark.parametrize(
    "options",
    [*VARIANTS, {"use_border": False}, {"alpha": 0.0}, {"alpha": 1.0, "entropy_norm": "minmax"}],
    ids=str,
)
def test_each_window_is_that_part_of_the_tile_bit_by_bit(tiles, options):
    p_soft, w_conf = tiles.built(**options)
    assert_windows_are_those_of(tiles.data_set(**options), p_soft, w_conf)
    # and by the function of a whole tile
    keywords = dict(options)
    border = keywords.pop("border_source", "auto")
    mask = None if border == "argmax" else tiles.codes()[0]
    whole = confidence_weight(p_soft, (tiles.codes() >= 0).any(0), mask_codes=mask, **keywords)
    np.testing.assert_array_equal(w_conf[0], whole)


@pytest.mark.parametrize("options", [VARIANTS[0], VARIANTS[-1]], ids=str)
def test_the_numbers_are_those_of_the_formulas(tmp_path, options):
    tiles = Tiles(tmp_path, tiles=1, height=21, width=26)
    data_set = tiles.data_set(patch_size=None, **options)
    p_soft, w_conf = parts(data_set[0])
    codes = tiles.codes()
    mask = codes[0] if options["border_source"] == "mask" else None
    np.testing.assert_allclose(p_soft, loop_shares(codes, CLASSES), rtol=1e-6)
    expected = loop_confidence(codes, CLASSES, mask, norm=options["entropy_norm"])
    np.testing.assert_allclose(w_conf[0], expected, atol=1e-6)
    voted = (codes >= 0).any(0)
    assert (p_soft[:, ~voted] == 1 / CLASSES).all()
    assert not w_conf[0, ~voted].any()
    assert not voted.all()


@pytest.mark.parametrize(
    "recipe",
    [
        {"source_weights": {"esa_path": 2.5, "esri_path": 0.7}},
        {"legends": {"esa_path": {0: 3, 1: 2, 2: 1, 3: 0, 77: -1}}},
    ],
    ids=str,
)
@pytest.mark.parametrize("border", ["mask", "argmax"])
def test_weights_and_legends_count(tiles, recipe, border):
    plain = tiles.data_set(border_source=border)
    before = [parts(plain[index])[0] for index in range(len(plain))]
    changed = tiles.data_set(border_source=border, **recipe)  # the same cache: it is made anew
    assert_windows_are_those_of(changed, *tiles.built(border_source=border, **recipe))
    assert any((parts(changed[index])[0] != one).any() for index, one in enumerate(before))
    assert_windows_are_those_of(tiles.data_set(border_source=border), *tiles.built(border_source=border))


def test_what_w_conf_alone_depends_on_leaves_the_cache_alone(tiles):
    first = tiles.data_set(border_source="mask")
    other = tiles.data_set(border_source="argmax")
    for index in range(len(first)):
        _ = first[index], other[index]
    made = stamps(tiles.folder / "cache")
    assert len(made) == 2 * 3  # of two tiles P_soft, and distances to two kinds of borders
    for options in (*VARIANTS, {"use_border": False, "alpha": 0.3}, {"alpha": 0.9, "patch_size": None}):
        assert_windows_are_those_of(
            tiles.data_set(**options), *tiles.built(**{k: v for k, v in options.items() if k != "patch_size"})
        )
    assert stamps(tiles.folder / "cache") == made


@pytest.mark.filterwarnings("default")
def test_codes_that_are_no_class_are_told_once(tiles):
    data_set = tiles.data_set()
    with pytest.warns(UserWarning, match="which do not vote") as told:
        parts(data_set[0])
    assert sorted(str(one.message).split(" holds")[0] for one in told) == [*sorted(KEYS), "mask_path"]
    assert all("other than 0 to 3, which do not vote: 77 (first in " in str(one.message) for one in told)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for index in range(len(data_set)):  # the other tile has the same codes
            parts(data_set[index])


def test_another_format_makes_the_files_anew(tiles, monkeypatch):
    parts(tiles.data_set()[0])
    before = stamps(tiles.folder / "cache")
    parts(tiles.data_set()[0])
    assert stamps(tiles.folder / "cache") == before
    monkeypatch.setattr(fingerprint, "_FORMAT", fingerprint._FORMAT + 1)
    parts(tiles.data_set()[0])
    assert all(before[file] != stamp for file, stamp in stamps(tiles.folder / "cache").items())


def test_two_tables_that_name_the_same_files_share_the_cache(tiles):
    parts(tiles.data_set()[0])
    before = stamps(tiles.folder / "cache")
    (tiles.folder / "sub").mkdir()
    rows = [
        {key: cell if key == "tile_id" else f"../{cell}" for key, cell in row.items()} for row in tiles.rows
    ]
    tiles.table = write_sources(tiles.folder / "sub" / "sources.csv", rows)
    parts(tiles.data_set()[0])
    assert stamps(tiles.folder / "cache") == before


def test_a_changed_map_is_noticed_and_only_its_tile_made_anew(tiles):
    first = tiles.data_set(border_source="argmax")
    before = [parts(first[index]) for index in range(len(first))]
    made = stamps(tiles.folder / "cache")
    tiles.draw(tiles.rows[0]["esa_path"])
    os.utime(tiles.folder / tiles.rows[0]["esa_path"], ns=(1, 1))
    again = tiles.data_set(border_source="argmax")
    assert_windows_are_those_of(again, *tiles.built(border_source="argmax"))
    for index, row in enumerate(again.rows):
        if row["tile_id"] == "t1":
            for found, expected in zip(parts(again[index]), before[index], strict=True):
                np.testing.assert_array_equal(found, expected)
    changed = {file for file, stamp in stamps(tiles.folder / "cache").items() if made[file] != stamp}
    assert changed == {str(tiles.folder / "cache" / name) for name in ("t0.tif", "argmax/t0.tif")}


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign", "gone"])
@pytest.mark.parametrize("name", ["t0.tif", "mask/t0.tif"])
def test_a_file_of_the_cache_that_does_not_hold_is_made_again(tiles, damage, name):
    expected = tiles.built()
    assert_windows_are_those_of(tiles.data_set(), *expected)
    file = tiles.folder / "cache" / name
    if damage == "foreign":
        write_map(file, np.ones((1, *tiles.shape), np.uint8))
    elif damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: 20 if damage == "truncated" else 0])
    assert_windows_are_those_of(tiles.data_set(), *expected)


def test_what_a_killed_process_left_is_harmless(tiles):
    stale = tiles.folder / "cache" / ".making.abc"
    stale.mkdir(parents=True)
    (stale / "t0.tif").write_bytes(b"half a f")
    (tiles.folder / "cache" / ".t0.tif.123.part").write_bytes(b"II*")
    assert_windows_are_those_of(tiles.data_set(), *tiles.built())
    left = sorted(path.name for path in (tiles.folder / "cache").glob(".making*"))
    assert left == [".making.abc"]  # and no other


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_what_was_left_long_ago_is_deleted_unless_somebody_is_at_it(tiles):
    cache = tiles.folder / "cache"
    cache.mkdir(parents=True)
    now = time.time()
    with making(cache) as used:
        old, touched = cache / ".making.old", cache / ".making.touched"
        for left in (old, touched):
            left.mkdir()
        for file in (used / "t0.tif", old / "t0.tif", touched / "t0.tif"):
            file.write_bytes(b"half a f")
            os.utime(file, (now - 7 * 3600,) * 2)
        os.utime(touched / "t0.tif", (now - 3600,) * 2)  # somebody was at it an hour ago
        for left in (used, old, touched):
            os.utime(left, (now - 7 * 3600,) * 2)
        sources = tiles.data_set()
        assert sorted(path.name for path in cache.glob(".making*")) == sorted([used.name, touched.name])
        assert (used / "t0.tif").read_bytes() == b"half a f"
    assert_windows_are_those_of(sources, *tiles.built())


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("scale", [[255], {"red": 255}, True, "255", -1, float("nan")])
def test_an_image_scale_that_is_no_number_is_named(tiles, scale):
    with pytest.raises(OptionError, match=r"^image_scale: .* is no number"):
        tiles.data_set(image_scale=scale)


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("warm", [False, True])
def test_workers_on_a_cold_cache_give_the_same_samples(tiles, method, warm):
    if method == "fork" and sys.platform != "linux":
        pytest.skip("fork is not safe there")
    options = {"border_source": "argmax", "entropy_norm": "minmax"}
    alone = tiles.data_set("alone", **options)
    data_set = tiles.data_set(**options)
    if warm:  # files are open when workers are forked
        _ = data_set[0], data_set[len(data_set) - 1]
    loader = DataLoader(data_set, batch_size=1, num_workers=2, multiprocessing_context=method)
    items = list(loader)
    assert len(items) == len(alone) == 2 * 9
    for index, item in enumerate(items):
        for found, expected in zip(parts(item), parts(alone[index]), strict=True):
            np.testing.assert_array_equal(found[0], expected)
        assert torch.equal(item["image"][0], alone[index]["image"])
    assert sorted(path.name for path in (tiles.folder / "cache").iterdir()) == ["argmax", "t0.tif", "t1.tif"]


def test_patches_cover_the_tiles_and_shift_inward_at_the_edge(tiles):
    data_set = tiles.data_set(patch_size=[16, 20], patch_stride=[12, 20])
    windows = [data_set.location(index)[1] for index in range(len(data_set))]
    corners = [(row, col, 16, 20) for row in (0, 12, 24) for col in (0, 20, 32)]
    assert windows == corners * 2
    assert data_set.rows[4] == tiles.rows[0] | {
        "row_off": "12",
        "col_off": "20",
        "patch_h": "16",
        "patch_w": "20",
    }
    assert tuple(data_set[0]["image"].shape) == (2, 16, 20)
    assert (data_set.num_bands, data_set.num_classes) == (2, CLASSES)
    whole = tiles.data_set(patch_size=None)
    assert [whole.location(index)[1] for index in range(len(whole))] == [(0, 0, 40, 52)] * 2
    assert len(tiles.data_set(patch_size=16)) == 2 * 3 * 4


def test_a_sample_has_the_form_of_the_others(tiles):
    data_set = tiles.data_set(in_memory=True)
    item = data_set[3]
    assert item.keys() == {"image", "mask", "path"}
    assert {part.dtype for part in (item["image"], *item["mask"].values())} == {torch.float32}
    path, window = data_set.location(3)
    with rasterio.open(path) as file:
        np.testing.assert_allclose(item["image"], window.cut(file.read()) / 255, rtol=1e-6)
    assert item["path"] == str(path) == str(tiles.folder / "i0.tif")
    assert data_set.path_of(9, "esa_path") == tiles.folder / "esa_path1.tif"
    for other in (data_set.plain(3), pickle.loads(pickle.dumps(data_set))[3], data_set[3]):
        assert torch.equal(other["image"], item["image"])
        for found, expected in zip(parts(other), parts(item), strict=True):
            np.testing.assert_array_equal(found, expected)
    batch = next(iter(make_loader(data_set, Stream(name="train"), LoaderOptions(batch_size=2), seed=0)))
    assert batch.views[0].shape == (2, 2, 16, 20)


def test_a_window_without_image_data_trains_nothing(tiles):
    image = tiles.rng.integers(1, 255, (2, *tiles.shape), dtype=np.uint8)
    image[:, :16, :10] = 0
    write_map(tiles.folder / "i0.tif", image, nodata=0)
    p_soft, w_conf = parts(tiles.data_set()[0])
    assert (p_soft[:, :, :10] == 1 / CLASSES).all()
    assert not w_conf[:, :, :10].any()
    assert w_conf[:, :, 10:].any()


def windows_table(tiles, header, *lines):
    table = tiles.folder / "windows.csv"
    table.write_text("\n".join([header, *lines]) + "\n")
    return table


IMAGE_HEADER, WORLD_HEADER = "tile_id,row_off,col_off,patch_h,patch_w", "tile_id,minx,miny,maxx,maxy"


def test_windows_of_a_table_in_its_order(tiles):
    table = windows_table(tiles, IMAGE_HEADER + ",note", "t1,24,32,16,20,a", "t0,1,2,3,4,b", "t0,0,0,40,52,c")
    data_set = tiles.data_set(windows_csv=table)
    places = [(data_set.location(i)[0].name, data_set.location(i)[1]) for i in range(3)]
    assert places == [("i1.tif", (24, 32, 16, 20)), ("i0.tif", (1, 2, 3, 4)), ("i0.tif", (0, 0, 40, 52))]
    assert [row["note"] for row in data_set.rows] == ["a", "b", "c"]
    assert data_set.path_of(0, "mask_path") == tiles.folder / "mask_path1.tif"
    assert_windows_are_those_of(data_set, *tiles.built())


@pytest.mark.parametrize("crs", [None, "EPSG:4326"])
def test_windows_in_world_coordinates(tiles, crs):
    """Boxes of whole pixels, moved by less than half of one, and back through another CRS."""
    expected = [(3, 5, 16, 20), (0, 0, 16, 20), (24, 32, 16, 20)]
    lines = []
    for number, (row, col, height, width) in enumerate(expected):
        left, top = NORTH_UP @ (col + 0.3 * number, row - 0.2 * number)
        box = (left, top - 10 * height, left + 10 * width, top)
        if crs is not None:
            # the inner box of a slanted one: of a few pixels the difference is far less than half a pixel
            box = transform_bounds(UTM, crs, *box)
        lines.append(f"t{number % 2}," + ",".join(map(repr, box)) + ("" if crs is None else f",{crs}"))
    header = WORLD_HEADER if crs is None else f"{WORLD_HEADER},crs"
    data_set = tiles.data_set(windows_csv=windows_table(tiles, header, *lines), windows_coord_type="world")
    assert [data_set.location(index)[1] for index in range(3)] == expected


@pytest.mark.parametrize(
    ("kind", "header", "line", "message"),
    [
        ("image", IMAGE_HEADER, "t9,0,0,8,8", r"row 1 \(t9\): there is no tile 't9' in the table of sources"),
        (
            "image",
            IMAGE_HEADER,
            "t0,33,0,8,8",
            r"\(t0\): the window of rows 33 to 41 .* leaves the tile of 40 x 52",
        ),
        ("image", IMAGE_HEADER, "t0,-1,0,8,8", "row_off is '-1'"),
        ("image", IMAGE_HEADER, "t0,0,0,0,8", "patch_h is '0'"),
        ("image", WORLD_HEADER, "t0,0,0,0,8", "no column 'row_off'"),
        ("world", WORLD_HEADER, "t0,500000,3999900,here,4000000", "maxx is 'here'"),
        ("world", WORLD_HEADER, "t0,500000,3999900,500000,4000000", "the box .* is empty"),
        ("world", WORLD_HEADER, "t0,499900,3999900,500100,4000000", "leaves the tile of 40 x 52 pixels"),
        ("world", WORLD_HEADER + ",crs", "t0,0,0,1,1,EPSG:nil", "crs is 'EPSG:nil'"),
    ],
)
def test_windows_that_are_none(tiles, kind, header, line, message):
    table = windows_table(tiles, header, line)
    with pytest.raises(TableError, match=message):
        tiles.data_set(windows_csv=table, windows_coord_type=kind)
    assert "windows.csv" in str(table)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch_size": (41, 20)}, r"patch_size: 41 x 20 pixels do not fit into t0 \(.*i0\.tif: 40 x 52\)"),
        ({"patch_size": (16, 0)}, r"patch_size: \(16, 0\) is no size"),
        ({"patch_size": (16, 16, 16)}, "is no size"),
        ({"patch_size": None, "patch_stride": 8}, "patch_stride: has no meaning without patches"),
        (
            {"windows_csv": "sources.csv", "windows_coord_type": "map"},
            "windows_coord_type: there is no 'map'",
        ),
        ({"alpha": 1.2}, "alpha"),
        ({"lulc_keys": ["mask_path"]}, "has two uses"),
        ({"source_weights": {"esa": 1}}, "'esa' is no column that votes"),
    ],
)
def test_options_that_are_none(tiles, options, message):
    with pytest.raises(OptionError, match=message):
        tiles.data_set(**options)


def test_one_bad_file_is_named_and_the_others_are_read(tiles):
    file = tiles.folder / "esa_path1.tif"
    file.write_bytes(file.read_bytes()[:200])
    data_set = tiles.data_set()
    assert data_set[0]
    expected = r"sources\.csv, row 2 \(t1\): t1: source 'esa_path' \(.*esa_path1\.tif\) cannot be read"
    with pytest.raises(RasterError, match=expected):
        data_set[9]
    assert [path.name for path in (tiles.folder / "cache").glob("*.tif")] == ["t0.tif"]


def test_a_tile_without_a_mask(tiles):
    tiles.rows[1]["mask_path"] = ""
    write_sources(tiles.table, tiles.rows)
    data_set = tiles.data_set(border_source="mask")
    assert data_set[0]
    with pytest.raises(RasterError, match=r"t1: 'mask_path' is empty"):
        data_set[9]
    by_argmax, auto = tiles.data_set(border_source="argmax"), tiles.data_set()
    for found, expected in zip(parts(auto[9]), parts(by_argmax[9]), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_table_with_a_bad_row_is_an_error_at_once(tiles):
    write_sources(tiles.table, [*tiles.rows, tiles.rows[0]])
    with pytest.raises(TableError, match=r"row 3 \(t0\): tile_id 't0' is that of row 1"):
        tiles.data_set()


def test_a_folder_that_cannot_be_written_is_named(tiles):
    (tiles.folder / "file").write_text("")
    with pytest.raises(OptionError, match=r"cache_dir .*file: cannot be written"):
        tiles.data_set("file")
