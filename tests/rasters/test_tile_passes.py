"""What is made block by block is what the formulas give for the whole tile, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from label_rasters import read_band, write_image, write_map, write_sources
from rasterio import Affine
from soft_label_oracle import loop_nearest

from coteach.errors import RasterError
from coteach.labels.confidence import confidence_weight
from coteach.labels.votes import vote_shares
from coteach.rasters import argmax_border
from coteach.rasters import blocks as blocks_module
from coteach.rasters import scratch as scratch_module
from coteach.rasters.blocks import blocks, in_order, padded
from coteach.rasters.build import build_soft_labels
from coteach.rasters.grid import Window

HEIGHT, WIDTH, CLASSES = 45, 61, 4
OPTIONS = {
    "mask": {},
    "mask, wide": {"border_radius": 30.5},
    "minmax": {"entropy_norm": "minmax"},
    "argmax": {"border_source": "argmax"},
    "argmax, minmax": {"border_source": "argmax", "entropy_norm": "minmax", "alpha": 0.3},
    "no border": {"use_border": False},
    "weights": {"source_weights": {"esa_path": 2.0, "glc_path": 0.3}, "border_source": "argmax"},
}


@pytest.fixture
def maps():
    rng = np.random.default_rng(4)
    coarse = rng.integers(-1, CLASSES, (3, 9, 13))
    fine = np.repeat(np.repeat(coarse, 5, 1), 5, 2)[:, :HEIGHT, :WIDTH]
    noise = rng.random((3, HEIGHT, WIDTH)) < 0.02
    return np.where(noise, 3, fine).astype(np.int16)


@pytest.fixture
def sources(tmp_path, maps):
    write_image(tmp_path / "image.tif", HEIGHT, WIDTH)
    row = {"tile_id": "a", "image_path": "image.tif"}
    for name, codes in zip(("mask", "esa", "glc"), maps, strict=True):
        write_map(tmp_path / f"{name}.tif", codes, nodata=-1)
        row[f"{name}_path"] = f"{name}.tif"
    return write_sources(tmp_path / "sources.csv", [row])


def build(sources, out, **options):
    report = build_soft_labels(
        sources, out, CLASSES, lulc_keys=["esa_path", "glc_path"], **{"max_workers": 1} | options
    )
    assert report.failures == ()
    return report


def small_blocks(monkeypatch, rows=8, cols=16):
    for module in (blocks_module, argmax_border):
        monkeypatch.setattr(module, "ROWS", rows)
    monkeypatch.setattr(blocks_module, "COLS", cols)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_blocks_give_what_the_whole_gives(tmp_path, sources, maps, monkeypatch, options, in_file, threads):
    small_blocks(monkeypatch)
    if in_file:
        monkeypatch.setattr(scratch_module, "_IN_MEMORY", 0)
    report = build(sources, tmp_path / "out", **options, scheduler="threads", max_workers=threads)

    weights = options.get("source_weights")
    each = None if weights is None else [1.0, weights["esa_path"], weights["glc_path"]]
    p_soft, votes = vote_shares(maps, CLASSES, each)
    rest = {
        key: options[key]
        for key in ("alpha", "entropy_norm", "use_border", "border_radius")
        if key in options
    }
    of_argmax = options.get("border_source") == "argmax"
    expected = confidence_weight(p_soft, votes > 0, mask_codes=None if of_argmax else maps[0], **rest)
    with rasterio.open(tmp_path / "out/p_soft/a.tif") as file:
        np.testing.assert_array_equal(file.read(), p_soft)
        np.testing.assert_array_equal(file.dataset_mask() > 0, votes > 0)
    np.testing.assert_array_equal(read_band(tmp_path / "out/w_conf/a.tif"), expected)
    figures = report.tiles[0].figures
    assert (figures.no_vote, sum(figures.counts)) == (np.count_nonzero(votes == 0), HEIGHT * WIDTH)
    assert not list((tmp_path / "out").rglob("*.part"))


def test_many_sources_have_more_patterns_than_a_table(tmp_path, sources, maps, monkeypatch):
    build(sources, tmp_path / "one", border_source="argmax")
    monkeypatch.setattr("coteach.labels.fusion._WHOLE", 10)
    build(sources, tmp_path / "two", border_source="argmax")
    for kind in ("p_soft", "w_conf"):
        files = [tmp_path / out / kind / "a.tif" for out in ("one", "two")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_without_any_border_argmax_weighs_1_where_there_is_a_vote(tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    codes = np.full((20, 20), 2, np.int16)
    codes[:3] = -1
    row = {"tile_id": "a", "image_path": write_image(tmp_path / "i.tif", 20, 20)}
    row["mask_path"] = write_map(tmp_path / "m.tif", codes, nodata=-1)
    table = write_sources(tmp_path / "s.csv", [row])
    report = build_soft_labels(table, tmp_path / "out", 3, border_source="argmax", max_workers=1)
    assert report.failures == ()
    np.testing.assert_array_equal(read_band(tmp_path / "out/w_conf/a.tif"), codes >= 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.int32, np.float32])
@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32617", Affine(7, 0, 500003, 0, -7, 3999990)),
        ("EPSG:32617", Affine(10, 0, 500020, 0, 10, 3999700)),
        ("EPSG:32617", Affine(9, 3, 499900, 3, -9, 4000000)),
        ("EPSG:4326", Affine(1e-4, 0, -81, 0, -1e-4, 36.145)),
    ],
    ids=["finer", "south-up", "rotated", "other CRS"],
)
def test_sources_on_other_grids(tmp_path, monkeypatch, dtype, crs, transform):
    small_blocks(monkeypatch)
    image = write_image(tmp_path / "image.tif", 30, 35)
    codes = np.random.default_rng(1).integers(0, 5, (60, 70)).astype(dtype)
    source = write_map(tmp_path / "map.tif", codes, crs=crs, transform=transform, nodata=4)
    table = write_sources(tmp_path / "s.csv", [{"image_path": image, "esa_path": source}])
    report = build_soft_labels(
        table, tmp_path / "out", 4, mask_key=None, lulc_keys=["esa_path"], max_workers=1, use_border=False
    )
    assert report.failures == ()
    expected = loop_nearest(image, source, 4)
    assert np.count_nonzero(expected >= 0) > 0
    with rasterio.open(tmp_path / "out/p_soft/image.tif") as file:
        p_soft, valid = file.read(), file.dataset_mask() > 0
    np.testing.assert_array_equal(np.where(valid, p_soft.argmax(axis=0), -1), expected)


def test_legends_give_codes_their_classes(tmp_path):
    image = write_image(tmp_path / "image.tif", 2, 3)
    esa = write_map(tmp_path / "esa.tif", np.array([[10, 20, 95], [10, 0, 30]], np.uint8), nodata=0)
    table = write_sources(tmp_path / "s.csv", [{"tile_id": "a", "image_path": image, "esa_path": esa}])
    options = {"mask_key": None, "lulc_keys": ["esa_path"], "max_workers": 1, "use_border": False}
    legend = {10: 2, 20: 0, 30: 1, 95: -1}
    report = build_soft_labels(table, tmp_path / "out", 3, legends={"esa_path": legend}, **options)
    assert (report.failures, report.unknown) == ((), {})
    with rasterio.open(tmp_path / "out/p_soft/a.tif") as file:
        found = np.where(file.dataset_mask() > 0, file.read().argmax(axis=0), -1)
    assert found.tolist() == [[2, 0, -1], [2, -1, 1]]

    report = build_soft_labels(table, tmp_path / "out", 3, legends={"esa_path": {10: 2}}, **options)
    ((tile, error),) = report.failures
    assert tile == "a"
    assert error == (
        f"a: source 'esa_path' ({esa}) holds codes that its legend lacks: 20 (1 pixels), 30 (1 pixels), 95 (1 "
        "pixels); add them to the legend (--legend esa_path=…), as a class or as ignore"
    )


def test_8_bits_and_the_votes_band(tmp_path, sources, maps):
    build(sources, tmp_path / "out", dtype="uint8", votes_band=True)
    p_soft, votes = vote_shares(maps, CLASSES)
    with rasterio.open(tmp_path / "out/p_soft/a.tif") as file:
        assert (file.dtypes[0], file.tags()["SOFT_LABEL_PARTS"]) == ("uint8", "votes")
        np.testing.assert_array_equal(
            file.read(), [np.count_nonzero(maps == c, axis=0) for c in range(CLASSES)]
        )
    weight = confidence_weight(p_soft, votes > 0, mask_codes=maps[0])
    with rasterio.open(tmp_path / "out/w_conf/a.tif") as file:
        assert (file.descriptions, file.scales[0]) == (("W_conf", "votes"), 1 / 255)
        stored, counted = file.read()
    np.testing.assert_array_equal(counted, votes)
    assert np.abs(stored / 255 - weight).max() <= 0.5 / 255 + 1e-6


def test_cloud_optimised_files_hold_the_same(tmp_path, monkeypatch):
    codes = np.random.default_rng(0).integers(-1, 3, (600, 700)).astype(np.int16)
    row = {"tile_id": "a", "image_path": write_image(tmp_path / "i.tif", 600, 700)}
    row["mask_path"] = write_map(tmp_path / "m.tif", codes, nodata=-1)
    table = write_sources(tmp_path / "s.csv", [row])
    for out, options in (("plain", {}), ("cog", {"cog": True}), ("again", {"cog": True})):
        build_soft_labels(table, tmp_path / out, 3, max_workers=1, **options)
    for kind in ("p_soft", "w_conf"):
        with (
            rasterio.open(tmp_path / "plain" / kind / "a.tif") as plain,
            rasterio.open(tmp_path / "cog" / kind / "a.tif") as cog,
        ):
            np.testing.assert_array_equal(cog.read(), plain.read())
            np.testing.assert_array_equal(cog.dataset_mask(), plain.dataset_mask())
            assert cog.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert cog.overviews(1) == [2, 4] or cog.overviews(1) == [2]
            assert (cog.descriptions, cog.crs, cog.transform) == (
                plain.descriptions,
                plain.crs,
                plain.transform,
            )
        assert (tmp_path / "cog" / kind / "a.tif").read_bytes() == (
            tmp_path / "again" / kind / "a.tif"
        ).read_bytes()
    assert not list(tmp_path.rglob("*.part"))


def test_blocks_cover_a_raster_once():
    seen = np.zeros((1100, 4100), np.int64)
    for window in blocks(1100, 4100):
        window.cut(seen)[:] += 1
        around, inner = padded(window, 7, 1100, 4100)
        assert (around.row_off + inner.row_off, around.col_off + inner.col_off) == window[:2]
        assert around.row_off == max(0, window.row_off - 7)
    assert (seen == 1).all()


def test_an_error_in_a_block_ends_the_work():
    def work(window):
        if window.row_off == 512:
            raise RasterError("tile", "is broken", "mend it")
        return window.row_off

    results = in_order(work, blocks(5120, 10), threads=3)
    assert next(results) == (Window(0, 0, 512, 10), 0)
    with pytest.raises(RasterError):
        next(results)
