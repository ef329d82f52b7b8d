"""True classes beside the given ones: which labels are right, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from coteach import ArrayDataset, ImageTableDataset
from coteach.cli.identity import _NOT_OF_DATASET
from coteach.errors import CoteachWarning, InputError, TableError

IMAGES = np.zeros((5, 4, 4), np.uint8)
GIVEN = np.array([0, 1, 1, -1, 0])
CLEAN = np.array([0, 0, 1, 1, -1])
RIGHT = [1, 0, 1, -1, -1]


def test_arrays_and_files(tmp_path):
    np.savez(tmp_path / "all.npz", images=IMAGES, labels=GIVEN, truth=CLEAN)
    np.save(tmp_path / "clean.npy", CLEAN)
    file = str(tmp_path / "all.npz")
    assert ArrayDataset(IMAGES, GIVEN, clean_labels=CLEAN).right_labels.tolist() == RIGHT
    assert ArrayDataset(IMAGES, GIVEN, clean_labels=tmp_path / "clean.npy").right_labels.tolist() == RIGHT
    part = ArrayDataset(file, clean_labels=file, clean_labels_key="truth", start=1, stop=4)
    assert part.right_labels.tolist() == RIGHT[1:4]
    assert ArrayDataset(IMAGES, GIVEN).right_labels is None


def test_soft_labels_count_for_their_largest_share():
    shares = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [np.nan, np.nan], [1, 0]], np.float32)
    assert ArrayDataset(IMAGES, shares, clean_labels=CLEAN).right_labels.tolist() == RIGHT


def test_they_do_not_make_other_data():
    plain, known = ArrayDataset(IMAGES, GIVEN), ArrayDataset(IMAGES, GIVEN, clean_labels=CLEAN)
    assert plain.fingerprint() == known.fingerprint()
    assert plain[0]["mask"] == known[0]["mask"]
    assert {"clean_label_key", "clean_labels_key"} <= _NOT_OF_DATASET


@pytest.mark.parametrize("clean", [CLEAN[:4], CLEAN[:, None], CLEAN.astype(float)])
def test_what_does_not_fit_is_refused(clean):
    with pytest.raises(InputError, match=r"clean_labels: (4|are .*) for 5 images"):
        ArrayDataset(IMAGES, GIVEN, clean_labels=clean)


def test_classes_that_are_counted_from_1_are_refused():
    with pytest.raises(InputError, match=r"images, item 2: its true class .*2 is not one of 0 to 1 \(2 such"):
        ArrayDataset(IMAGES, GIVEN, clean_labels=np.array([1, 1, 2, 2, -1])).check_classes(2)
    shares = np.full((5, 2), 0.5, np.float32)
    with pytest.raises(InputError, match=r"item 4: its true class .*-2 is not one of 0 to 1"):
        ArrayDataset(IMAGES, shares, clean_labels=np.array([1, 1, 0, 0, -2])).check_classes(2)
    ArrayDataset(IMAGES, GIVEN, clean_labels=CLEAN).check_classes(2)


def test_a_column_of_a_table(tmp_path):
    for name in "abc":
        Image.new("L", (4, 4)).save(tmp_path / f"{name}.png")
    table = tmp_path / "train.csv"
    table.write_text("path,label,truth\na.png,cat,cat\nb.png,dog,cat\nc.png,dog,\n")
    options = {"class_names": ["cat", "dog"], "clean_label_key": "truth"}
    assert ImageTableDataset(table, **options).right_labels.tolist() == [1, 0, -1]
    table.write_text("path,label,truth\na.png,cat,cow\n")
    with pytest.raises(TableError, match="line 2: truth 'cow' is none of cat, dog"):
        ImageTableDataset(table, **options)
    table.write_text("path,label,truth\na.png,cat,cat\nb.png,dog,cow\nc.png,dow,cat\n")
    # a bad label leaves its row out, a bad truth does not: what is learned from would depend on it
    with (
        pytest.warns(CoteachWarning, match="line 4: label 'dow'"),
        pytest.raises(TableError, match=r"1 of 3 rows .*line 3: truth 'cow'.*empty cell"),
    ):
        ImageTableDataset(table, on_error="skip", **options)
    table.write_text("path,label\na.png,cat\n")
    with pytest.raises(TableError, match="truth"):
        ImageTableDataset(table, **options)
