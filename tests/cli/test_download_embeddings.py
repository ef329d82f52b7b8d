"""``coteach download-aef-embeddings`` against a web server on this computer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import rasterio
from aef_files import (
    BUCKET,
    CRS,
    ORIGIN,
    index_row,
    random_values,
    write_cells,
    write_cog,
    write_flat_index,
    write_stac_index,
)
from label_rasters import rows_of, write_image, write_sources
from left_files import left_by
from range_server import serving
from rasterio import Affine, warp

from coteach.cli.main import main

INDEX = "tge-labs/aef/v1/annual/aef_index_stac_geoparquet.parquet"
KEY = "tge-labs/aef/v1/annual/2024/17N"
X, Y = ORIGIN


@pytest.fixture
def server(tmp_path):
    (tmp_path / "web").mkdir()
    with serving(tmp_path / "web") as served:
        yield served


def run(*args) -> int:
    try:
        main(["download-aef-embeddings", *map(str, args), "--retry-delay", "0.01"])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


def gcs(server, table, out, *more):
    return run(
        "--source", "gcs", "--gcs-paths-csv", table, "--output-dir", out, "--gcs-endpoint", server.url, *more
    )


def sourcecoop(server, table, out, *more):
    return run(
        *("--source", "sourcecoop", "--tiles-csv", table, "--output-dir", out),
        *("--sourcecoop-endpoint", server.url, *more),
    )


def hf(table, out, *more):
    return run("--source", "hf", "--tiles-csv", table, "--output-dir", out, *more)


def image_at(path, row, col, height=20, width=30, **options):
    """An image that covers these pixels of a file whose corner is ``ORIGIN``."""
    return write_image(
        path, height, width, transform=Affine(10, 0, X + 10 * col, 0, -10, Y - 10 * row), crs=CRS, **options
    )


def check_crop(path, values, row, col, height, width, origin=ORIGIN):
    """A file holds what ``values`` hold, and at least one pixel more on each side of these pixels of theirs."""
    with rasterio.open(path) as file:
        assert (file.count, file.dtypes[0], file.nodata, file.crs) == (len(values), "int8", -128, CRS)
        assert (file.transform.a, file.transform.e) == (10, -10)
        left = round((file.transform.c - origin[0]) / 10)
        top = round((origin[1] - file.transform.f) / 10)
        assert left <= col - 1
        assert top <= row - 1
        assert left + file.width >= col + width + 1
        assert top + file.height >= row + height + 1
        assert file.width <= width + 8
        assert file.height <= height + 8
        np.testing.assert_array_equal(
            file.read(), values[:, top : top + file.height, left : left + file.width]
        )


# Google Cloud Storage


def test_gcs_reads_only_the_part_around_the_image(server, tmp_path, capsys):
    values = random_values(0, 512, 512)
    file = write_cog(tmp_path / "web" / "bucket" / "2024" / "a b.tiff", values)
    image = image_at(tmp_path / "image.tif", 100, 200)
    table = write_sources(
        tmp_path / "paths.csv",
        [{"tile_id": "t", "gcs_uri": "gs://bucket/2024/a b.tiff", "image_path": image.name}],
    )
    assert gcs(server, table, tmp_path / "out", "--verbose") == 0
    said = capsys.readouterr()
    assert said.out == f"tiles: 1 downloaded, 0 up to date, 0 failed: {tmp_path / 'out'}\n"
    assert said.err == "t: downloaded\n"
    check_crop(tmp_path / "out" / "t.tif", values, 100, 200, 20, 30)
    assert server.sent() < file.stat().st_size / 5
    with rasterio.open(tmp_path / "out" / "t.tif") as made:
        assert made.descriptions[:2] == ("A00", "A01")
        assert "Google DeepMind" in made.tags()["ATTRIBUTION"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["fingerprints", "t.tif"]


def test_gcs_without_an_image_takes_the_whole_file_and_turns_it_north_up(server, tmp_path):
    values = random_values(1, 70, 1100, bands=3)
    write_cog(tmp_path / "web" / "b" / "x.tif", values, south_up=True)
    table = write_sources(
        tmp_path / "paths.csv",
        [{"tile_id": "t", "gcs_uri": "gs://b/x.tif"}, {"tile_id": "u", "gcs_uri": f"{server.url}/b/x.tif"}],
    )
    assert gcs(server, table, tmp_path / "out") == 0
    for tile in "tu":
        with rasterio.open(tmp_path / "out" / f"{tile}.tif") as made:
            assert made.transform == Affine(10, 0, X, 0, -10, Y)
            np.testing.assert_array_equal(made.read(), values)


def test_an_image_in_another_crs_and_a_south_up_file(server, tmp_path):
    """Every pixel of the image finds the pixel that it lies in."""
    values = random_values(2, 400, 400, bands=5)
    write_cog(tmp_path / "web" / "b" / "x.tif", values, south_up=True)
    lon, lat = (v[0] for v in warp.transform(CRS, "EPSG:4326", [X + 2000], [Y - 1500]))
    image = write_image(
        tmp_path / "i.tif", 40, 50, crs="EPSG:4326", transform=Affine(2e-4, 0, lon, 0, -2e-4, lat)
    )
    table = write_sources(
        tmp_path / "p.csv", [{"tile_id": "t", "gcs_uri": "gs://b/x.tif", "image_path": image}]
    )
    assert gcs(server, table, tmp_path / "out") == 0
    rows, cols = np.mgrid[:41, :51]  # corners of pixels
    xs, ys = warp.transform("EPSG:4326", CRS, (lon + cols * 2e-4).ravel(), (lat - rows * 2e-4).ravel())
    with rasterio.open(tmp_path / "out" / "t.tif") as made:
        found, transform = made.read(), made.transform
    inside = [
        (int((x - transform.c) // 10), int((transform.f - y) // 10)) for x, y in zip(xs, ys, strict=True)
    ]
    for (col, row), x, y in zip(inside, xs, ys, strict=True):
        assert 1 <= row < found.shape[1] - 1
        assert 1 <= col < found.shape[2] - 1
        np.testing.assert_array_equal(found[:, row, col], values[:, int((Y - y) // 10), int((x - X) // 10)])


@pytest.mark.parametrize("faults", [[503, 503], [503] * 8, [200, "truncated"], ["reset"], [429]])
def test_what_fails_on_the_way_is_tried_again(server, tmp_path, faults):
    values = random_values(3, 200, 200, bands=4)
    write_cog(tmp_path / "web" / "b" / "x.tif", values)
    image = image_at(tmp_path / "image.tif", 50, 60)
    table = write_sources(
        tmp_path / "p.csv", [{"tile_id": "t", "gcs_uri": "gs://b/x.tif", "image_path": image}]
    )
    server.faults["/b/x.tif"] = ["" if fault == 200 else fault for fault in faults]
    assert gcs(server, table, tmp_path / "out") == 0
    assert server.faults["/b/x.tif"] == []
    check_crop(tmp_path / "out" / "t.tif", values, 50, 60, 20, 30)


def test_what_the_server_refuses_is_not_tried_again_and_the_rest_is_kept(server, tmp_path, capsys):
    values = random_values(4, 100, 100, bands=2)
    write_cog(tmp_path / "web" / "b" / "x.tif", values)
    write_cog(tmp_path / "web" / "b" / "broken.tif", values).write_bytes(b"no TIFF at all" * 100)
    image = image_at(tmp_path / "image.tif", 50, 60)
    far = image_at(tmp_path / "far.tif", 5000, 60)
    row = {"image_path": image}
    rows = [
        row | {"tile_id": "gone", "gcs_uri": "gs://b/none.tif"},
        row | {"tile_id": "good", "gcs_uri": "gs://b/x.tif"},
        row | {"tile_id": "broken", "gcs_uri": "gs://b/broken.tif"},
        row | {"tile_id": "far", "gcs_uri": "gs://b/x.tif", "image_path": far},
        row | {"tile_id": "lost", "gcs_uri": "gs://b/x.tif", "image_path": "nowhere.tif"},
        row | {"tile_id": "../up", "gcs_uri": "gs://b/x.tif"},
        row | {"tile_id": "GOOD", "gcs_uri": "gs://b/x.tif"},
        row | {"tile_id": "odd", "gcs_uri": "s3://b/x.tif"},
    ]
    table = write_sources(tmp_path / "p.csv", rows)
    assert gcs(server, table, tmp_path / "out", "--max-attempts", "2") == 1
    error = capsys.readouterr().err
    assert f"Error: {table}: 7 of 8 tiles failed" in error
    failures = {line["tile_id"]: line["error"] for line in rows_of(tmp_path / "out" / "failures.csv")}
    assert set(failures) == {"gone", "broken", "far", "lost", "../up", "GOOD", "odd"}
    assert "404" in failures["gone"]
    assert f"{server.url}/b/none.tif" in failures["gone"]
    assert "cannot be read in 2 attempts" in failures["broken"]
    assert "do not reach the image" in failures["far"]
    assert "nowhere.tif: does not exist" in failures["lost"]
    assert "cannot be the name of a file" in failures["../up"]
    assert "is that of row 2 already" in failures["GOOD"]
    assert "gcs_uri is 's3://b/x.tif'" in failures["odd"]
    assert all(path.suffix in {".tif", ".csv", ""} for path in (tmp_path / "out").iterdir())
    assert not (tmp_path / "up.tif").exists()
    # once the table is right, only what is missing is fetched, and no failures are left
    server.requests.clear()
    table = write_sources(tmp_path / "p.csv", [rows[1], row | {"tile_id": "more", "gcs_uri": "gs://b/x.tif"}])
    assert gcs(server, table, tmp_path / "out", "--verbose") == 0
    assert "good: up to date" in capsys.readouterr().err
    assert not (tmp_path / "out" / "failures.csv").exists()


def test_a_finished_file_is_left_alone_and_a_changed_one_is_made_again(server, tmp_path):
    write_cog(tmp_path / "web" / "b" / "x.tif", random_values(5, 100, 100, bands=2))
    image = image_at(tmp_path / "image.tif", 10, 10)
    table = write_sources(
        tmp_path / "p.csv", [{"tile_id": "t", "gcs_uri": "gs://b/x.tif", "image_path": image}]
    )
    made = tmp_path / "out" / "t.tif"

    def requests_of_a_run():
        server.requests.clear()
        assert gcs(server, table, tmp_path / "out") == 0
        return len(server.requests)

    assert requests_of_a_run() > 0
    whole = made.read_bytes()
    assert requests_of_a_run() == 0
    made.write_bytes(whole[: len(whole) // 2])  # damaged
    assert requests_of_a_run() > 0
    assert made.read_bytes() == whole
    image_at(image, 40, 10)  # another place
    assert requests_of_a_run() > 0
    assert made.read_bytes() != whole
    made.unlink()
    assert requests_of_a_run() > 0


def test_a_killed_run_leaves_nothing_half_and_goes_on(server, tmp_path):
    values = random_values(6, 300, 300, bands=3)
    rows = []
    for number in range(6):
        write_cog(tmp_path / "web" / "b" / f"{number}.tif", values)
        image = image_at(tmp_path / f"i{number}.tif", 20 * number + 10, 30)
        rows.append({"tile_id": f"t{number}", "gcs_uri": f"gs://b/{number}.tif", "image_path": image})
    server.faults["/b/4.tif"] = [503] * 10_000  # the run comes to this one and no further
    table, out = write_sources(tmp_path / "p.csv", rows), tmp_path / "out"
    options = [
        *("--source", "gcs", "--gcs-paths-csv", table, "--output-dir", out, "--gcs-endpoint", server.url),
        *("--max-workers", "1", "--max-attempts", "50"),
    ]
    words = [
        sys.executable,
        "-m",
        "coteach.cli.main",
        "download-aef-embeddings",
        *map(str, options),
        "--retry-delay",
        "0.5",
    ]
    with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
        while process.poll() is None and not server.asked("/b/4.tif"):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert sorted(path.name for path in out.glob("*.tif")) == ["t0.tif", "t1.tif", "t2.tif", "t3.tif"]
    goes_on = left_by(os.getppid(), out / "t5.tif")
    left_by(process.pid, out / "t4.tif").write_bytes(b"half of it")  # as if it had been killed while writing
    goes_on.write_bytes(b"of a run that goes on")
    server.faults.clear()
    server.requests.clear()
    assert gcs(server, table, out) == 0
    assert {path for path, _ in server.requests} == {"/b/4.tif", "/b/5.tif"}
    assert [path.name for path in out.glob(".*.part")] == [goes_on.name]
    for number in range(6):
        check_crop(out / f"t{number}.tif", values, 20 * number + 10, 30, 20, 30)


def test_ctrl_c_ends_it_at_once_and_keeps_what_is_done(server, tmp_path):
    values = random_values(6, 100, 100, bands=3)
    rows = []
    for number in range(2):
        write_cog(tmp_path / "web" / "b" / f"{number}.tif", values)
        rows.append({"tile_id": f"t{number}", "gcs_uri": f"gs://b/{number}.tif"})
    server.faults["/b/1.tif"] = [503] * 10_000
    table, out = write_sources(tmp_path / "p.csv", rows), tmp_path / "out"
    # started in the background of a script, a process would ignore Ctrl-C
    heeding = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    words = [
        *(sys.executable, "-c", f"{heeding}; from coteach.cli.main import main; main(sys.argv[1:])"),
        *("download-aef-embeddings", "--source", "gcs"),
        *("--gcs-paths-csv", str(table), "--output-dir", str(out), "--gcs-endpoint", server.url),
        *("--max-workers", "1", "--max-attempts", "1000", "--retry-delay", "0.2"),
    ]
    with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
        try:
            while process.poll() is None and not server.asked("/b/1.tif"):
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert b"Aborted!" in process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert process.returncode == 1
    assert sorted(path.name for path in out.iterdir()) == ["fingerprints", "t0.tif"]


# Source Cooperative


def publish(server, year=2024, **files):
    """Files of the given values and origins, and an index of them."""
    rows = []
    for name, options in files.items():
        key = f"{KEY}/{name}.tiff"
        path = write_cog(server.folder / key, **options)
        rows.append(index_row(BUCKET + key, path, year))
    return rows


def test_sourcecoop_finds_the_file_and_reads_the_crop(server, tmp_path, capsys):
    values = random_values(7, 512, 512)
    rows = publish(
        server,
        right={"values": values, "south_up": True},
        other={"values": random_values(8, 64, 64), "origin": (X + 90000, Y)},
    )
    rows.append(index_row(f"{BUCKET}{KEY}/absent.tiff", server.folder / KEY / "right.tiff", 2023))
    write_stac_index(server.folder / INDEX, rows)
    image = image_at(tmp_path / "scene_20240610.tif", 300, 40)
    table = write_sources(tmp_path / "tiles.csv", [{"tile_id": "t", "image_path": image}])
    assert sourcecoop(server, table, tmp_path / "out") == 0
    check_crop(tmp_path / "out" / "t.tif", values, 300, 40, 20, 30)
    assert server.sent(".tiff") < (server.folder / KEY / "right.tiff").stat().st_size / 5
    assert not server.asked("other")
    [record] = (tmp_path / "out" / "fingerprints").iterdir()
    assert json.loads(record.read_text())["result"]["files"] == [f"{server.url}/{KEY}/right.tiff"]


def test_tiles_that_share_a_file_share_what_was_read_of_it(server, tmp_path):
    """Eight tiles in the same blocks cost as much as one."""
    write_stac_index(
        server.folder / INDEX, publish(server, a={"values": random_values(9, 512, 512), "block": 256})
    )
    rows = [
        {"tile_id": f"t{n}", "image_path": image_at(tmp_path / f"i{n}.tif", 20 + 25 * n, 20), "year": "2024"}
        for n in range(8)
    ]
    sent = []
    for count in (1, 8):
        server.requests.clear()
        table = write_sources(tmp_path / f"tiles{count}.csv", rows[:count])
        assert sourcecoop(server, table, tmp_path / f"out{count}") == 0
        sent.append((server.sent(".tiff"), len(server.asked(".tiff"))))
    assert sent[1] == sent[0]


def test_a_tile_over_two_files_is_put_together(server, tmp_path, capsys):
    values = random_values(10, 128, 256, bands=6)
    rows = publish(
        server,
        left={"values": values[:, :, :128], "south_up": True},
        right={"values": values[:, :, 128:], "origin": (X + 1280, Y)},
    )
    write_stac_index(server.folder / INDEX, rows)
    image = image_at(tmp_path / "i.tif", 40, 110)
    table = write_sources(tmp_path / "tiles.csv", [{"tile_id": "t", "image_path": image}])
    assert sourcecoop(server, table, tmp_path / "out", "--year", "2024", "--verbose") == 0
    check_crop(tmp_path / "out" / "t.tif", values, 40, 110, 20, 30)
    assert "t: put together from 2 files\n" in capsys.readouterr().err


def test_where_files_overlap_no_data_hides_nothing(server, tmp_path):
    """Both reach 40 columns into each other, and have nothing but NoData in the half of that which is the other's."""
    values = random_values(15, 128, 256, bands=3)
    left, right = values[:, :, :148].copy(), values[:, :, 108:].copy()
    left[:, :, 128:] = -128
    right[:, :, :20] = -128
    rows = publish(server, left={"values": left}, right={"values": right, "origin": (X + 1080, Y)})
    write_stac_index(server.folder / INDEX, rows)
    image = image_at(tmp_path / "i.tif", 40, 80, width=90)
    table = write_sources(tmp_path / "tiles.csv", [{"tile_id": "t", "image_path": image}])
    assert sourcecoop(server, table, tmp_path / "out", "--year", "2024") == 0
    check_crop(tmp_path / "out" / "t.tif", values, 40, 80, 20, 90)


@pytest.mark.parametrize("column", [10, 105])
def test_of_files_in_two_zones_the_one_with_most_data_counts(server, tmp_path, column):
    values = random_values(11, 200, 200, bands=3)
    there = np.full_like(values, -128)
    there[:, :, :column] = 1  # the part that the image does not touch, or hardly
    x, y = (v[0] for v in warp.transform(CRS, "EPSG:32616", [X], [Y]))
    rows = publish(
        server,
        empty={"values": there, "south_up": True},
        other={
            "values": random_values(12, 400, 400, bands=3),
            "origin": (x - 1000, y + 1000),
            "crs": "EPSG:32616",
        },
    )
    write_stac_index(server.folder / INDEX, rows)
    table = write_sources(
        tmp_path / "tiles.csv",
        [{"tile_id": "t", "image_path": image_at(tmp_path / "i.tif", 100, 100), "year": "2024"}],
    )
    assert sourcecoop(server, table, tmp_path / "out") == 0
    with rasterio.open(tmp_path / "out" / "t.tif") as made:
        assert made.crs == "EPSG:32616"
        assert (made.read() != -128).all()


def test_partial_cover_is_told_and_no_data_is_declared(server, tmp_path, capsys):
    values = random_values(13, 100, 100, bands=2)
    values[:, 95:, :] = -128
    write_stac_index(server.folder / INDEX, publish(server, a={"values": values}))
    image = image_at(tmp_path / "i.tif", 80, 90, height=40, width=20)
    table = write_sources(tmp_path / "tiles.csv", [{"tile_id": "t", "image_path": image}])
    assert sourcecoop(server, table, tmp_path / "out", "--year", "2024", "--verbose") == 0
    with rasterio.open(tmp_path / "out" / "t.tif") as made:
        np.testing.assert_array_equal(made.read(), values[:, 78:, 88:])
    said = capsys.readouterr().err
    assert "of the image covered" in said
    assert f"{17 / 22:.1%} of the pixels have data" in said


def test_a_wrong_year_a_place_without_data_and_no_year(server, tmp_path, capsys):
    values = np.full((2, 100, 100), -128, np.int8)
    write_stac_index(server.folder / INDEX, publish(server, a={"values": values}))
    near = image_at(tmp_path / "i.tif", 10, 10)
    rows = [
        {"tile_id": "empty", "image_path": near, "year": "2024"},
        {"tile_id": "late", "image_path": near, "year": "2031"},
        {"tile_id": "far", "image_path": image_at(tmp_path / "f.tif", 9000, 0), "year": "2024"},
        {"tile_id": "undated", "image_path": near, "year": ""},
        {"tile_id": "text", "image_path": near, "year": "last"},
    ]
    table = write_sources(tmp_path / "tiles.csv", rows)
    assert sourcecoop(server, table, tmp_path / "out") == 1
    failures = {line["tile_id"]: line["error"] for line in rows_of(tmp_path / "out" / "failures.csv")}
    assert "have no data there" in failures["empty"]
    assert failures["late"].startswith("late: no AlphaEarth file is of 2031;")
    assert "has 2024; give another --year" in failures["late"]
    assert "of 2024" in failures["far"]
    assert "reaches the image" in failures["far"]
    assert "undated: has no year" in failures["undated"]
    assert "year is 'last'" in failures["text"]
    assert not list((tmp_path / "out").glob("*.tif"))
    assert "5 of 5 tiles failed" in capsys.readouterr().err


def test_a_flat_index_on_this_computer_with_files_beside_it(server, tmp_path):
    values = random_values(14, 100, 100, bands=2)
    file = write_cog(tmp_path / "here" / "2024" / "a.tiff", values)
    index = write_flat_index(tmp_path / "here" / "index.parquet", [index_row("2024/a.tiff", file, 2024)])
    table = write_sources(tmp_path / "tiles.csv", [{"image_path": image_at(tmp_path / "x_2024.tif", 30, 30)}])
    assert sourcecoop(server, table, tmp_path / "out", "--index", index) == 0
    check_crop(tmp_path / "out" / "x_2024.tif", values, 30, 30, 20, 30)
    assert not server.requests


def test_an_index_that_cannot_be_used_ends_the_command(server, tmp_path, capsys):
    table = write_sources(
        tmp_path / "t.csv", [{"tile_id": "t", "image_path": image_at(tmp_path / "x_2024.tif", 3, 3)}]
    )
    assert sourcecoop(server, table, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"Error: {server.url}/{INDEX}: cannot be read (HTTP 404")
    cells = write_cells(tmp_path / "cells.parquet", [1.0], [2.0], [[1.0]])
    assert sourcecoop(server, table, tmp_path / "out", "--index", cells) == 1
    assert "no column 'bbox.xmin', 'bbox.ymin'" in capsys.readouterr().err


# Hugging Face


def lattice(count):
    """Cells around the image of ``hf_table``, the vectors' first number being that of the row."""
    lon, lat = (v[0] for v in warp.transform(CRS, "EPSG:4326", [X + 150], [Y - 100]))
    side = int(count**0.5)
    lats = lat + (np.arange(side) - side // 2)[:, None] * 0.05 + np.zeros(side)
    lons = lon + (np.arange(side) - side // 2)[None] * 0.05 + np.zeros(side)[:, None]
    vectors = np.random.default_rng(0).normal(size=(side * side, 64)).astype(np.float32)
    return lats.ravel(), lons.ravel(), vectors, (side // 2) * side + side // 2


def hf_table(tmp_path):
    return write_sources(
        tmp_path / "tiles.csv", [{"tile_id": "t", "image_path": image_at(tmp_path / "i.tif", 0, 0)}]
    )


def test_hf_lists_the_files_and_reads_only_the_row_group(server, tmp_path):
    lats, lons, vectors, nearest = lattice(3600)
    folder = server.folder / "datasets/Major-TOM/Core-AlphaEarth-Embeddings/resolve/main/embeddings"
    file = write_cells(folder / "part 1.parquet", lats, lons, vectors, row_group_size=100)
    write_cells(folder / "part 2.parquet", lats + 20, lons, -vectors, row_group_size=100)
    pages = server.folder / "api/datasets/Major-TOM/Core-AlphaEarth-Embeddings/tree/main"
    pages.parent.mkdir(parents=True)
    listed = [
        {"type": "directory", "path": "x.parquet"},
        {"type": "file", "path": "embeddings/part 2.parquet"},
    ]
    pages.write_text(json.dumps(listed))
    (pages.parent / "more").write_text(json.dumps([{"type": "file", "path": "embeddings/part 1.parquet"}]))
    server.headers[f"/{pages.relative_to(server.folder)}"] = {
        "Link": f'<{server.url}/{(pages.parent / "more").relative_to(server.folder)}>; rel="next"'
    }
    server.faults["/datasets/Major-TOM/Core-AlphaEarth-Embeddings/resolve/main/embeddings/part 1.parquet"] = [
        503,
        "truncated",
        "reset",
    ]
    out = tmp_path / "out"
    assert hf(hf_table(tmp_path), out, "--hf-endpoint", server.url) == 0
    made = np.load(out / "t.npy")
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, vectors[nearest])
    assert server.sent("part 1") < file.stat().st_size / 10
    assert sorted(path.name for path in out.iterdir()) == ["fingerprints", "t.npy"]
    server.requests.clear()
    assert hf(tmp_path / "tiles.csv", out, "--hf-endpoint", server.url) == 0
    assert not server.requests


def test_hf_with_a_local_folder_years_and_another_column(tmp_path):
    lats, lons, vectors, nearest = lattice(25)
    for year in (2022, 2023):
        write_cells(
            tmp_path / "set" / f"{year}.parquet",
            lats,
            lons,
            vectors * year,
            column="vec",
            year=[year] * len(lats),
        )
    more = ("--index", tmp_path / "set", "--embedding-column", "vec")
    assert hf(hf_table(tmp_path), tmp_path / "out", *more, "--year", "2023") == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "t.npy"), vectors[nearest] * np.float32(2023))
    assert hf(tmp_path / "tiles.csv", tmp_path / "out", *more, "--year", "2022") == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "t.npy"), vectors[nearest] * np.float32(2022))
    assert hf(tmp_path / "tiles.csv", tmp_path / "none", *more) == 1
    assert "has no year" in rows_of(tmp_path / "none" / "failures.csv")[0]["error"]
    assert hf(tmp_path / "tiles.csv", tmp_path / "none", *more, "--year", "2019") == 1
    assert "none of that year" in rows_of(tmp_path / "none" / "failures.csv")[0]["error"]


def test_hf_far_cells_empty_vectors_and_missing_columns(tmp_path, capsys):
    table = hf_table(tmp_path)
    lats, lons, vectors, nearest = lattice(9)
    far = write_cells(tmp_path / "far.parquet", lats + 1, lons, vectors)
    assert hf(table, tmp_path / "out", "--index", far) == 1
    assert "the nearest one is 105." in rows_of(tmp_path / "out" / "failures.csv")[0]["error"]
    assert hf(table, tmp_path / "out", "--index", far, "--max-distance", "200") == 0
    empty = [None if number == nearest else vector for number, vector in enumerate(vectors)]
    assert (
        hf(table, tmp_path / "out2", "--index", write_cells(tmp_path / "e.parquet", lats, lons, empty)) == 1
    )
    assert "is empty, zero, or not finite" in rows_of(tmp_path / "out2" / "failures.csv")[0]["error"]
    capsys.readouterr()
    other = write_cells(tmp_path / "o.parquet", lats, lons, vectors, column="vectors")
    assert hf(table, tmp_path / "out3", "--index", other) == 1
    error = capsys.readouterr().err
    assert "o.parquet: no column 'embedding'; its columns are grid_cell, centre_lat" in error
    assert "--embedding-column" in error
    (tmp_path / "torn.parquet").write_bytes(far.read_bytes()[:-20])
    assert hf(table, tmp_path / "out3", "--index", tmp_path / "torn.parquet") == 1
    assert "torn.parquet: cannot be read" in capsys.readouterr().err


def test_hf_quantised_vectors_are_dequantised(tmp_path):
    lats, lons, _, nearest = lattice(9)
    vectors = np.random.default_rng(1).integers(-127, 128, (9, 64)).astype(np.int8)
    index = write_cells(tmp_path / "q.parquet", lats, lons, vectors, column="embeddings")
    assert hf(hf_table(tmp_path), tmp_path / "out", "--index", index) == 0
    expected = [np.sign(float(v)) * (abs(float(v)) / 127.5) ** 2 for v in vectors[nearest]]
    np.testing.assert_allclose(np.load(tmp_path / "out" / "t.npy"), expected, rtol=1e-6)


# The command line


@pytest.mark.parametrize(
    "options",
    [
        ("--source", "gcs"),
        ("--source", "gcs", "--tiles-csv", "t.csv"),
        ("--source", "hf", "--gcs-paths-csv", "t.csv"),
        ("--source", "sourcecoop"),
        ("--source", "gcs", "--gcs-paths-csv", "t.csv", "--year", "2024"),
        ("--source", "earth-engine", "--tiles-csv", "t.csv"),
    ],
)
def test_options_that_do_not_fit(options, tmp_path):
    assert run(*options, "--output-dir", tmp_path) == 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--year", "2016"), "AlphaEarth begins in 2017"),
        (("--max-workers", "0"), "max_workers: is 0"),
        (("--max-attempts", "0"), "at least 1 attempt"),
    ],
)
def test_options_out_of_range(options, text, tmp_path, capsys):
    assert hf(tmp_path / "t.csv", tmp_path / "out", *options) == 1
    assert text in capsys.readouterr().err


def test_a_table_without_a_column(tmp_path, capsys):
    table = write_sources(tmp_path / "t.csv", [{"tile_id": "t", "gcs_url": "gs://a/b"}])
    assert run("--source", "gcs", "--gcs-paths-csv", table, "--output-dir", tmp_path / "out") == 1
    assert "no column 'gcs_uri' (is it 'gcs_url'?)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
