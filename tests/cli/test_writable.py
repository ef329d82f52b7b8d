"""Outputs that cannot be written are found before the work."""

import pytest

from coteach.cli.writable import check_writable_file, check_writable_folder
from coteach.errors import OptionError


def test_what_can_be_written_passes_and_nothing_is_made(tmp_path):
    check_writable_folder(tmp_path / "new" / "deep", "--output-dir")
    check_writable_file(tmp_path / "new" / "a.json", "--output")
    (tmp_path / "old.json").write_text("kept")
    check_writable_file(tmp_path / "old.json", "--output")
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "kept"


def test_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_writable_file(tmp_path.relative_to(tmp_path) / "a.json", "--output")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", [".", "deep", "very/deep"])
def test_a_file_is_no_folder(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match=r"--output-dir: .*file.* cannot be written \(Not a directory\)"):
        check_writable_folder(tmp_path / "file" / below, "--output-dir")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(OptionError, match="is a folder; give the name of a file"):
        check_writable_file(tmp_path, "--output")
