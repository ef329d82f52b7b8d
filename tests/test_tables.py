from __future__ import annotations

import os

import pytest

from coteach.errors import TableError
from coteach.tables import read_table, write_table


def table_of(tmp_path, text, name="t.csv"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def test_cells_stay_text_and_byte_order_mark_and_quotes_are_understood(tmp_path):
    file = tmp_path / "t.csv"
    file.write_bytes('\ufefftile_id,note\n007,"a, b"\n\n8,\n'.encode())
    table = read_table(file)
    assert table.columns == ("tile_id", "note")
    assert table.rows == [{"tile_id": "007", "note": "a, b"}, {"tile_id": "8", "note": ""}]


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"a,b,a\n1,2,3\n", "has the column 'a' twice"),
        (b"a,b\n1,2\n1,2,3\n", "has 3 cells where the header has 2 columns"),
        (b"a,b\n1\n", "has 1 cells where the header has 2 columns"),
        (b"a,b\n1,2\n\xff\xfe,2\n", "line 3 cannot be read (invalid start byte)"),
        (b'a,b\n1,2\n"1,2\n3,4\n', "the row that begins in line 3 cannot be read"),
        (b'"a,b\n1,2\n', "the row that begins in line 1 cannot be read"),
    ],
)
def test_unusable_tables_are_named_with_their_fault(tmp_path, content, cause):
    file = tmp_path / "bad.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(TableError) as raised:
        read_table(file)
    assert str(file) in raised.value.thing
    assert cause in raised.value.cause


def test_a_ragged_row_is_named_by_its_number(tmp_path):
    with pytest.raises(TableError, match=r"t\.csv, row 2: "):
        read_table(table_of(tmp_path, "a,b\n1,2\n1\n"))


def test_a_missing_column_names_the_nearest(tmp_path):
    table = read_table(table_of(tmp_path, "tile_id,image_pth\n1,2\n"))
    with pytest.raises(TableError, match=r"no column 'image_path' \(is it 'image_pth'\?\)"):
        table.require("tile_id", "image_path")
    with pytest.raises(TableError, match=r"no column 'zzz'; its columns are tile_id, image_pth"):
        table.require("zzz")
    with pytest.raises(TableError, match=r"no column 'zzz', no column 'tile' \(is it 'tile_id'\?\); its"):
        table.require("zzz", "tile_id", "tile")


@pytest.mark.parametrize("cell", ['""', " ", "x", "1.5", "-1", "nan"])
def test_integers_must_be_whole_and_at_least_the_minimum(tmp_path, cell):
    table = read_table(table_of(tmp_path, f"tile_id,row_off\nt1,{cell}\n"))
    with pytest.raises(TableError, match=r"row 1 \(t1\): row_off is"):
        table.integer(0, "row_off")


def test_an_integer_at_its_minimum_passes(tmp_path):
    table = read_table(table_of(tmp_path, "n\n0\n 12 \n"))
    assert [table.integer(index, "n") for index in (0, 1)] == [0, 12]
    with pytest.raises(TableError, match="n is '0'; give an integer of at least 1"):
        table.integer(0, "n", minimum=1)


def test_relative_paths_lie_beside_the_table_first_then_in_the_working_directory(tmp_path, monkeypatch):
    beside, here = tmp_path / "beside", tmp_path / "here"
    for folder in (beside, here):
        folder.mkdir()
        (folder / "both.tif").touch()
    (here / "only.tif").touch()
    monkeypatch.chdir(here)
    table = read_table(table_of(beside, "a\n1\n"))
    assert table.located("both.tif").resolve() == beside / "both.tif"
    assert table.located("only.tif").resolve() == here / "only.tif"
    assert table.located("neither.tif") == beside / "neither.tif"
    assert table.located("x" * 300) == beside / ("x" * 300)  # longer than names may be
    assert table.located(str(here / "both.tif")) == here / "both.tif"


def test_rows_for_another_folder_keep_absolute_and_empty_paths_and_other_columns(tmp_path):
    (tmp_path / "a").mkdir()
    absolute = str(tmp_path / "x.tif")
    columns = "one_path,two_path,three_path,note"
    table = read_table(table_of(tmp_path / "a", f"{columns}\nimg/1.tif,{absolute},,img/1.tif\n"))
    assert table.row_for(0, tmp_path / "b" / "c") == {
        "one_path": "../../a/img/1.tif",
        "two_path": absolute,
        "three_path": "",
        "note": "img/1.tif",
    }


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need rights there")
def test_rewritten_paths_hold_behind_symbolic_links(tmp_path):
    (tmp_path / "deep" / "er" / "out").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er" / "out")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "1.tif").write_text("here")
    table = read_table(table_of(tmp_path / "data", "a_path\n1.tif\n"))
    row = table.row_for(0, tmp_path / "link")
    assert (tmp_path / "link" / row["a_path"]).read_text() == "here"


def test_writing_replaces_whole_files_only(tmp_path):
    file = tmp_path / "t.csv"
    write_table(file, ["a", "b"], [{"a": "1,5", "b": ""}])
    assert file.read_bytes() == b'a,b\n"1,5",\n'
    with pytest.raises(ValueError, match="c"):
        write_table(file, ["a", "b"], [{"a": "2", "b": "3"}, {"c": "unknown column"}])
    assert file.read_bytes() == b'a,b\n"1,5",\n'
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.parametrize(("separator", "shown"), [(";", "';'"), ("\t", "tabs")])
@pytest.mark.parametrize("cell", ["a.png", '"a,b.png"', "a,b.png"])
def test_columns_that_are_separated_otherwise_are_told(tmp_path, separator, shown, cell):
    file = table_of(tmp_path, f"path{separator}label\n{cell}{separator}1\n")
    with pytest.raises(TableError, match=f"its columns are separated by {shown}; separate them by commas"):
        read_table(file).require("path", "label")


def test_a_semicolon_in_one_of_several_columns_is_none_that_separates(tmp_path):
    with pytest.raises(TableError, match="no column 'zzz'; its columns are a;b, c"):
        read_table(table_of(tmp_path, "a;b,c\n1,2\n")).require("zzz")
