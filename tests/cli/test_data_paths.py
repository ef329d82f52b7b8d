"""Paths of every data set's arguments: from any working directory, and by content in a run's identity."""

from __future__ import annotations

import os

import pytest

from coteach.cli.data_paths import absolute, files_of
from coteach.cli.identity import _data


class OfSources:
    """The arguments that name columns, as the cached data set has them."""

    def __init__(self, sources_csv, cache_dir, image_key="image_path", mask_key="mask_path", lulc_keys=()):
        pass


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "masks").mkdir()
    for name in ("i.tif", "m.tif", "esa.tif", "masks/a.tif", "masks/b.tif", "map.mbtiles"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "sources.csv").write_text("image_path,mask_path,esa_path\ni.tif,m.tif,esa.tif\n")
    return tmp_path


def test_every_path_becomes_absolute_and_nothing_else_changes(files):
    node = {
        "_target_": "x",
        "sources_csv": "sources.csv",
        "cache_dir": "c",
        "lulc_paths": ["esa.tif", "/a/b.tif"],
    }
    assert absolute(node) == {
        "_target_": "x",
        "sources_csv": f"{files}/sources.csv",
        "cache_dir": f"{files}/c",
        "lulc_paths": [f"{files}/esa.tif", "/a/b.tif"],
    }
    assert absolute({"mask_dir": None, "alpha": 0.5}) == {"mask_dir": None, "alpha": 0.5}


def test_a_folder_stands_for_its_files(files):
    node = {"mbtiles_path": "map.mbtiles", "mask_dir": "masks", "lulc_paths": ["esa.tif"]}
    assert [str(file) for file in files_of(node)] == ["map.mbtiles", "masks/a.tif", "masks/b.tif", "esa.tif"]


def test_identity_follows_the_rasters_behind_a_sources_table(files):
    node = {"sources_csv": "sources.csv", "cache_dir": "one", "lulc_keys": ["esa_path"]}
    before = _data(node, OfSources("", ""))
    assert set(before["rasters"]) == {"i.tif", "m.tif", "esa.tif"}
    assert _data(node | {"cache_dir": "two"}, OfSources("", "")) == before
    os.utime("esa.tif", ns=(0, 0))
    after = _data(node, OfSources("", ""))
    assert {name for name in before["rasters"] if before["rasters"][name] != after["rasters"][name]} == {
        "esa.tif"
    }


def test_identity_follows_files_that_are_named_directly(files):
    node = {"mbtiles_path": "map.mbtiles", "mask_dir": "masks", "window_index_cache": "w.json"}
    before = _data(node, object())
    assert set(before) == {"rasters"}
    (files / "masks" / "b.tif").write_bytes(b"longer")
    after = _data(node, object())
    assert before["rasters"]["b.tif"] != after["rasters"]["b.tif"]
    assert before["rasters"]["a.tif"] == after["rasters"]["a.tif"]
