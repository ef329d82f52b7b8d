from __future__ import annotations

import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import rasterio
from label_rasters import write_map

from coteach.errors import RasterError
from coteach.rasters import handles
from coteach.rasters.grid import Window
from coteach.rasters.handles import RasterHandles, kept_open, limit_open_files
from coteach.rasters.read import read_image


@pytest.fixture
def fresh(monkeypatch):
    """Handles that no other test has used."""
    own = RasterHandles()
    monkeypatch.setattr(handles, "_current", own)
    yield own
    own.close()


def raster(folder, number, value=None):
    values = np.full((4, 5), number if value is None else value, np.uint8)
    return write_map(folder / f"{number}.tif", values)


def value_of(path):
    with kept_open(path) as dataset:
        return int(dataset.read(1)[0, 0])


def test_a_file_stays_open(tmp_path, fresh):
    path = raster(tmp_path, 1)
    with kept_open(path) as first:
        assert len(fresh) == 0  # it is in use
    assert len(fresh) == 1
    with kept_open(path) as second:
        assert second is first
        assert not second.closed
    with kept_open(path) as first, kept_open(path) as second:
        assert second is not first


def test_those_not_used_for_longest_are_closed(tmp_path):
    pool = RasterHandles(limit=2)
    paths = [raster(tmp_path, number) for number in range(3)]
    seen = []
    for number in (0, 1, 0, 2):
        with pool.borrowed(paths[number]) as dataset:
            seen.append(dataset)
    assert seen[2] is seen[0]
    assert [dataset.closed for dataset in seen] == [False, True, False, False]
    assert len(pool) == 2
    pool.close()
    assert all(dataset.closed for dataset in seen)
    assert len(pool) == 0


def test_nothing_stays_open_without_room(tmp_path, fresh):
    path = raster(tmp_path, 1)
    value_of(path)
    limit_open_files(0)
    assert len(fresh) == 0
    with kept_open(path) as dataset:
        pass
    assert dataset.closed


def test_a_file_that_was_replaced_or_rewritten_is_opened_anew(tmp_path, fresh):
    path = raster(tmp_path, 1)
    assert value_of(path) == 1
    raster(tmp_path / "new", 1, 7).replace(path)
    assert value_of(path) == 7
    with rasterio.open(path, "r+") as file:
        file.write(np.full((1, 4, 5), 9, np.uint8))
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert value_of(path) == 9
    assert len(fresh) == 1
    path.unlink()
    with pytest.raises(RasterError, match=r"1\.tif: does not exist"):
        value_of(path)


def test_a_handle_that_failed_is_not_used_again(tmp_path, fresh):
    noise = np.random.default_rng(0).integers(256, size=(300, 300), dtype=np.uint8)
    path = write_map(tmp_path / "1.tif", noise, tiled=True, compress="deflate")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])  # the header is there
    with pytest.raises(RasterError, match=r"1\.tif: cannot be read"), kept_open(path) as dataset:
        dataset.read(1)
    assert dataset.closed
    assert len(fresh) == 0
    path.write_bytes(whole)
    assert value_of(path) == noise[0, 0]


def test_threads_never_share_a_handle(tmp_path, fresh):
    values = np.arange(512 * 512, dtype=np.uint32).reshape(512, 512)
    path = write_map(tmp_path / "a.tif", values, tiled=True, compress="deflate")
    together = Barrier(4)

    def read(seed):
        rng = np.random.default_rng(seed)
        with kept_open(path) as dataset:
            together.wait(timeout=30)
            held = id(dataset)
        for _ in range(50):
            row, col = rng.integers(0, 448, 2).tolist()
            window = Window(row, col, 64, 64)
            np.testing.assert_array_equal(read_image(path, window)[0][0], window.cut(values))
        return held

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(read, range(4)))) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="fork is not safe there")
def test_a_forked_process_opens_its_own(tmp_path, fresh):
    path = raster(tmp_path, 5)
    assert value_of(path) == 5

    def child(found):
        own = handles._handles()
        found.put((own is fresh, len(own), value_of(path), len(own)))

    context = multiprocessing.get_context("fork")
    found = context.Queue()
    with fresh._lock:  # as if another thread of the parent were at it
        process = context.Process(target=child, args=(found,))
        process.start()
    assert found.get(timeout=60) == (False, 0, 5, 1)
    process.join()
    assert process.exitcode == 0
    assert value_of(path) == 5


@pytest.mark.parametrize("kind", ["none", "nodata", "mask", "both", "float", "nan"])
def test_where_there_is_data_is_what_gdal_says(tmp_path, kind):
    """Masks are read only where they say more than the values."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, (3, 20, 30)).astype(np.float32 if kind in {"float", "nan"} else np.uint8)
    nodata = {"nodata": 2, "both": 2, "float": 2.0, "nan": np.nan}.get(kind)
    if kind == "nan":
        values[values == 1] = np.nan
    valid = rng.random((20, 30)) < 0.8 if kind in {"mask", "both"} else None
    path = write_map(tmp_path / "a.tif", values, nodata=nodata, valid=valid)
    window = Window(3, 4, 11, 17)
    with rasterio.open(path) as file:
        expected = (file.read_masks(window=window.for_gdal()) > 0).all(0)
    found, seen = read_image(path, window)
    np.testing.assert_array_equal(seen, expected)
    np.testing.assert_array_equal(found, window.cut(values))
    assert seen.all() == (kind == "none")


def test_who_closes_the_oldest_may_find_that_another_thread_did(tmp_path):
    own = RasterHandles(0)
    path = raster(tmp_path, 1)
    close_oldest = own._pop

    def after_another(path=None):
        if path is None:
            close_oldest().dataset.close()
        return close_oldest(path)

    own._pop = after_another
    for _ in range(2):
        with own.borrowed(path) as dataset:
            assert dataset.read(1)[0, 0] == 1
        assert len(own) == 0
