from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager

import numpy as np
import pytest
import rasterio
from label_rasters import NORTH_UP, UTM, read_band, rows_of, write_image, write_map, write_sources
from left_files import NO_PROCESS, left_by
from rasterio import Affine
from soft_label_oracle import loop_confidence, loop_nearest, loop_shares

import coteach
from coteach.errors import OptionError, TableError
from coteach.rasters import build_passes, tile_files
from coteach.rasters import tile as tile_module
from coteach.rasters.build import build_soft_labels
from coteach.rasters.tile_passes import TilePasses

HEIGHT, WIDTH, CLASSES = 18, 22, 3
KEYS = ("esa_path", "esri_path")
GEOGRAPHIC = Affine(1e-4, 0, -81.0005, 0, -1e-4, 36.1457)


def codes_of(seed, shape=(HEIGHT, WIDTH), high=CLASSES):
    """Regions of a few pixels."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, high, (shape[0] // 4 + 1, shape[1] // 4 + 1))
    return small.repeat(4, 0).repeat(4, 1)[: shape[0], : shape[1]].astype(np.uint8)


def make_tile(folder, name, seed):
    """An image and three maps: same grid with NoData, another CRS, coarser and rotated with unknown codes."""
    mask = codes_of(seed)
    mask[:3, :5] = 255
    turned = Affine.translation(500020, 4000000) @ Affine.rotation(8) @ Affine.scale(15, -15)
    return {
        "tile_id": name,
        "image_path": write_image(folder / f"i/{name}.tif", HEIGHT, WIDTH),
        "mask_path": write_map(folder / f"m/{name}.tif", mask, nodata=255),
        "esa_path": write_map(
            folder / f"e/{name}.tif", codes_of(seed + 1, (36, 40)), transform=GEOGRAPHIC, crs="EPSG:4326"
        ),
        "esri_path": write_map(
            folder / f"s/{name}.tif", codes_of(seed + 2, (16, 20), CLASSES + 2), transform=turned
        ),
    }


@pytest.fixture
def rows(tmp_path):
    rows = [make_tile(tmp_path, f"tile_{n}", 10 * n) for n in range(3)]
    for row in rows:
        row.update({key: path.relative_to(tmp_path) for key, path in row.items() if key != "tile_id"})
    return rows


@pytest.fixture
def sources(tmp_path, rows):
    return write_sources(tmp_path / "sources.csv", rows)


def build(sources, output_dir, num_classes=CLASSES, **options):
    return build_soft_labels(
        sources, output_dir, num_classes, **({"lulc_keys": KEYS, "max_workers": 1} | options)
    )


def outputs(folder):
    """Name -> content of all files but the records, which hold times."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def oracle_codes(tmp_path, row, keys=("mask_path", *KEYS)):
    return np.stack(
        [loop_nearest(tmp_path / row["image_path"], tmp_path / row[key], CLASSES) for key in keys]
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 0.25, "border_radius": 2.5},
        {"border_source": "argmax"},
        {"border_source": "mask", "entropy_norm": "minmax"},
        {"use_border": False, "alpha": 5.0},
        {"alpha": 0.0, "border_source": "argmax"},
    ],
)
def test_files_are_those_of_the_loops(tmp_path, sources, rows, options):
    report = build(sources, tmp_path / "out", **options)
    assert report.built == ("tile_0", "tile_1", "tile_2")
    no_vote = ties = 0
    for row, listed in zip(rows, rows_of(report.manifest), strict=True):
        codes = oracle_codes(tmp_path, row)
        voted = (codes >= 0).any(0)
        shares = loop_shares(codes, CLASSES)
        expected = loop_confidence(
            codes,
            CLASSES,
            None if options.get("border_source") == "argmax" else codes[0],
            alpha=options.get("alpha", 0.6),
            use_border=options.get("use_border", True),
            radius=options.get("border_radius", 10),
            norm=options.get("entropy_norm", "max_entropy"),
        )
        with (
            rasterio.open(tmp_path / "out" / listed["p_soft_path"]) as p_soft,
            rasterio.open(tmp_path / "out" / listed["w_conf_path"]) as w_conf,
        ):
            np.testing.assert_allclose(p_soft.read(), shares, atol=1e-6)
            np.testing.assert_allclose(w_conf.read(), expected[None], atol=2e-6)
            np.testing.assert_array_equal(p_soft.read_masks(1) > 0, voted)
            np.testing.assert_array_equal(w_conf.read_masks(1) > 0, voted)
            assert p_soft.dtypes == ("float32",) * CLASSES
            assert w_conf.dtypes == ("float32",)
            assert p_soft.transform == w_conf.transform == NORTH_UP
            assert p_soft.crs == w_conf.crs == UTM
        no_vote += (~voted).sum()
        ties += (voted & ((shares == shares.max(0)).sum(0) > 1)).sum()
    assert (report.pixels, report.no_vote, report.ties) == (3 * HEIGHT * WIDTH, no_vote, ties)
    assert ties > 0


def test_a_hand_worked_tile(tmp_path):
    """The mask's border lies between columns 1 and 2; R = 2; the third source is absent."""
    maps = {
        "mask_path": [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [255, 0, 1, 1]],
        "esa_path": [[0, 0, 1, 1], [0, 1, 1, 0], [0, 1, 1, 1], [255, 0, 1, 255]],
    }
    row = {"image_path": write_image(tmp_path / "t.tif", 4, 4), "esri_path": ""}
    row |= {
        key: write_map(tmp_path / f"{key}.tif", np.array(codes, np.uint8), nodata=255)
        for key, codes in maps.items()
    }
    write_sources(tmp_path / "sources.csv", [row])
    report = build(tmp_path / "sources.csv", tmp_path / "out", border_radius=2.0, num_classes=2)
    with rasterio.open(tmp_path / "out/p_soft/t.tif") as file:
        first, second = file.read()
    half = 0.5
    assert first.tolist() == [[1, 1, 0, 0], [1, half, 0, half], [1, half, 0, 0], [half, 1, 0, 0]]
    assert second.tolist() == [[0, 0, 1, 1], [0, half, 1, half], [0, half, 1, 1], [half, 0, 1, 1]]
    # 0.6 where both agree, and at the outer columns 0.4 * 1/2 for the border's distance of 1; 0 without a vote
    expected = [[0.8, 0.6, 0.6, 0.8], [0.8, 0, 0.6, 0.2], [0.8, 0, 0.6, 0.8], [0, 0.6, 0.6, 0.8]]
    np.testing.assert_allclose(read_band(tmp_path / "out/w_conf/t.tif"), expected, atol=1e-6)
    assert (report.pixels, report.no_vote, report.ties) == (16, 1, 3)


def test_the_manifest_leads_to_the_files_from_its_folder(tmp_path, sources, rows):
    report = build(sources, tmp_path / "deep" / "out")
    assert report.manifest == tmp_path / "deep" / "out" / "soft_label_manifest.csv"
    listed = rows_of(report.manifest)
    assert listed[1] == {
        "tile_id": "tile_1",
        "image_path": "../../i/tile_1.tif",
        "p_soft_path": "p_soft/tile_1.tif",
        "w_conf_path": "w_conf/tile_1.tif",
    }
    for row in listed:
        assert all((report.manifest.parent / row[key]).is_file() for key in row if key.endswith("_path"))


def test_a_patch_manifest(tmp_path, sources):
    report = build(sources, tmp_path / "out", patch_size=8, stride=8)
    assert report.manifest.name == "soft_label_patches.csv"
    assert not (tmp_path / "out" / "soft_label_manifest.csv").exists()
    listed = rows_of(report.manifest)
    assert list(listed[0]) == [
        "tile_id", "image_path", "p_soft_path", "w_conf_path", "row_off", "col_off", "patch_size",
    ]  # fmt: skip
    corners = [(int(row["row_off"]), int(row["col_off"])) for row in listed if row["tile_id"] == "tile_2"]
    assert corners == [(top, left) for top in (0, 8, 10) for left in (0, 8, 14)]
    assert {row["patch_size"] for row in listed} == {"8"}
    # the stride is the patch size if not given
    assert rows_of(build(sources, tmp_path / "out", patch_size=8).manifest) == listed


@pytest.mark.parametrize("workers", [2, 3])
def test_the_number_of_workers_changes_no_byte(tmp_path, sources, workers):
    build(sources, tmp_path / "one", patch_size=16)
    report = build(sources, tmp_path / "many", patch_size=16, max_workers=workers)
    assert len(report.built) == 3
    one, many = outputs(tmp_path / "one"), outputs(tmp_path / "many")
    assert len(one) == 7
    assert many == one


def test_the_order_of_sources_and_a_silent_source_change_nothing(tmp_path, rows, sources):
    build(sources, tmp_path / "a", border_source="argmax")
    build(sources, tmp_path / "b", border_source="argmax", lulc_keys=KEYS[::-1])
    silent = write_map(tmp_path / "silent.tif", np.full((HEIGHT, WIDTH), 255, np.uint8), nodata=255)
    write_sources(tmp_path / "more.csv", [row | {"glc_path": silent} for row in rows])
    build(tmp_path / "more.csv", tmp_path / "c", border_source="argmax", lulc_keys=(*KEYS, "glc_path"))
    assert outputs(tmp_path / "a") == outputs(tmp_path / "b") == outputs(tmp_path / "c")


def test_without_the_mask_it_neither_votes_nor_gives_borders(tmp_path, rows, sources):
    build(sources, tmp_path / "out", mask_key=None)
    codes = oracle_codes(tmp_path, rows[0], KEYS)
    np.testing.assert_allclose(
        read_band(tmp_path / "out/w_conf/tile_0.tif"), loop_confidence(codes, CLASSES), atol=2e-6
    )
    with rasterio.open(tmp_path / "out/p_soft/tile_0.tif") as file:
        np.testing.assert_allclose(file.read(), loop_shares(codes, CLASSES), atol=1e-6)


def test_auto_takes_the_argmax_where_a_tile_has_no_mask(tmp_path, rows):
    rows[1]["mask_path"] = ""
    sources = write_sources(tmp_path / "sources.csv", rows)
    assert build(sources, tmp_path / "out").failures == ()
    codes = oracle_codes(tmp_path, rows[1], KEYS)
    np.testing.assert_allclose(
        read_band(tmp_path / "out/w_conf/tile_1.tif"), loop_confidence(codes, CLASSES), atol=2e-6
    )
    report = build(sources, tmp_path / "other", border_source="mask")
    assert report.built == ("tile_0", "tile_2")
    ((tile, error),) = report.failures
    assert (tile, error) == (
        "tile_1",
        (
            "tile_1: 'mask_path' is empty, and --border-source mask needs a mask; fill the cell, or use "
            "--border-source auto"
        ),
    )


def test_unknown_codes_are_counted(tmp_path, rows, sources):
    report = build(sources, tmp_path / "out")
    expected = {}
    for row in rows:
        met = loop_nearest(tmp_path / row["image_path"], tmp_path / row["esri_path"], 99)
        for code in (CLASSES, CLASSES + 1):
            expected[code] = expected.get(code, 0) + int((met == code).sum())
    assert report.unknown == {"esri_path": expected}
    assert min(expected.values()) > 0
    assert build(sources, tmp_path / "out").unknown == report.unknown  # remembered, too


def test_codes_that_mean_no_vote_are_not_reported(tmp_path, sources):
    counts = build(sources, tmp_path / "out").unknown["esri_path"]
    report = build(sources, tmp_path / "out", ignore_codes=[CLASSES])
    assert (report.built, report.unknown) == ((), {"esri_path": {CLASSES + 1: counts[CLASSES + 1]}})
    assert build(sources, tmp_path / "out", ignore_codes=[CLASSES, CLASSES + 1, -1]).unknown == {}
    with pytest.raises(OptionError, match="ignore_codes: 2 is a class"):
        build(sources, tmp_path / "out", ignore_codes=[2])


def test_findings_are_told_before_anything_is_written(tmp_path, rows):
    rows[1]["esa_path"] = "none.tif"
    told = []

    def tell(findings):
        assert not (tmp_path / "out").exists()
        told.extend(findings)

    report = build(write_sources(tmp_path / "s.csv", rows), tmp_path / "out", tell_findings=tell)
    ((row, cause),) = [(one.row, one.cause) for one in told if one.severity == "error"]
    assert (row, cause) == (2, "does not exist")
    assert [tile for tile, _ in report.failures] == ["tile_1"]
    assert {one.column for one in told if one.severity == "note"} == {"esa_path", "esri_path"}


def fails(tmp_path, rows, **changes):
    """The error of tile_1 with changed cells; the other tiles are built."""
    rows[1].update(changes)
    report = build(write_sources(tmp_path / "sources.csv", rows), tmp_path / "out")
    assert report.built + report.up_to_date == ("tile_0", "tile_2")
    assert [row["tile_id"] for row in rows_of(report.manifest)] == ["tile_0", "tile_2"]
    ((tile, error),) = report.failures
    assert tile == "tile_1"
    assert rows_of(tmp_path / "out" / "failures.csv") == [{"tile_id": tile, "error": error}]
    assert not list((tmp_path / "out").rglob("*.part"))
    return error


def test_bad_files_fail_their_tile_only(tmp_path, rows):
    good = dict(rows[1])
    codes = codes_of(1)
    away = write_map(tmp_path / "away.tif", codes, transform=Affine(10, 0, 900000, 0, -10, 4000000))
    lost = write_map(tmp_path / "lost.tif", codes, crs=None)
    half = write_map(tmp_path / "half.tif", codes + np.float32(0.5))
    cut = write_map(tmp_path / "cut.tif", codes_of(1, (300, 300)))
    cut.write_bytes(cut.read_bytes()[:-200])
    cut_image = write_image(tmp_path / "cut_image.tif", 300, 300)
    cut_image.write_bytes(cut_image.read_bytes()[:-200])

    error = fails(tmp_path, rows, esa_path="none.tif")
    assert error == f"tile_1: source 'esa_path' ({tmp_path}/none.tif) does not exist; correct the path"
    error = fails(tmp_path, rows, **good | {"esri_path": away})
    assert error == (
        f"tile_1: source 'esri_path' ({away}) does not overlap the image; give a raster that covers the image, or "
        "leave it out for this tile"
    )
    error = fails(tmp_path, rows, **good | {"mask_path": lost})
    assert f"tile_1: source 'mask_path' ({lost}) has no coordinate reference system (CRS); assign" in error
    error = fails(tmp_path, rows, **good | {"esa_path": half})
    assert f"tile_1: source 'esa_path' ({half}) holds " in error
    error = fails(tmp_path, rows, **good | {"esa_path": cut})
    assert f"tile_1: source 'esa_path' ({cut}) cannot be read (" in error
    error = fails(tmp_path, rows, **good | {"image_path": "none.tif"})
    assert f"tile_1: image 'image_path' ({tmp_path}/none.tif) does not exist" in error
    error = fails(tmp_path, rows, **good | {"image_path": lost})
    assert f"tile_1: image 'image_path' ({lost}) has no coordinate reference system (CRS)" in error
    error = fails(tmp_path, rows, **good | {"image_path": cut_image})
    assert f"tile_1: image 'image_path' ({cut_image}) cannot be read (" in error

    rows[1].update(good)
    report = build(write_sources(tmp_path / "sources.csv", rows), tmp_path / "out")
    assert report.failures == ()
    assert report.built == ("tile_1",)
    assert not (tmp_path / "out" / "failures.csv").exists()


def test_a_tile_smaller_than_the_patch_fails(tmp_path, rows):
    small = write_image(tmp_path / "small.tif", 18, 7)
    rows[0]["image_path"] = small
    report = build(write_sources(tmp_path / "s.csv", rows), tmp_path / "out", patch_size=8)
    assert report.failures == (
        (
            "tile_0",
            (
                f"tile_0: image 'image_path' ({small}) has 18 x 7 pixels, less than a patch of 8 x 8; give a smaller "
                "--patch-size, or drop the row"
            ),
        ),
    )
    assert not (tmp_path / "out/p_soft/tile_0.tif").exists()
    assert {row["tile_id"] for row in rows_of(report.manifest)} == {"tile_1", "tile_2"}


def test_all_tiles_may_fail(tmp_path, rows):
    sources = write_sources(tmp_path / "s.csv", [row | {"image_path": "none.tif"} for row in rows])
    report = build(sources, tmp_path / "out")
    assert len(report.failures) == 3
    assert rows_of(report.manifest) == []
    assert (report.pixels, report.ties) == (0, 0)


def test_a_second_run_makes_only_what_changed(tmp_path, rows, sources):
    out = tmp_path / "out"
    build(sources, out)
    first = outputs(out)
    report = build(sources, out)
    assert (report.built, report.up_to_date) == ((), ("tile_0", "tile_1", "tile_2"))
    assert report.pixels == 3 * HEIGHT * WIDTH
    write_map(tmp_path / rows[1]["esa_path"], codes_of(77, (36, 40)), transform=GEOGRAPHIC, crs="EPSG:4326")
    report = build(sources, out)
    assert (report.built, report.up_to_date) == (("tile_1",), ("tile_0", "tile_2"))
    second = outputs(out)
    assert {name for name in first if first[name] != second[name]} == {
        "p_soft/tile_1.tif",
        "w_conf/tile_1.tif",
    }
    assert build(sources, out, alpha=0.5).built == ("tile_0", "tile_1", "tile_2")
    # what decides nothing about the rasters makes none anew
    assert build(sources, out, alpha=0.5, patch_size=8, max_workers=2).built == ()
    # another mask: the same files vote, but other borders count
    assert (
        len(build(sources, out, alpha=0.5, mask_key="esa_path", lulc_keys=("mask_path", "esri_path")).built)
        == 3
    )


@pytest.mark.parametrize("touch", ["p_soft/tile_0.tif", "w_conf/tile_0.tif", "fingerprints/tile_0.json"])
@pytest.mark.parametrize("how", ["removed", "damaged"])
def test_an_output_that_is_gone_or_changed_is_made_again(tmp_path, sources, touch, how):
    out = tmp_path / "out"
    build(sources, out)
    first = outputs(out)
    if how == "removed":
        (out / touch).unlink()
    else:
        (out / touch).write_text("{")
    assert build(sources, out).built == ("tile_0",)
    assert outputs(out) == first


def test_a_part_of_a_vrt_is_noticed(tmp_path, rows):
    part = write_map(tmp_path / "part.tif", codes_of(5))
    vrt = f"""<VRTDataset rasterXSize="{WIDTH}" rasterYSize="{HEIGHT}"><SRS>{UTM}</SRS>
        <GeoTransform>500000, 10, 0, 4000000, 0, -10</GeoTransform>
        <VRTRasterBand dataType="Byte" band="1"><SimpleSource>
        <SourceFilename relativeToVRT="1">NAME</SourceFilename><SourceBand>1</SourceBand>
        </SimpleSource></VRTRasterBand></VRTDataset>"""
    (tmp_path / "inner.vrt").write_text(vrt.replace("NAME", "part.tif"))
    (tmp_path / "outer.vrt").write_text(vrt.replace("NAME", "inner.vrt"))
    sources = write_sources(tmp_path / "s.csv", [rows[0] | {"esa_path": "outer.vrt"}])
    assert build(sources, tmp_path / "out").built == ("tile_0",)
    assert build(sources, tmp_path / "out").built == ()
    write_map(part, codes_of(6))
    assert build(sources, tmp_path / "out").built == ("tile_0",)


def test_a_killed_run_leaves_nothing_that_is_taken_for_a_result(tmp_path, sources, monkeypatch):
    """Killed between the two files of a tile, whose options are then changed back."""
    out = tmp_path / "out"
    build(sources, out)
    first = outputs(out)

    @contextmanager
    def killed(path, *args, **options):
        with original(path, *args, **options) as file:
            yield file
            if path.parent.name == "w_conf":
                raise KeyboardInterrupt

    original = tile_files.raster_writer
    monkeypatch.setattr(tile_files, "raster_writer", killed)
    with pytest.raises(KeyboardInterrupt):
        build(sources, out, mask_key=None)
    monkeypatch.undo()
    for name in ("p_soft/tile_1.tif", "fingerprints/tile_1.json", "soft_label_manifest.csv"):
        left_by(NO_PROCESS, out / name).write_text("half")
    (out / ".mine.part").write_text("keep")
    assert build(sources, out).built == ("tile_0",)
    assert (out / ".mine.part").read_text() == "keep"
    (out / ".mine.part").unlink()
    assert outputs(out) == first
    assert not list(out.rglob(".*.part"))


def die_at_tile_1(task, **rest):
    if task.tile.tile_id == "tile_1":
        os.kill(os.getpid(), signal.SIGKILL)
    return tile_module.build_tile(task, **rest)


def test_a_process_that_dies_fails_its_tile(tmp_path, sources, monkeypatch):
    monkeypatch.setattr(build_passes, "build_tile", die_at_tile_1)
    report = build(sources, tmp_path / "out", max_workers=2)
    assert [row["tile_id"] for row in rows_of(report.manifest)] == ["tile_0", "tile_2"]
    assert report.failures == (
        (
            "tile_1",
            (
                "tile_1: the process that worked on it was killed or crashed, perhaps for want of memory; try fewer "
                "--max-workers"
            ),
        ),
    )


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "tile_0: does not fit into memory; try"),
        (OSError(28, "No space left"), "No space left"),
    ],
)
def test_want_of_memory_or_space_fails_the_tile(tmp_path, sources, monkeypatch, error, message):
    def broken(*args):
        raise error

    monkeypatch.setattr(TilePasses, "second", broken)
    report = build(sources, tmp_path / "out")
    assert len(report.failures) == 3
    assert message in report.failures[0][1]


def test_nothing_is_written_before_options_and_columns_are_checked(tmp_path, sources):
    for options in ({"alpha": 1.1}, {"beta": 0.1}, {"stride": 4}, {"border_radius": -1.0}):
        with pytest.raises(OptionError):
            build(sources, tmp_path / "out", **options)
    with pytest.raises(TableError, match="no column 'glc_path'"):
        build(sources, tmp_path / "out", lulc_keys=("glc_path",))
    with pytest.raises(TableError, match=r"none.csv: does not exist"):
        build(tmp_path / "none.csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_a_file(tmp_path, sources):
    (tmp_path / "out").write_text("")
    with pytest.raises(OptionError, match=r"output_dir .*out: cannot be written \("):
        build(sources, tmp_path / "out")


def test_progress_is_told_of_every_tile(tmp_path, rows):
    rows[1]["tile_id"] = "../x"
    seen = []

    @contextmanager
    def progress(total, label):
        seen.append((total, label))
        yield lambda: seen.append("done")

    build(write_sources(tmp_path / "s.csv", rows), tmp_path / "out", progress=progress)
    assert seen == [(2, "tiles"), "done", "done"]


def test_what_it_was_made_of_is_kept(tmp_path, sources, rows):
    build(sources, tmp_path / "out")
    made_of = json.loads((tmp_path / "out/fingerprints/tile_0.json").read_text())["made_of"]
    status = (tmp_path / rows[0]["esa_path"]).stat()
    assert made_of["files"][str(tmp_path / rows[0]["esa_path"])] == [status.st_size, status.st_mtime_ns]
    assert made_of["options"]["shares"] == pytest.approx([0.6, 0.4, 0])


def test_public_name():
    assert coteach.build_soft_labels is build_soft_labels
