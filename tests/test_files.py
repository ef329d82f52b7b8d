"""Files that are whole or not there: want of space, leftovers of killed processes."""

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from left_files import NO_PROCESS, left_by

from coteach.files import remove_leftovers, whole_file, write_text


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
    """Of this process's number in an earlier life, of none, of one that goes on, and of other computers."""
    path = tmp_path / "a.tif"
    mine, gone, on, absurd = (
        left_by(process, path) for process in (os.getpid(), NO_PROCESS, os.getppid(), 10**30)
    )
    host = mine.name.split(".")[-2].split("-")[0]
    fresh, old = (mine.with_name(mine.name.replace(host, mark)) for mark in ("00000000", "11111111"))
    for file in (mine, gone, on, absurd, fresh, old, tmp_path / ".mine.part", path):
        file.touch()
    os.utime(old, (0, 0))
    remove_leftovers(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {on.name, fresh.name, ".mine.part", "a.tif"}


def test_the_longest_ids_leave_room_for_temporary_names(tmp_path):
    """200 bytes, the longest ending, a process of seven digits: names of 255 bytes are what file systems take."""
    path = tmp_path / f"{'x' * 200}_class.tif.aux.xml"
    assert len(left_by(4_194_304, path).name) <= 255
    write_text(path, "x")
    assert path.read_text() == "x"


def test_what_another_thread_of_this_process_writes_stays(tmp_path):
    with whole_file(tmp_path / "a.tif") as partial:
        partial.write_text("x")
        remove_leftovers(tmp_path)
    assert (tmp_path / "a.tif").read_text() == "x"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere such a process counts as going on")
def test_who_is_dead_but_not_yet_noticed_is_gone(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        left = left_by(process.pid, tmp_path / "a.tif")
        left.touch()
        remove_leftovers(tmp_path)
        assert left.exists()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # until it has ended, without taking notice
        remove_leftovers(tmp_path)
        assert not left.exists()


def test_the_first_file_that_is_written_clears_its_folder(tmp_path):
    """Also where a command has no list of its folders; later ones do not look again."""
    names = [left_by(process, tmp_path / "none" / "a.csv").name for process in (NO_PROCESS, os.getppid())]
    for name in names:
        (tmp_path / name).touch()
    write_text(tmp_path / "b.csv", "x")
    assert {file.name for file in tmp_path.iterdir()} == {names[1], "b.csv"}
    (tmp_path / names[0]).touch()
    write_text(tmp_path / "b.csv", "y")
    assert (tmp_path / names[0]).exists()


def test_of_a_container_whose_processes_have_numbers_of_their_own_nobody_knows_whether_they_go_on(tmp_path):
    """It may have the name of this computer; Linux says by a link in whose numbers a process counts."""
    told = "import os; os.readlink = lambda link: 'of a container'; from coteach.files import partial_path; "
    asked = [sys.executable, "-c", f"{told}print(partial_path(__import__('pathlib').Path('a.tif')))"]
    name = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    theirs = tmp_path / re.sub(r"-\d+\.part$", f"-{NO_PROCESS}.part", name)
    theirs.touch()
    remove_leftovers(tmp_path)
    assert theirs.exists()
    os.utime(theirs, (0, 0))
    remove_leftovers(tmp_path)
    assert not theirs.exists()


def test_a_working_folder_that_is_gone_is_told_with_the_file(tmp_path):
    code = "import os; os.rmdir(os.getcwd()); from pathlib import Path; from coteach.files import write_text; write_text(Path('a.csv'), '')"
    (tmp_path / "gone").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "gone", capture_output=True, text=True, check=False
    )
    assert done.stderr.rstrip().endswith("No such file or directory: 'a.csv'"), done.stderr


def test_a_leftover_that_may_not_be_removed_costs_one_look_at_its_folder(tmp_path, monkeypatch):
    """As in a folder of several users; what lies behind it is removed all the same."""
    theirs, gone = left_by(NO_PROCESS, tmp_path / "theirs"), left_by(NO_PROCESS, tmp_path / "gone")
    folder = tmp_path / "shared"
    folder.mkdir()
    looks, unlink, iterdir = [], Path.unlink, Path.iterdir

    def refused_to(path, missing_ok=False):
        if path.name == theirs.name:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))
        unlink(path, missing_ok=missing_ok)

    def looked_at(path):
        looks.append(path)
        return iter(sorted(iterdir(path), key=lambda file: file.name != theirs.name))

    monkeypatch.setattr(Path, "unlink", refused_to)
    monkeypatch.setattr(Path, "iterdir", looked_at)
    for file in (theirs, gone):
        (folder / file.name).touch()
    for number in range(3):
        write_text(folder / f"{number}.txt", "x")
    assert looks == [folder]
    assert {file.name for file in iterdir(folder)} == {theirs.name, "0.txt", "1.txt", "2.txt"}
