"""What a second build into the same folder makes again, and what it leaves; and tiles that fail alone."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from dask_cluster import running_cluster
from label_rasters import read_band, rows_of, write_image, write_map, write_sources

from coteach.errors import OptionError
from coteach.rasters import tile as tile_module
from coteach.rasters.build import build_soft_labels

SIZE, CLASSES = 24, 3
KEYS = ["a_path", "b_path", "c_path"]
ERRORS = {"a_path": 0.05, "b_path": 0.3, "c_path": 0.6}


@pytest.fixture
def rows(tmp_path):
    """Two tiles of three maps, of which a is the best and c the worst; a mask for those who ask for it."""
    rng = np.random.default_rng(0)
    rows = []
    for tile in range(2):
        truth = rng.integers(CLASSES, size=(SIZE, SIZE)).astype(np.uint8)
        row = {"tile_id": f"t{tile}", "image_path": write_image(tmp_path / f"i{tile}.tif", SIZE, SIZE)}
        row["mask_path"] = write_map(tmp_path / f"m{tile}.tif", truth)
        for key, share in ERRORS.items():
            other = rng.integers(CLASSES, size=truth.shape)
            codes = np.where(rng.random(truth.shape) < share, other, truth).astype(np.uint8)
            row[key] = write_map(tmp_path / f"{key}{tile}.tif", codes)
        rows.append(row | {"d_path": ""})
    return rows


def build(tmp_path, rows, out="out", **options):
    sources = write_sources(tmp_path / "sources.csv", rows)
    options = {"mask_key": None, "lulc_keys": KEYS, "scheduler": "serial"} | options
    return build_soft_labels(sources, tmp_path / out, CLASSES, **options)


def named(row):
    """The row with relative paths."""
    return {key: Path(cell).name for key, cell in row.items()}


def p_soft(tmp_path, out, tile="t0"):
    with rasterio.open(tmp_path / out / "p_soft" / f"{tile}.tif") as file:
        return file.read()


@pytest.mark.parametrize("keys", [KEYS[::-1], [*KEYS, "d_path"], ["d_path", *KEYS[1:], KEYS[0]]])
def test_other_columns_in_the_same_folder_give_what_they_give_in_a_new_one(tmp_path, rows, keys):
    build(tmp_path, rows, weights="learned")
    codes = read_band(rows[1]["mask_path"])
    codes[:8] = 0
    rows[1]["d_path"] = write_map(tmp_path / "d1.tif", codes)  # of one tile there is a fourth map
    again = build(tmp_path, rows, weights="learned", lulc_keys=keys)
    fresh = build(tmp_path, rows, "fresh", weights="learned", lulc_keys=keys)
    np.testing.assert_array_equal(again.fusion.learned.accuracy, fresh.fusion.learned.accuracy)
    best = keys.index("a_path")
    assert again.fusion.learned.accuracy.argmax() == best
    for tile, other in zip(again.tiles, fresh.tiles, strict=True):
        np.testing.assert_array_equal(
            p_soft(tmp_path, "out", tile.tile_id), p_soft(tmp_path, "fresh", tile.tile_id)
        )
        np.testing.assert_array_equal(tile.figures.patterns.codes, other.figures.patterns.codes)


def test_figures_of_equal_votes_follow_the_order_of_the_columns(tmp_path, rows):
    build(tmp_path, rows)
    report = build(tmp_path, rows, lulc_keys=["c_path", "a_path"])
    patterns = report.tiles[0].figures.patterns
    for column, key in enumerate(["c_path", "a_path"]):
        counts = [patterns.counts[patterns.codes[:, column] == code].sum() for code in range(CLASSES)]
        assert counts == np.bincount(read_band(rows[0][key]).ravel(), minlength=CLASSES).tolist()


def test_another_spelling_of_a_path_makes_nothing_again(tmp_path, rows, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    write_sources(tmp_path / "s.csv", [named(row) for row in rows])
    options = {"mask_key": None, "lulc_keys": KEYS, "scheduler": "serial"}
    assert len(build_soft_labels("s.csv", "out", CLASSES, **options).built) == 2
    assert build_soft_labels("sub/../s.csv", "out", CLASSES, **options).built == ()
    assert build_soft_labels(tmp_path / "s.csv", tmp_path / "out", CLASSES, **options).built == ()


def test_a_linked_folder_that_leads_elsewhere_is_noticed(tmp_path, rows):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_map(tmp_path / name / "a.tif", read_band(rows[0]["a_path"]) if name == "one" else np.zeros((SIZE, SIZE), np.uint8))  # fmt: skip
    stamp = (tmp_path / "one" / "a.tif").stat()
    os.utime(tmp_path / "two" / "a.tif", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    (tmp_path / "link").symlink_to("one")
    rows = [rows[0] | {"a_path": tmp_path / "link" / "a.tif"}]
    assert build(tmp_path, rows).built == ("t0",)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("two")
    assert build(tmp_path, rows).built == ("t0",)


def test_the_radius_counts_only_where_the_mask_gives_the_borders(tmp_path, rows):
    rows[1]["mask_path"] = ""
    build(tmp_path, rows, mask_key="mask_path")
    assert build(tmp_path, rows, mask_key="mask_path", border_radius=5).built == ("t0",)
    build(tmp_path, rows, mask_key="mask_path", border_source="argmax")
    again = build(tmp_path, rows, mask_key="mask_path", border_source="argmax", border_radius=5)
    assert again.built == ()


def test_the_manifest_of_another_kind_does_not_stay_behind(tmp_path, rows):
    build(tmp_path, rows, patch_size=12)
    assert len(rows_of(tmp_path / "out" / "soft_label_patches.csv")) == 8
    build(tmp_path, rows[:1])
    assert [file.name for file in (tmp_path / "out").glob("*.csv")] == ["soft_label_manifest.csv"]
    build(tmp_path, rows, patch_size=12)
    assert [file.name for file in (tmp_path / "out").glob("*.csv")] == ["soft_label_patches.csv"]


@pytest.mark.parametrize(
    "options",
    [{}, {"entropy_norm": "minmax"}, {"border_source": "argmax"}, {"use_border": False}],
    ids=str,
)
@pytest.mark.parametrize("threads", [1, 3])
def test_each_pixel_of_an_unknown_code_counts_once(tmp_path, options, threads):
    """Blocks overlap by the halo of the borders, and some are read twice."""
    height = 1100  # blocks have 512 rows
    codes = (np.indices((height, 20)).sum(0) // 7 % CLASSES).astype(np.uint8)
    codes[505:520], codes[1020:1026, :3], codes[3] = 77, 78, 79
    row = {
        "tile_id": "t",
        "image_path": write_image(tmp_path / "i.tif", height, 20),
        "mask_path": write_map(tmp_path / "m.tif", codes),
    }
    sources = write_sources(tmp_path / "s.csv", [row])
    report = build_soft_labels(
        sources, tmp_path / "out", CLASSES, **options, scheduler="threads", max_workers=threads
    )
    assert report.unknown == {"mask_path": {77: 15 * 20, 78: 6 * 3, 79: 20}}


VRT = """<VRTDataset rasterXSize="24" rasterYSize="24"><SRS>EPSG:32617</SRS>
<GeoTransform>500000, 10, 0, 4000000, 0, -10</GeoTransform>
<MaskBand><VRTRasterBand dataType="Byte"><SimpleSource><SourceFilename relativeToVRT="1">part.tif</SourceFilename>
<SourceBand>mask,1</SourceBand></SimpleSource></VRTRasterBand></MaskBand>
<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename relativeToVRT="1">part.tif</SourceFilename>
<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"""


def mask_beside(path, valid):
    """Write ``path.msk`` as GDAL keeps it."""
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as file:
        file.write_mask(valid)
    assert path.with_name(f"{path.name}.msk").is_file()


def test_the_mask_beside_a_part_of_a_vrt_is_noticed(tmp_path, rows):
    part = write_map(tmp_path / "part.tif", read_band(rows[0]["a_path"]))
    (tmp_path / "whole.vrt").write_text(VRT)
    rows = [rows[0] | {"a_path": tmp_path / "whole.vrt"}]
    assert build(tmp_path, rows, lulc_keys=["a_path"]).no_vote == 0
    half = np.ones((SIZE, SIZE), bool)
    half[:10] = False
    mask_beside(part, half)
    assert build(tmp_path, rows, lulc_keys=["a_path"]).no_vote == 10 * SIZE


def test_the_mask_beside_embeddings_is_noticed(tmp_path, rows):
    folder = tmp_path / "aef"
    vectors = np.random.default_rng(1).normal(size=(4, SIZE, SIZE)).astype(np.float32)
    file = write_map(folder / "t0.tif", vectors)
    options = {"alpha": 0.5, "beta": 0.2, "aef_embeddings_dir": folder}
    assert build(tmp_path, rows[:1], **options).no_embedding == 0
    valid = np.ones((SIZE, SIZE), bool)
    valid[18:] = False
    mask_beside(file, valid)
    assert build(tmp_path, rows[:1], **options).no_embedding == 0.25


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"junk", "cannot be read"),
        (np.ones(9, np.float32), "have 9 components, most have 8"),
        (np.zeros(8, np.float32), "holds NoData, NaN or nothing but zeros"),
    ],
    ids=["junk", "longer", "zeros"],
)
def test_an_embedding_of_no_use_fails_its_tile_only(tmp_path, rows, content, message):
    folder = tmp_path / "aef"
    folder.mkdir()
    rows = [*rows, rows[0] | {"tile_id": "t2"}]
    for tile in ("t0", "t1", "t2"):
        np.save(folder / f"{tile}.npy", np.random.default_rng(1).normal(size=8).astype(np.float32))
    if isinstance(content, bytes):
        (folder / "t1.npy").write_bytes(content)
    else:
        np.save(folder / "t1.npy", content)
    report = build(tmp_path, rows, alpha=0.5, beta=0.2, aef_embeddings_dir=folder, aef_source="hf")
    assert report.built == ("t0", "t2")
    [(tile, error)] = report.failures
    assert tile == "t1"
    assert message in error
    assert [row["tile_id"] for row in rows_of(tmp_path / "out" / "failures.csv")] == ["t1"]


@pytest.mark.parametrize("weights", ["equal", "learned"])
def test_an_error_that_nobody_foresaw_fails_its_tile_only(tmp_path, rows, monkeypatch, weights):
    real = tile_module._image_grid

    def breaks(tile, options):
        if tile.tile_id == "t1":
            raise IndexError("index 7 is out of bounds")
        return real(tile, options)

    monkeypatch.setattr(tile_module, "_image_grid", breaks)
    report = build(tmp_path, rows, weights=weights)
    assert report.built == ("t0",)
    [(tile, error)] = report.failures
    assert tile == "t1"
    assert "IndexError: index 7 is out of bounds" in error


@pytest.mark.parametrize(
    ("legend", "message"),
    [
        ({0: 0, 77: 3}, "class 3 for code 77, but classes are 0 to 2"),
        ({0: 0, 77: -2}, "class -2 for code 77"),
        ({}, "is empty"),
        ({"0": 0}, "'0': 0, which is no pair of integers"),
        ({0: 1.5}, "no pair of integers"),
        ({0: True}, "no pair of integers"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_a_legend_that_leads_to_no_class_is_refused(tmp_path, rows, legend, message):
    with pytest.raises(OptionError, match="legend of 'a_path'") as refused:
        build(tmp_path, rows, legends={"a_path": legend})
    assert message in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_too_few_sources_to_learn_from_are_refused_before_anything_is_counted(tmp_path, rows):
    with pytest.raises(OptionError, match="2 of the sources vote"):
        build(tmp_path, rows, weights="learned", lulc_keys=KEYS[:2])
    assert not (tmp_path / "out").exists()


def test_only_weights_in_8_bits_have_a_scale(tmp_path, rows):
    build(tmp_path, rows, dtype="uint8", votes_band=True)
    with rasterio.open(tmp_path / "out" / "w_conf" / "t0.tif") as file:
        assert file.scales == (1 / 255, 1.0)
        assert file.read(2).max() == 3


def test_a_worker_of_a_cluster_elsewhere_writes_to_the_folder_that_was_meant(tmp_path, rows, monkeypatch):
    from distributed import Client

    write_sources(tmp_path / "s.csv", [named(row) for row in rows])
    (tmp_path / "aef").mkdir()
    write_map(tmp_path / "aef" / "t0.tif", np.ones((4, SIZE, SIZE), np.float32))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    options = {"mask_key": None, "lulc_keys": KEYS, "alpha": 0.5, "beta": 0.2, "aef_embeddings_dir": "aef"}
    with running_cluster(1) as cluster:
        with Client(cluster) as client:
            client.run(os.chdir, str(elsewhere))
        report = build_soft_labels("s.csv", "out", CLASSES, **options, scheduler=cluster.scheduler_address)
    assert report.failures == ()
    assert not list(elsewhere.rglob("*.tif"))
    assert report.no_embedding == 0.5  # one of two tiles has them
    with (tmp_path / "out" / "soft_label_manifest.csv").open() as stream:
        for row in csv.DictReader(stream):
            assert (tmp_path / "out" / row["p_soft_path"]).is_file()


def test_files_that_a_worker_wrote_on_another_computer_are_missed(tmp_path, rows, monkeypatch):
    from coteach.rasters import build_passes

    def made_elsewhere(task, *, output_dir, **rest):
        result = tile_module.build_tile(task, output_dir=output_dir, **rest)
        if task.tile.tile_id == "t1":
            (output_dir / "w_conf" / "t1.tif").unlink()
        return result

    monkeypatch.setattr(build_passes, "build_tile", made_elsewhere)
    report = build(tmp_path, rows)
    assert report.built == ("t0",)
    [(tile, error)] = report.failures
    assert tile == "t1"
    assert "is not there" in error
