from __future__ import annotations

import pytest

from coteach.errors import TableError
from coteach.rasters.aef.requests import Request, gs_to_http, read_requests, year_in
from coteach.rasters.sources import BadRow
from coteach.tables import read_table


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("images/tile_20250625_20260106.tif", 2025),
        ("s2/2016/tile_2019.tif", 2019),  # 2016 is too early
        ("S2A_MSIL2A_20180203T101559.tif", 2018),
        ("mosaic_202107.tif", 2021),
        ("20230102030405.tif", 2023),
        ("size_2048_x_2027.tif", None),  # 2027 is to come
        ("id_1202012345.tif", None),
        ("id_20201.tif", None),
        ("tile_7.tif", None),
        ("2024/2020.tif", 2024),
    ],
)
def test_the_first_year_in_a_path(text, year):
    assert year_in(text, this_year=2026) == year


def rows(tmp_path, text, **options):
    (tmp_path / "t.csv").write_text(text)
    return read_requests(read_table(tmp_path / "t.csv"), **options)


def test_the_option_comes_before_the_column_and_that_before_the_path(tmp_path):
    text = "tile_id,image_path,year\na,x_2018.tif,2020\nb,x_2018.tif,\nc,x.tif,\n"
    assert [row.year for row in rows(tmp_path, text, by_uri=False)] == [2020, 2018, None]
    assert [row.year for row in rows(tmp_path, text, by_uri=False, year=2022)] == [2022] * 3


def test_rows_without_an_id_are_called_by_their_image(tmp_path):
    [row] = rows(tmp_path, "image_path\nfolder/scene.tif\n", by_uri=False)
    assert row == Request("scene", tmp_path / "folder" / "scene.tif")


def test_addresses(tmp_path):
    text = (
        "tile_id,gcs_uri,image_path\na,gs://b/c d/e.tif,\nb,https://h/e.tif,i.tif\nc,gs://b,\nd,gs://b/f/,\n"
    )
    a, b, *bad = rows(tmp_path, text, by_uri=True, endpoint="https://s/")
    assert a == Request("a", None, "https://s/b/c%20d/e.tif")
    assert b == Request("b", tmp_path / "i.tif", "https://h/e.tif")
    assert all(isinstance(row, BadRow) and "give gs://bucket/key" in row.error for row in bad)
    assert gs_to_http("gs://b/k.tif", "http://here:1") == "http://here:1/b/k.tif"


def test_missing_columns_and_rows(tmp_path):
    with pytest.raises(TableError, match="no column 'image_path'"):
        rows(tmp_path, "tile_id\na\n", by_uri=False)
    with pytest.raises(TableError, match="has no rows"):
        rows(tmp_path, "tile_id,gcs_uri\n", by_uri=True)
