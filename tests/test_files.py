"""Files that are whole or not there: want of space, leftovers of killed processes."""

import errno
import os
import shutil
from types import SimpleNamespace

import pytest

from coteach.files import partial_path, remove_leftovers, whole_file, write_text


@pytest.fixture
def room(monkeypatch):
    """The disk has room for 100 bytes more."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100))


def refused(code):
    return OSError(code, os.strerror(code))


@pytest.mark.parametrize(
    ("code", "size", "told"),
    [
        (errno.ENOSPC, 500, "No space left on device, 500 bytes are needed, there is room for 110: "),
        (errno.ENOSPC, None, "No space left on device, more than 110 bytes are needed: "),
        (errno.EDQUOT, 500, "500 bytes are needed, there is room for 10: "),
        (errno.EFBIG, None, "more than 10 bytes are needed: "),
    ],
)
def test_want_of_space_names_the_file_and_the_bytes(tmp_path, room, code, size, told):
    path = tmp_path / "maps.tif"
    path.write_text("earlier")

    def write():
        with whole_file(path, size) as partial:
            partial.write_bytes(b"0123456789")
            raise refused(code)

    with pytest.raises(OSError, match="bytes are needed") as caught:
        write()
    assert f"{told}'{path}'" in str(caught.value)
    assert caught.value.errno == code
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_the_size_of_a_text_is_that_of_its_bytes(tmp_path, room, monkeypatch):
    def full(path, content):
        raise refused(errno.ENOSPC)

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="200 bytes are needed, there is room for 100"):
        write_text(tmp_path / "a.csv", "é" * 100)


def test_another_name_than_the_temporary_one_is_told(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"/none/maps\.tif'$"),
        whole_file(tmp_path / "none" / "maps.tif") as partial,
    ):
        partial.write_text("x")


def test_an_error_about_another_file_stays_as_it_is(tmp_path):
    def write():
        with whole_file(tmp_path / "maps.tif"):
            (tmp_path / "other").read_text()

    with pytest.raises(FileNotFoundError, match=r"/other'$"):
        write()


def test_leftovers_of_those_that_are_gone(tmp_path):
    """The names are those of this process, with the number of another one, or the mark of another computer."""
    mine = partial_path(tmp_path / "a.tif").name
    host, number = mine.split(".")[-2].split("-")
    assert number == str(os.getpid())
    gone, parent = (mine.replace(f"-{number}.", f"-{other}.") for other in (1 << 23, os.getppid()))
    fresh, old = (mine.replace(host, mark) for mark in ("00000000", "11111111"))
    for name in (mine, gone, parent, fresh, old, ".mine.part", "a.tif"):
        (tmp_path / name).touch()
    os.utime(tmp_path / old, (0, 0))
    remove_leftovers(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {parent, fresh, ".mine.part", "a.tif"}
