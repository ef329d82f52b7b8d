from __future__ import annotations

import csv
import itertools
import random
from pathlib import Path

import pytest

from coteach.data.splits import generate_training_csv
from coteach.errors import OptionError, RasterError, TableError

SPLITS = ("train", "val", "test")


def tiles_csv(folder, count, extra=""):
    lines = [f"tile_{i},images/{i}.tif,soft/{i}.tif,note {i}" for i in range(count)]
    return table(folder, "tile_id,image_path,p_soft_path,note", lines, extra)


def patches_csv(folder, tiles=1, side=64, patch=8, stride=8):
    offsets = range(0, side - patch + 1, stride)
    lines = [
        f"tile_{i},images/{i}.tif,soft/{i}.tif,{row},{col},{patch}"
        for i in range(tiles)
        for row, col in itertools.product(offsets, repeat=2)
    ]
    return table(folder, "tile_id,image_path,p_soft_path,row_off,col_off,patch_size", lines)


def table(folder, header, lines, extra=""):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "manifest.csv"
    file.write_text("\n".join([header, *lines]) + f"\n{extra}", encoding="utf-8")
    return file


def rows_of(report):
    read = {}
    for split in SPLITS:
        with report.files[split].open(encoding="utf-8", newline="") as stream:
            read[split] = list(csv.DictReader(stream))
    return read


def members(report, *columns):
    return {
        split: sorted(tuple(row[c] for c in columns) for row in rows)
        for split, rows in rows_of(report).items()
    }


def test_every_tile_is_in_one_split_with_all_its_columns(tmp_path):
    report = generate_training_csv(tiles_csv(tmp_path, 20), tmp_path / "out")
    read = rows_of(report)
    assert {split: len(read[split]) for split in SPLITS} == {"train": 14, "val": 3, "test": 3}
    assert report.rows == report.units == {"train": 14, "val": 3, "test": 3}
    assert report.by == "row"
    assert (report.left_out, report.leaks) == (0, False)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["test.csv", "train.csv", "val.csv"]
    together = [row for rows in read.values() for row in rows]
    assert sorted(row["note"] for row in together) == sorted(f"note {i}" for i in range(20))
    number = together[0]["tile_id"].removeprefix("tile_")
    assert together[0] == {
        "tile_id": f"tile_{number}",
        "image_path": f"../images/{number}.tif",
        "p_soft_path": f"../soft/{number}.tif",
        "note": f"note {number}",
    }


@pytest.mark.parametrize("step", range(6))
def test_a_killed_run_leaves_no_mixture_of_two_draws(tmp_path, monkeypatch, step):
    """Killed before the removal of an old table, or before a new one gets its name."""
    manifest, out = tiles_csv(tmp_path, 20), tmp_path / "out"
    old = generate_training_csv(manifest, out)
    new = generate_training_csv(manifest, tmp_path / "other", seed=1)
    texts = [{split: report.files[split].read_text() for split in SPLITS} for report in (old, new)]
    left = iter(range(100))

    def killed_at(method):
        original = getattr(Path, method)

        def stops(path, *args, **options):
            if Path(*(args or (path,))) in old.files.values() and next(left) == step:
                raise KeyboardInterrupt
            return original(path, *args, **options)

        return stops

    for method in ("unlink", "replace"):
        monkeypatch.setattr(Path, method, killed_at(method))
    with pytest.raises(KeyboardInterrupt):
        generate_training_csv(manifest, out, seed=1)
    monkeypatch.undo()
    found = {path.stem: path.read_text() for path in out.glob("*.csv")}
    assert found.items() <= texts[0].items() or found.items() <= texts[1].items()
    again = generate_training_csv(manifest, out, seed=1)
    assert {split: again.files[split].read_text() for split in SPLITS} == texts[1]


def test_the_draw_ignores_the_order_of_rows_and_follows_the_seed(tmp_path):
    manifest = tiles_csv(tmp_path, 30)
    first = members(generate_training_csv(manifest, tmp_path / "a"), "tile_id")
    header, *lines = manifest.read_text(encoding="utf-8").splitlines()
    random.Random(1).shuffle(lines)
    shuffled = table(tmp_path / "shuffled", header, lines)
    assert members(generate_training_csv(shuffled, tmp_path / "b"), "tile_id") == first
    assert members(generate_training_csv(manifest, tmp_path / "c", seed=43), "tile_id") != first


def test_patches_stay_with_their_tile_by_default(tmp_path):
    report = generate_training_csv(patches_csv(tmp_path, tiles=10, side=16, stride=4), tmp_path / "out")
    tiles = {split: {row["tile_id"] for row in rows} for split, rows in rows_of(report).items()}
    assert report.by == "tile"
    assert {split: len(names) for split, names in tiles.items()} == {"train": 7, "val": 2, "test": 1}
    assert set.intersection(tiles["train"], tiles["val"]) == set()
    assert sum(report.rows.values()) == 10 * 9
    assert not report.leaks


@pytest.mark.parametrize(("stride", "block_size"), [(8, None), (4, 16), (3, 20), (8, 8)])
def test_by_block_no_pixel_is_in_two_splits(tmp_path, stride, block_size):
    manifest = patches_csv(tmp_path, tiles=2, stride=stride)
    report = generate_training_csv(manifest, tmp_path / "out", by="block", block_size=block_size)
    pixels = {}
    for split, rows in rows_of(report).items():
        covered = set()
        for row in rows:
            top, left, size = (int(row[key]) for key in ("row_off", "col_off", "patch_size"))
            covered |= {
                (row["tile_id"], y, x) for y in range(top, top + size) for x in range(left, left + size)
            }
        pixels[split] = covered
        assert covered
    assert not pixels["train"] & pixels["val"]
    assert not pixels["train"] & pixels["test"]
    assert not pixels["val"] & pixels["test"]
    count = len(manifest.read_text(encoding="utf-8").splitlines()) - 1
    assert sum(report.rows.values()) + report.left_out == count


def test_blocks_are_four_patches_wide_by_default(tmp_path):
    report = generate_training_csv(patches_csv(tmp_path, side=96), tmp_path / "out", by="block")
    assert sum(report.units.values()) == 9  # 96 / (4 · 8), squared
    assert report.units == {"train": 6, "val": 2, "test": 1}  # 6.3, 1.35, 1.35
    assert report.left_out == 0  # the patches do not straddle blocks
    assert sum(report.rows.values()) == 144


def test_ratios_of_zero_give_tables_with_a_header_only(tmp_path):
    report = generate_training_csv(tiles_csv(tmp_path, 4), tmp_path / "out", train_ratio=0.75, val_ratio=0.25)
    assert report.rows == {"train": 3, "val": 1, "test": 0}
    assert report.files["test"].read_text(encoding="utf-8") == "tile_id,image_path,p_soft_path,note\n"


def test_one_tile_twice_is_one_unit(tmp_path):
    manifest = tiles_csv(tmp_path, 6, extra="tile_0,images/0.tif,soft/0.tif,again\n")
    read = rows_of(generate_training_csv(manifest, tmp_path / "out"))
    assert sorted(sum(row["tile_id"] == "tile_0" for row in rows) for rows in read.values()) == [0, 0, 2]


def test_rows_of_patches_are_drawn_apart_only_on_demand_and_reported(tmp_path):
    report = generate_training_csv(patches_csv(tmp_path), tmp_path / "out", by="row")
    assert report.leaks
    assert report.rows == report.units == {"train": 45, "val": 10, "test": 9}  # of 64: 44.8, 9.6, 9.6


@pytest.mark.parametrize("absolute", [True, False])
def test_images_are_found_in_a_folder_by_the_tile_id(tmp_path, monkeypatch, absolute):
    monkeypatch.chdir(tmp_path)
    images = tmp_path / "pictures"
    images.mkdir()
    for i in range(4):
        (images / f"tile_{i}.img").write_text(str(i))
    manifest = table(tmp_path / "m", "tile_id,p_soft_path", [f"tile_{i},{i}.tif" for i in range(4)])
    report = generate_training_csv(
        manifest,
        tmp_path / "out",
        image_dir=images if absolute else "pictures",
        image_extension=".img",
    )
    for row in itertools.chain(*rows_of(report).values()):
        assert (tmp_path / "out" / row["image_path"]).read_text() == row["tile_id"].removeprefix("tile_")
        assert row["image_path"].startswith("/" if absolute else "../pictures/")
        assert row["p_soft_path"].startswith("../m/")


def test_images_that_are_not_there_are_listed(tmp_path):
    (tmp_path / "tile_1.tif").touch()
    with pytest.raises(RasterError) as raised:
        generate_training_csv(tiles_csv(tmp_path, 4), tmp_path / "out", image_dir=tmp_path)
    assert raised.value.cause == "3 of 4 images are not there: tile_0.tif, tile_2.tif, tile_3.tif"
    assert not (tmp_path / "out").exists()


def test_a_tile_id_that_leaves_the_folder_is_refused(tmp_path):
    manifest = table(tmp_path, "tile_id,image_path", ["a,1", "../x,2", "c,3"])
    with pytest.raises(TableError, match=r"row 2 \(\.\./x\): tile_id '\.\./x' is no file name"):
        generate_training_csv(manifest, tmp_path / "out", image_dir=tmp_path)


@pytest.mark.parametrize(
    ("train", "val", "message"),
    [
        (0.0, 0.5, "--train-ratio: 0 leaves nothing"),
        (-0.1, 0.5, "--train-ratio: -0.1 is no share"),
        (0.7, 1.5, "--val-ratio: 1.5 is no share"),
        (float("nan"), 0.1, "--train-ratio: nan is no share"),
        (0.9, 0.2, "0.9 and 0.2 sum to more than 1"),
    ],
)
def test_ratios_out_of_range(tmp_path, train, val, message):
    with pytest.raises(OptionError, match=message):
        generate_training_csv(tiles_csv(tmp_path, 9), tmp_path / "out", train_ratio=train, val_ratio=val)


@pytest.mark.parametrize(
    ("tiles", "by", "block_size", "message"),
    [
        (1, None, None, "1 tile cannot fill train, val, test; divide the tiles themselves with --by block"),
        (2, "tile", None, "2 tiles cannot fill"),
        (1, "block", 64, "1 block cannot fill train, val, test; give a smaller --block-size"),
        (5, "block", 7, "7 pixels are less than a patch of 8"),
        (5, "block", 0, "0 pixels are less than a patch of 8"),
        (5, "tile", 32, "--block-size: has no meaning with --by tile"),
        (5, "pixel", None, "--by: 'pixel' is none of row, tile, block"),
    ],
)
def test_divisions_that_cannot_be_made(tmp_path, tiles, by, block_size, message):
    with pytest.raises(OptionError, match=message):
        generate_training_csv(
            patches_csv(tmp_path, tiles=tiles), tmp_path / "out", by=by, block_size=block_size
        )
    assert not (tmp_path / "out").exists()


def test_too_few_tiles_without_patches(tmp_path):
    with pytest.raises(OptionError, match="2 rows cannot fill train, val, test; build patches"):
        generate_training_csv(tiles_csv(tmp_path, 2), tmp_path / "out")


@pytest.mark.parametrize(
    ("header", "lines", "by", "message"),
    [
        ("tile_id,image_path", [], None, "has no rows"),
        ("tile,image_path", ["a,b"], None, "no column 'tile_id'"),
        ("tile_id,row_off,col_off", ["a,1,2"], "block", "no column 'patch_size'"),
        ("tile_id,row_off,col_off,patch_size", ["a,1,x,2"], "block", r"row 1 \(a\): col_off is 'x'"),
        ("tile_id,row_off,col_off,patch_size", ["a,1,1,0"], "block", "patch_size is '0'"),
        ("tile_id,image_path", ["a,b", ",c"], None, "row 2: tile_id is empty"),
    ],
)
def test_manifests_that_cannot_be_divided(tmp_path, header, lines, by, message):
    with pytest.raises(TableError, match=message):
        generate_training_csv(table(tmp_path, header, lines), tmp_path / "out", by=by)
