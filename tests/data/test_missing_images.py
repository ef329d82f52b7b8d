"""Files that are missing, empty or no files: found all at once, before any image but the first is decoded."""

import os
import warnings

import albumentations as A
import numpy as np
import pytest
from PIL import Image

from coteach import ImageFolderDataset, ImageTableDataset
from coteach.data.picture_file import fault_of
from coteach.errors import CoteachWarning, InputError


def picture(path, side=6):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side, side, 3), 9, np.uint8)).save(path)


@pytest.fixture
def csv(tmp_path):
    """Twelve images; 3, 5, 7 and 9 are not there, 11 is empty. A row's line is its number plus 2."""
    for number in range(12):
        if number < 3 or number % 2 == 0:
            picture(tmp_path / f"{number}.png")
    (tmp_path / "11.png").touch()
    rows = [f"{number}.png,{number % 2}" for number in range(12)]
    (tmp_path / "t.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    return tmp_path / "t.csv"


def no_reading(monkeypatch):
    def refuse(*_):
        pytest.fail("an image is decoded")

    monkeypatch.setattr("coteach.data.image_files.read_picture", refuse)


def test_all_are_named_by_their_lines_and_none_is_read(csv, monkeypatch):
    data = ImageTableDataset(csv)
    no_reading(monkeypatch)
    with pytest.raises(InputError) as refused:
        data.check_files()
    assert str(refused.value) == (
        f"{csv}: 5 of 12 images cannot be read ("
        + "; ".join(
            f"line {number + 2}: {csv.parent / f'{number}.png'} does not exist" for number in (3, 5, 7, 9)
        )
        + f"; line 13: {csv.parent / '11.png'} is empty); correct the paths, or replace or remove the files, "
        "or set on_error: skip"
    )


def test_only_the_first_five_are_named(csv):
    (csv.parent / "10.png").unlink()
    with pytest.raises(
        InputError, match=r"6 of 12 .*line 12: \S+10\.png does not exist; and 1 more\); correct"
    ):
        ImageTableDataset(csv).check_files()


def test_skipped_ones_are_counted_in_one_warning_and_never_train(csv):
    data = ImageTableDataset(csv, on_error="skip")
    with pytest.warns(
        CoteachWarning, match=r"t\.csv: 5 of 12 images cannot be read .*; they are skipped"
    ) as told:
        data.check_files()
    assert len(told) == 1
    assert data.skipped == {3, 5, 7, 9, 11}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.check_files()
        assert [int(data[i]["mask"]) for i in range(12)] == [0, 1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1]
    assert data.lone_class(2) == ""  # image 1 is left of class 1
    (csv.parent / "1.png").unlink()
    with pytest.warns(CoteachWarning, match=r"1 of 12 images cannot be read \(line 3: "):
        data.check_files()
    assert data.lone_class(2) == "only class 0"


def test_when_the_first_one_is_missing_all_are_told_of_at_once(csv):
    (csv.parent / "0.png").unlink()
    with pytest.raises(InputError, match=r"t\.csv: 6 of 12 images cannot be read \(line 2: "):
        ImageTableDataset(csv)
    with pytest.warns(CoteachWarning, match="6 of 12 images") as told:
        data = ImageTableDataset(csv, on_error="skip")
    assert (len(told), data.num_bands) == (1, 3)


def test_a_wrong_root_is_one_error_not_a_warning_an_image(csv, tmp_path):
    for how in ("raise", "skip"):
        with pytest.raises(
            InputError, match=r"12 of 12 images cannot be read \(line 2: \S+nowhere/0\.png does not"
        ):
            ImageTableDataset(csv, tmp_path / "nowhere", on_error=how)


def test_links_and_files_in_class_folders(tmp_path):
    picture(tmp_path / "a" / "1.png")
    picture(tmp_path / "b" / "1.png")
    (tmp_path / "b" / "2.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "b" / "3.png").touch()
    (tmp_path / "b" / "4.png").mkdir()  # a folder in a class folder may have any name
    (tmp_path / "b" / "5.png").symlink_to(tmp_path / "a" / "1.png")
    data = ImageFolderDataset(tmp_path)
    assert [path.name for path in data.paths] == ["1.png", "1.png", "2.png", "3.png", "5.png"]
    with pytest.raises(
        InputError,
        match=r"2 of 5 images .*2\.png is a link to a file that does not exist; \S+3\.png is empty\); correct",
    ):
        data.check_files()


def test_what_is_wrong_with_a_file(tmp_path, monkeypatch):
    picture(tmp_path / "a.png")
    assert fault_of(tmp_path / "a.png") == ""
    assert fault_of(tmp_path) == "is no file"
    os.mkfifo(tmp_path / "pipe.png")  # to open it would wait for ever
    assert fault_of(tmp_path / "pipe.png") == "is no file"
    assert fault_of(tmp_path / "a.png" / "b.png").startswith("cannot be looked at (Not a directory")
    assert fault_of(tmp_path / ("x" * 300)).startswith("cannot be looked at (File name too long")
    assert fault_of(tmp_path / "a\0.png") == "cannot be looked at (embedded null byte)"
    monkeypatch.setattr("os.access", lambda path, mode: (path, mode) != (tmp_path / "a.png", os.R_OK))
    assert fault_of(tmp_path / "a.png") == "must not be read (its permissions)"


def test_a_name_with_a_zero_byte_has_a_fingerprint(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "t.csv").write_bytes(b"path,label\na.png,0\na\0.png,1\n")
    assert ImageTableDataset(tmp_path / "t.csv").fingerprint()


# -- sizes in pixels ------------------------------------------------------------------------------------------


def test_other_sizes_are_found_by_headers(tmp_path, monkeypatch):
    for number in range(200):  # more than are looked at
        picture(tmp_path / "a" / f"{number:03d}.png", 6 if number < 100 else 8)
    plain, resized = ImageFolderDataset(tmp_path), ImageFolderDataset(tmp_path, 6)
    cropped = ImageFolderDataset(tmp_path, augmentation_list=[A.RandomCrop(4, 4)])
    no_reading(monkeypatch)
    with pytest.raises(
        InputError, match=r"1\d\d\.png: is 8 x 8 pixels where others are 6 x 6; give image_size"
    ):
        plain.check_files()
    resized.check_files()
    cropped.check_files()
