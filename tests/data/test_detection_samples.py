"""The sample sets with boxes."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from coteach.cli.main import main
from coteach.data.box_samples import BLOOD_CELL_SPLITS, CROWN_SCENES, boxes_of_tile, tile_frames
from coteach.data.detection_files import CocoDetectionDataset
from coteach.data.samples import default_cache_dir, prepare_sample
from coteach.errors import DataUnavailableError, OptionError


@pytest.fixture(scope="module")
def crowns():
    return prepare_sample("tree-crowns")


def test_the_crowns_are_all_there(crowns):
    counts = {}
    for scene in CROWN_SCENES:
        data = CocoDetectionDataset(crowns.files[f"{scene}.json"], crowns.folder)
        assert data.class_names == ("Tree",)
        assert all(max(image.size) <= 400 for image in data.annotations.images)
        counts[scene] = len(data), sum(len(image.boxes) for image in data.annotations.images)
        assert data[0]["image"].shape[1:] == data.annotations.images[0].size
    # 2299 x 2472 and 1249 x 1035 pixels: 6 x 7 and 4 x 3 tiles
    assert {scene: tiles for scene, (tiles, _) in counts.items()} == {
        "yell-528": 42,
        "yell-541": 12,
        "osbs-029": 1,
        "soap-061": 1,
        "soap-031": 1,
    }
    assert [counts[scene][1] for scene in ("osbs-029", "soap-061", "soap-031")] == [61, 37, 0]
    # boxes that tiles cut are in up to two or four of them; the photographs have 574 and 279
    assert 574 < counts["yell-528"][1] < 574 * 1.4
    assert 279 < counts["yell-541"][1] < 279 * 1.4


def test_the_tiles_are_the_photograph_put_together(crowns):
    data = CocoDetectionDataset(crowns.files["yell-541.json"], crowns.folder)
    whole = np.zeros((1035, 1249, 3), np.uint8)
    for image in data.annotations.images:
        top, left = (int(part) for part in image.path.stem.split("_")[1:])
        with Image.open(image.path) as tile:
            whole[top : top + tile.height, left : left + tile.width] = np.asarray(tile)
    wheel = default_cache_dir() / "downloads" / "deepforest-2.1.0-py3-none-any.whl"
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(f"deepforest/data/{CROWN_SCENES['yell-541'][0]}") as stream,
    ):
        np.testing.assert_array_equal(whole, np.asarray(Image.open(stream).convert("RGB")))


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_tiles_cover_every_pixel_once(height, width):
    frames = tile_frames(height, width)
    area = sum((bottom - top) * (right - left) for top, left, bottom, right in frames)
    assert area == height * width
    assert all(0 < bottom - top <= 400 and 0 < right - left <= 400 for top, left, bottom, right in frames)
    assert len(frames) == -(-height // 400) * -(-width // 400)
    assert frames[-1][2:] == (height, width)


def test_a_cut_crown_is_in_the_tiles_that_show_a_quarter_of_it():
    boxes = np.array([[90, 10, 110, 20], [96, 30, 116, 40], [10, 10, 20, 20]], np.float32)
    assert boxes_of_tile(boxes, (0, 0, 50, 100)).tolist() == [[90, 10, 100, 20], [10, 10, 20, 20]]
    assert boxes_of_tile(boxes, (0, 100, 50, 200)).tolist() == [[0, 10, 10, 20], [0, 30, 16, 40]]


@pytest.fixture(scope="module")
def blood(tmp_path_factory) -> Path:
    """A folder laid out as the blood cells are, with one small picture for all."""
    root = tmp_path_factory.mktemp("bccd")
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / part).mkdir(parents=True)
    Image.new("RGB", (16, 12)).save(root / "picture.jpg")
    number = 0
    for split, count in BLOOD_CELL_SPLITS.items():
        stems = [f"BloodImage_{number + one:05}" for one in range(count)]
        number += count
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(stems) + "\n", encoding="utf-8")
        for stem in stems:
            shutil.copyfile(root / "picture.jpg", root / "JPEGImages" / f"{stem}.jpg")
            (root / "Annotations" / f"{stem}.xml").write_text(
                f"<annotation><filename>{stem}.jpg</filename><size><width>16</width><height>12</height></size>"
                "<object><name>WBC</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>"
                "</object></annotation>",
                encoding="utf-8",
            )
    return root


def run(*args):
    with pytest.raises(SystemExit) as stop:
        main(["data", *map(str, args)])
    return stop.value.code


def test_blood_cells_come_from_a_folder_and_stay(blood, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COTEACH_DATA_DIR", str(tmp_path))
    assert run("blood-cells") == 1
    said = capsys.readouterr().err
    assert "is in no package" in said
    assert "github.com/Shenggan/BCCD_Dataset" in said
    assert run("blood-cells", "--from", blood) == 0
    assert "prepared (it was not there)" in capsys.readouterr().out
    for split, count in BLOOD_CELL_SPLITS.items():
        data = CocoDetectionDataset(tmp_path / "blood-cells" / f"{split}.json", tmp_path / "blood-cells")
        assert len(data) == count
        assert data.class_names == ("Platelets", "RBC", "WBC")
        sample = data[0]
        assert sample["mask"]["boxes"].tolist() == [[1, 2, 9, 8]]
        assert sample["mask"]["labels"].tolist() == [3]
    assert run("blood-cells") == 0
    assert "already there" in capsys.readouterr().out
    image = next((tmp_path / "blood-cells" / "images").iterdir())
    image.write_bytes(b"")
    assert run("blood-cells", "--from", blood) == 0
    assert f"images/{image.name} was damaged" in capsys.readouterr().out
    assert image.read_bytes() == (blood / "picture.jpg").read_bytes()


def test_blood_cells_that_are_not_whole_are_refused(blood, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(blood, broken)
    (broken / "ImageSets" / "Main" / "val.txt").write_text("BloodImage_00000\n", encoding="utf-8")
    with pytest.raises(DataUnavailableError, match="has 1 images in val, expected 87"):
        prepare_sample("blood-cells", cache_dir=tmp_path, source=broken)
    (broken / "JPEGImages" / "BloodImage_00000.jpg").unlink()
    with pytest.raises(DataUnavailableError, match=r"lacks the image BloodImage_00000\.jpg"):
        prepare_sample("blood-cells", cache_dir=tmp_path, source=broken)
    assert not list((tmp_path / "blood-cells").glob("*.json"))


def test_a_folder_for_what_is_fetched_and_a_folder_that_is_none(tmp_path):
    with pytest.raises(OptionError, match="tree-crowns is fetched, not given"):
        prepare_sample("tree-crowns", cache_dir=tmp_path, source=tmp_path)
    with pytest.raises(OptionError, match="is no folder"):
        prepare_sample("blood-cells", cache_dir=tmp_path, source=tmp_path / "none")
