from __future__ import annotations

import gzip
import pickle
import shutil
import struct

import albumentations as A
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

from coteach import ArrayDataset, ImageFolderDataset, ImageTableDataset
from coteach.data.collate import collate_batch
from coteach.data.image_files import read_picture, size_of
from coteach.data.image_samples import FASHION_MNIST_CLASSES
from coteach.data.keyed import ItemKey, KeyedDataset
from coteach.data.samples import prepare_fashion_mnist
from coteach.errors import CoteachWarning, InputError, OptionError, TableError
from coteach.losses.target import as_soft_target

RNG = np.random.default_rng(7)


def picture(path, shape=(6, 8, 3), dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = RNG.integers(0, np.iinfo(dtype).max, shape, dtype)
    Image.fromarray(values).save(path)
    return values


@pytest.fixture
def folders(tmp_path):
    """Two classes of two images; files and folders that are no images lie beside them."""
    root = tmp_path / "set"
    values = {
        name: picture(root / name) for name in ("cat/b.png", "ant/x.png", "ant/deep/a.tif", "cat/a.png")
    }
    (root / "notes.txt").write_text("no class")
    (root / "ant" / "Thumbs.db").write_text("no image")
    picture(root / "ant" / ".hidden" / "c.png")
    (root / ".cache").mkdir()
    return root, values


def corrupt(path):
    picture(path, (64, 64, 3))
    path.write_bytes(path.read_bytes()[:-400])


# -- folders --------------------------------------------------------------------------------------------------


def test_a_folder_a_class_sorted_by_name(folders):
    root, values = folders
    data = ImageFolderDataset(root)
    assert data.class_names == ["ant", "cat"]
    assert [str(path.relative_to(root)) for path in data.paths] == [
        "ant/deep/a.tif",
        "ant/x.png",
        "cat/a.png",
        "cat/b.png",
    ]
    assert [int(data[i]["mask"]) for i in range(4)] == [0, 0, 1, 1]
    for index, path in enumerate(data.paths):
        item = data[index]
        assert item["path"] == str(path)
        assert item["image"].dtype == torch.float32
        expected = values[str(path.relative_to(root))].transpose(2, 0, 1) / 255
        np.testing.assert_allclose(item["image"].numpy(), expected, rtol=1e-6)
    assert (data.num_classes, data.num_bands, len(data)) == (2, 3, 4)


def test_the_order_of_classes_can_be_given_and_a_small_set_may_lack_one(folders):
    root, _ = folders
    data = ImageFolderDataset(root, class_names=["cat", "dog", "ant"])
    assert [int(data[i]["mask"]) for i in range(4)] == [0, 0, 2, 2]
    assert data.num_classes == 3
    with pytest.raises(InputError, match=r"ant: is none of the class_names; add it"):
        ImageFolderDataset(root, class_names=["cat", "dog"])


def test_folders_that_are_none(folders, tmp_path):
    root, _ = folders
    (root / "bee").mkdir()
    with pytest.raises(InputError, match=r"bee: is an empty class folder; add images \(\.png"):
        ImageFolderDataset(root)
    with pytest.raises(InputError, match="is no folder"):
        ImageFolderDataset(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no class folders"):
        ImageFolderDataset(root / "cat")


def test_images_of_other_sizes_are_resized_or_named(folders):
    root, _ = folders
    picture(root / "cat" / "c.png", (10, 10, 3))
    data = ImageFolderDataset(root)
    assert data[0]["image"].shape == (3, 6, 8)
    with pytest.raises(
        InputError, match=r"c\.png: is 10 x 10 pixels where others are 6 x 8; give image_size"
    ):
        data[4]
    for size, shape in ((5, (3, 5, 5)), ([4, 7], (3, 4, 7))):
        assert {ImageFolderDataset(root, size)[i]["image"].shape for i in range(5)} == {shape}
    for bad in (0, [4], "5"):
        with pytest.raises((OptionError, TypeError)):
            ImageFolderDataset(root, bad)


def test_a_size_that_no_memory_holds_is_refused():
    """2^28 values in three bands are 9459.5 pixels on a side."""
    assert size_of(9459) == (9459, 9459)
    for size in (9460, [100, 10**7], 10**6):
        with pytest.raises(
            OptionError, match=r"image_size: [\d,]+ x [\d,]+ pixels are more than 268,435,456 values"
        ):
            size_of(size)


def test_a_resized_image_is_pillows_bilinear_one(tmp_path):
    values = picture(tmp_path / "a.png", (12, 20, 3))
    expected = np.asarray(Image.fromarray(values).resize((10, 6), Image.Resampling.BILINEAR)) / 255
    found = read_picture(tmp_path / "a.png", (6, 10))
    np.testing.assert_allclose(found, expected.transpose(2, 0, 1), rtol=1e-6)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "CMYK"])
def test_pillows_modes_become_one_or_three_bands(tmp_path, mode):
    colours = Image.fromarray(RNG.integers(0, 256, (5, 5, 3), np.uint8))
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    colours.convert(mode).save(path)
    grey = mode in ("L", "LA", "1")
    assert read_picture(path).shape == ((1 if grey else 3), 5, 5)
    for bands in (1, 3):
        image = read_picture(path, None, bands)
        assert image.shape == (bands, 5, 5)
        assert 0 <= image.min() <= image.max() <= 1


def test_bands_follow_the_first_image(tmp_path):
    picture(tmp_path / "a" / "1.png", (5, 5))
    picture(tmp_path / "b" / "1.png", (5, 5, 3))
    grey = ImageFolderDataset(tmp_path)
    assert (grey.num_bands, grey[1]["image"].shape) == (1, (1, 5, 5))
    assert ImageFolderDataset(tmp_path, num_bands=3)[0]["image"].shape == (3, 5, 5)
    with pytest.raises(OptionError, match="num_bands: 4 is not 1 or 3"):
        ImageFolderDataset(tmp_path, num_bands=4)


@pytest.mark.parametrize(("dtype", "full"), [("uint8", 255), ("uint16", 65535), ("float32", 1)])
def test_the_scale_is_that_of_the_dtype(tmp_path, dtype, full):
    values = (RNG.random((6, 6)) * full).astype(dtype)
    Image.fromarray(values).save(tmp_path / "a.tif")
    np.testing.assert_allclose(read_picture(tmp_path / "a.tif"), values[None] / full, rtol=1e-5)


def test_floats_that_are_no_numbers_are_named(tmp_path):
    values = np.ones((4, 4), np.float32)
    values[2, 1] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif: holds NaN or infinity; replace or remove it"):
        read_picture(tmp_path / "a.tif")


# -- images that cannot be read -------------------------------------------------------------------------------


@pytest.fixture
def damaged(tmp_path):
    for name in ("a/1.jpg", "b/1.jpg", "b/2.jpg"):
        picture(tmp_path / name, (64, 64, 3))
    corrupt(tmp_path / "a" / "2.jpg")
    (tmp_path / "b" / "3.png").write_bytes(b"")
    return tmp_path


def test_a_damaged_image_is_fatal_and_named(damaged):
    data = ImageFolderDataset(damaged)
    with pytest.raises(InputError, match=r"2\.jpg: cannot be read \(.*truncated.*\); replace or remove it"):
        data[1]
    with pytest.raises(InputError, match=r"3\.png: cannot be read"):
        data.plain(4)
    pickle.loads(pickle.dumps(data))


def test_a_damaged_image_is_skipped_by_choice_and_counted(damaged):
    data = ImageFolderDataset(damaged, on_error="skip")
    with pytest.warns(UserWarning, match=r"2\.jpg: cannot be read \(.*\); skipped, 1 of 5 images so far"):
        items = [data[0], data[1]]
    with pytest.warns(UserWarning, match=r"3\.png: .*; skipped, 2 of 5 images so far"):
        items += [data[i] for i in (2, 3, 4)]
    items = [data[i] for i in range(5)]  # each is told once
    assert data.skipped == {1, 4}
    batch = default_collate([{key: item[key] for key in ("image", "mask")} for item in items])
    target = as_soft_target(batch["mask"], 2)
    assert target.valid.tolist() == [True, False, True, True, False]
    assert not batch["image"][[1, 4]].any()


def test_the_first_image_may_be_the_damaged_one(tmp_path, unchecked):
    corrupt(tmp_path / "a" / "0.jpg")
    with pytest.warns(UserWarning, match=r"0\.jpg"), pytest.raises(InputError, match="none of its images"):
        ImageFolderDataset(tmp_path, on_error="skip")
    picture(tmp_path / "a" / "1.jpg", (64, 64, 3))
    with pytest.warns(UserWarning, match=r"0\.jpg"):
        data = ImageFolderDataset(tmp_path, on_error="skip")
    assert data[0]["image"].shape == data[1]["image"].shape == (3, 64, 64)
    with pytest.raises(OptionError, match="on_error: 'ignore' is unknown"):
        ImageFolderDataset(tmp_path, on_error="ignore")


# -- tables ---------------------------------------------------------------------------------------------------


def table(folder, *lines, name="t.csv"):
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def test_a_table_names_images_and_labels(tmp_path, monkeypatch):
    values = [picture(tmp_path / "pictures" / f"{i}.png") for i in range(3)]
    csv = table(tmp_path, "path,label,trust", "0.png,2,1", "1.png,,0.5", "2.png, 0 ,0")
    data = ImageTableDataset(csv, tmp_path / "pictures")
    assert [int(data[i]["mask"]) for i in range(3)] == [2, -1, 0]
    np.testing.assert_allclose(data[2]["image"].numpy(), values[2].transpose(2, 0, 1) / 255, rtol=1e-6)
    assert data.num_classes == 3
    weighted = ImageTableDataset(csv, tmp_path / "pictures", weight_key="trust")
    target = as_soft_target(default_collate([weighted[i]["mask"] for i in range(3)]), 3)
    assert target.weight.tolist() == [1, 0, 0]
    assert target.valid.tolist() == [True, False, True]
    beside = table(tmp_path / "pictures", "file,class", "1.png,dog", "0.png,cat")
    named = ImageTableDataset(beside, path_key="file", label_key="class", class_names=["cat", "dog"])
    assert [int(named[i]["mask"]) for i in range(2)] == [1, 0]
    floats = table(tmp_path / "pictures", "path,label", "0.png,2.0", "1.png,1", "2.png,1.0", name="f.csv")
    numbers = ImageTableDataset(floats, class_names=["1", "2"])  # names, of which pandas makes 1.0 and 2.0
    assert [int(numbers[i]["mask"]) for i in range(3)] == [1, 0, 0]
    monkeypatch.chdir(tmp_path / "pictures")
    assert len(ImageTableDataset(table(tmp_path, "path,label", "1.png,1", name="other.csv"))) == 1


def test_rows_that_cannot_be_read_are_named_by_their_lines(tmp_path):
    for i in range(3):
        picture(tmp_path / f"{i}.png")
    csv = table(
        tmp_path,
        "path,label",  # line 1
        "0.png,1",
        "",
        "1.png,one",  # line 4
        ",0",
        "2.png,1,2",  # line 6
        '"2\n.png",-3',  # lines 7 and 8
        "2.png,0",
    )
    with pytest.raises(TableError) as raised:
        ImageTableDataset(csv)
    assert raised.value.cause == (
        "4 of 6 rows cannot be read (line 4: label 'one' is no integer (names need class_names of this data set); line 5: path is "
        "empty; line 6: has 3 cells where the header has 2 columns; line 8: label is -3)"
    )
    with pytest.warns(UserWarning, match=r"t\.csv: 4 of 6 rows cannot be read \(line 4.*; they are left out"):
        data = ImageTableDataset(csv, on_error="skip")
    assert [row["path"] for row in data.rows] == ["0.png", "2.png"]


def test_rows_that_name_an_image_again_are_told(tmp_path):
    for name in ("0.png", "1.png", "deep/0.png"):
        picture(tmp_path / name)
    csv = table(
        tmp_path, "path,label", "0.png,1", "1.png,0", "deep/0.png,1", "", "./deep/../0.png,0", "1.png,0"
    )
    with pytest.warns(CoteachWarning) as told:
        data = ImageTableDataset(csv)
    [warning] = told
    assert "t.csv: 2 of 5 rows name an image that is named before, first 0.png in lines 2 and 6;" in str(
        warning.message
    )
    assert len(data) == 5
    csv.write_text("\n".join(csv.read_text().splitlines()[:4]) + "\n")
    assert len(ImageTableDataset(csv)) == 3


def test_a_label_that_is_no_class_is_named_by_its_line(tmp_path):
    picture(tmp_path / "0.png")
    picture(tmp_path / "1.png")
    data = ImageTableDataset(table(tmp_path, "path,label", "0.png,1", "", "1.png,3"))
    with pytest.raises(InputError, match=r"t\.csv, line 4: its label 3 is not one of 0 to 2"):
        data.check_classes(3)
    data.check_classes(4)


def test_a_long_list_of_bad_rows_is_cut(tmp_path):
    csv = table(tmp_path, "path,label", *[f"{i}.png,x" for i in range(9)])
    with pytest.raises(TableError, match=r"9 of 9 rows .* line 6: label 'x' is none of a, b and 4 more\)"):
        ImageTableDataset(csv, class_names=["a", "b"])
    with (
        pytest.warns(UserWarning, match="9 of 9"),
        pytest.raises(TableError, match="has no rows that can be"),
    ):
        ImageTableDataset(csv, on_error="skip", class_names=["a", "b"])


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_names_without_class_names_are_listed_once(tmp_path, on_error):
    csv = table(tmp_path, "path,label", "0.png,oak", "1.png,", "2.png,ash tree", "3.png,oak")
    with pytest.raises(TableError) as raised:
        ImageTableDataset(csv, on_error=on_error)
    assert raised.value.cause == "the labels in 'label' are names"
    assert raised.value.remedy == "give the same class_names to each data set: [ash tree, oak]"
    csv = table(tmp_path, "path,label", *[f"{i}.png,kind {i:02}" for i in range(23)])
    with pytest.raises(TableError, match=r"\[kind 00, .* kind 19 and 3 more\]"):
        ImageTableDataset(csv, on_error=on_error)


def test_labels_and_weights_out_of_range(tmp_path):
    picture(tmp_path / "0.png")
    csv = table(tmp_path, "path,label,w", "0.png,2,1", "0.png,1,1.5", "0.png,0,x")
    with pytest.raises(TableError, match=r"line 2: label 2 is not one of 0 to 1; line 3: w '1\.5' is not in"):
        ImageTableDataset(csv, class_names=["a", "b"], weight_key="w")
    with pytest.raises(TableError, match=r"no column 'lable' \(is it 'label'\?\)"):
        ImageTableDataset(csv, label_key="lable")
    csv = table(tmp_path, "path,label", "9.png,0")
    with pytest.raises(InputError, match=r"line 2: \S+9\.png does not exist"):
        ImageTableDataset(csv)


# -- arrays ---------------------------------------------------------------------------------------------------

IMAGES = RNG.integers(0, 256, (5, 6, 7, 3), np.uint8)
LABELS = np.array([0, 2, 1, -1, 2])
EXPECTED = IMAGES.transpose(0, 3, 1, 2) / 255


@pytest.mark.parametrize(
    "given",
    [
        IMAGES,
        torch.from_numpy(IMAGES),
        IMAGES.transpose(0, 3, 1, 2),
        EXPECTED.astype(np.float32),
        EXPECTED,
        (IMAGES.astype(np.uint16) * 257),
    ],
    ids=["NHWC", "tensor", "NCHW", "float32", "float64", "uint16"],
)
def test_arrays_of_all_kinds_are_the_same_images(given):
    data = ArrayDataset(given, LABELS)
    found = torch.stack([data[i]["image"] for i in range(5)])
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), EXPECTED, rtol=1e-5)
    assert [int(data[i]["mask"]) for i in range(5)] == LABELS.tolist()
    assert (data.num_classes, data.num_bands) == (3, 3)


def test_grey_images_and_scales_and_parts():
    data = ArrayDataset(IMAGES[..., 0].astype(np.int32), LABELS, image_scale=510, start=1, stop=-1)
    assert len(data) == 3
    np.testing.assert_allclose(data[0]["image"][0].numpy(), IMAGES[1, ..., 0] / 510, rtol=1e-6)
    assert int(data[1]["mask"]) == 1
    weights = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    data = ArrayDataset(IMAGES, LABELS, weights=weights, clean_labels=LABELS, start=1, stop=-1)
    assert [float(data[i]["mask"]["w_conf"]) for i in range(3)] == pytest.approx([0.2, 0.3, 0.4])
    assert data.right_labels.tolist() == [1, 1, -1]  # the last has no label
    assert (list(data.positions), data.total) == ([1, 2, 3], 5)
    for given in ({"labels": LABELS[:3]}, {"weights": weights[:3]}, {"clean_labels": LABELS[:3]}):
        with pytest.raises(InputError, match=f"{next(iter(given))}: 3 for 5 images; give one an image"):
            ArrayDataset(**({"images": IMAGES, "labels": LABELS, "start": 1, "stop": -1} | given))
    for kind, scale in ((np.int32, 255), (np.bool_, 1)):
        words = f"{np.dtype(kind)} images have no scale of their own; give image_scale, .* as in "
        example = rf"coteach\.ArrayDataset\(images, labels, image_scale={scale}\)"
        with pytest.raises(InputError, match=words + example):
            ArrayDataset(IMAGES.astype(kind), LABELS)
        assert len(ArrayDataset(IMAGES.astype(kind), LABELS, image_scale=scale)) == 5


@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 6, 7, 1), (5, 1, 6, 7)])
def test_one_band(shape):
    grey = IMAGES[..., 0].reshape(shape)
    np.testing.assert_allclose(ArrayDataset(grey, LABELS)[2]["image"][0], IMAGES[2, ..., 0] / 255, rtol=1e-6)


def test_a_layout_that_cannot_be_told_is_asked_for():
    small = IMAGES[:, :3]
    with pytest.raises(OptionError, match=r"layout: shape \(5, 3, 7, 3\) does not tell"):
        ArrayDataset(small, LABELS)
    assert ArrayDataset(small, LABELS, layout="NHWC")[0]["image"].shape == (3, 3, 7)
    with pytest.raises(InputError, match=r"shape \(5, 3, 7, 3\) is not NHW"):
        ArrayDataset(small, LABELS, layout="NHW")
    with pytest.raises(InputError, match="is not three or four axes"):
        ArrayDataset(small[0, 0], np.zeros(7, int))


def test_files_of_arrays(tmp_path):
    np.save(tmp_path / "x.npy", IMAGES)
    np.save(tmp_path / "y.npy", LABELS)
    np.savez(tmp_path / "set.npz", images=IMAGES, labels=LABELS, worse=LABELS[::-1])
    idx = struct.pack(">HBBIIII", 0, 8, 4, *IMAGES.shape) + IMAGES.tobytes()
    (tmp_path / "x.idx4").write_bytes(idx)
    (tmp_path / "y.gz").write_bytes(
        gzip.compress(struct.pack(">HBBI", 0, 12, 1, 5) + LABELS.astype(">i4").tobytes())
    )
    of_file = {
        "npy": ArrayDataset(tmp_path / "x.npy", tmp_path / "y.npy"),
        "npz": ArrayDataset(str(tmp_path / "set.npz")),
        "idx": ArrayDataset(tmp_path / "x.idx4", tmp_path / "y.gz"),
    }
    for data in of_file.values():
        assert [int(data[i]["mask"]) for i in range(5)] == LABELS.tolist()
        np.testing.assert_allclose(data[4]["image"], EXPECTED[4], rtol=1e-6)
        assert data.fingerprint() == ArrayDataset(IMAGES, LABELS).fingerprint()
    worse = ArrayDataset(tmp_path / "set.npz", tmp_path / "set.npz", labels_key="worse")
    assert int(worse[0]["mask"]) == 2
    assert worse.fingerprint() != of_file["npz"].fingerprint()
    with pytest.raises(InputError, match=r"holds no array 'label', only images, labels, worse; name that of"):
        ArrayDataset(tmp_path / "set.npz", labels_key="label")
    with pytest.raises(OptionError, match="labels: are missing"):
        ArrayDataset(tmp_path / "x.npy")
    with pytest.raises(InputError, match=r"z\.npy: does not exist"):
        ArrayDataset(tmp_path / "z.npy", LABELS)
    for name, content in (("a.npz", b"PK"), ("a.npy", b"no"), ("a.gz", b"no"), ("a.idx", idx[:-1])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: (cannot be read|is no np. file of numbers)"):
            ArrayDataset(tmp_path / name, LABELS)


def test_fashion_mnist_is_read_as_it_is():
    folder = prepare_fashion_mnist()
    data = ArrayDataset(
        folder / "t10k-images-idx3-ubyte.gz",
        folder / "t10k-labels-idx1-ubyte.gz",
        class_names=FASHION_MNIST_CLASSES,
    )
    assert (len(data), data.num_classes, data[0]["image"].shape) == (10000, 10, (1, 28, 28))
    assert data.class_names[int(data[0]["mask"])] == "Ankle boot"  # its well-known first test image
    assert data.labels.counts(10).tolist() == [1000] * 10


def test_images_that_are_no_numbers_are_named_at_once():
    images = EXPECTED.astype(np.float32)
    images[3, 1, 2, 4] = np.inf
    with pytest.raises(InputError, match="images, item 3: holds NaN or infinity"):
        ArrayDataset(images, LABELS)
    with pytest.raises(InputError, match="images, item 3: holds NaN"):
        ArrayDataset(images, LABELS, start=2)
    assert len(ArrayDataset(images, LABELS, stop=3)) == 3


def test_soft_labels_and_weights():
    shares = np.array([[0.5, 0.5, 0], [0, 0, 1], [0, 0, 0], [np.nan] * 3, [0.2, 0.3, 0.5]])
    data = ArrayDataset(IMAGES, shares, weights=[1, 0.5, 1, 1, 0])
    target = as_soft_target(default_collate([data[i]["mask"] for i in range(5)]), 3)
    assert target.valid.tolist() == [True, True, False, False, True]
    assert target.weight.tolist() == [1, 0.5, 0, 0, 0]
    torch.testing.assert_close(target.probs[4], torch.tensor([0.2, 0.3, 0.5]))
    assert data.labels.hard().tolist() == [0, 2, -1, -1, 2]
    data.check_classes(3)
    with pytest.raises(InputError, match="give shares of 3 classes, num_classes is 4"):
        data.check_classes(4)
    shares[4] = [0.9, 0.3, 0.5]
    with pytest.raises(InputError, match=r"images, item 4: its label is no distribution: 0\.9, 0\.3, 0\.5"):
        ArrayDataset(IMAGES, shares).check_classes(3)
    with pytest.raises(InputError, match=r"weights: 2 of item 1 is not in \[0, 1\]"):
        ArrayDataset(IMAGES, LABELS, weights=[1, 2, 1, 1, 1])
    with pytest.raises(InputError, match="weights: 2 for 5 images"):
        ArrayDataset(IMAGES, LABELS, weights=[1, 1])


def test_labels_that_are_none_of_the_classes():
    data = ArrayDataset(IMAGES, LABELS)
    data.check_classes(3)
    with pytest.raises(
        InputError, match=r"images, item 1: its label 2 is not one of 0 to 1 \(2 such labels\)"
    ):
        data.check_classes(2)
    with pytest.raises(InputError, match="images, item 0: its label -2"):
        ArrayDataset(IMAGES, LABELS - 2).check_classes(3)
    with pytest.raises(InputError, match=r"labels: 4 for 5 images"):
        ArrayDataset(IMAGES, LABELS[:4])
    with pytest.raises(InputError, match=r"labels: are float64 of shape \(5,\)"):
        ArrayDataset(IMAGES, LABELS / 2)
    with pytest.raises(OptionError, match="num_classes: there are 4 and 2 classes"):
        ArrayDataset(IMAGES, LABELS, class_names=["a", "b"], num_classes=4)
    with pytest.raises(OptionError, match="class_names: 'a' stands there twice"):
        ArrayDataset(IMAGES, LABELS, class_names=["a", "a"])
    with pytest.raises(InputError, match="has no images"):
        ArrayDataset(IMAGES[:0], LABELS[:0])


@pytest.mark.usefixtures("unchecked")
def test_codes_are_no_class_names(tmp_path):
    """They would say that the label 0 is the class 1."""
    with pytest.raises(OptionError, match="class_names: 1 is no text"):
        ArrayDataset(IMAGES, LABELS, class_names=[1, 0, 2])  # type: ignore[list-item]
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "table.csv").write_text("path,label\na.png,cat\n")
    with pytest.raises(OptionError, match="class_names: 1 is no text"):
        ImageTableDataset(tmp_path / "table.csv", class_names=[1, 0])  # type: ignore[list-item]


# -- augmentation ---------------------------------------------------------------------------------------------


def test_augmentation_moves_the_image_only_when_it_should():
    data = ArrayDataset(
        IMAGES, LABELS, [A.HorizontalFlip(p=1.0), A.Normalize(0.5, 0.25, max_pixel_value=1.0)]
    )
    flipped = (EXPECTED[1][..., ::-1] - 0.5) / 0.25
    np.testing.assert_allclose(data[1]["image"], flipped, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(data.plain(1)["image"], (EXPECTED[1] - 0.5) / 0.25, rtol=1e-4, atol=1e-5)
    with pytest.raises(OptionError, match="Normalize has 2 values in mean, the images have 3 bands"):
        ArrayDataset(IMAGES, LABELS, [A.Normalize((0.5, 0.5), (1, 1), max_pixel_value=1.0)])


def test_what_augmentation_draws_follows_the_seed():
    data = ArrayDataset(IMAGES, LABELS, [A.GaussNoise(p=1.0)])

    def draw(seed):
        data.reseed(seed)
        return data[0]["image"]

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))


def test_cropped_images_are_stacked_where_the_files_differ(tmp_path):
    picture(tmp_path / "a" / "1.png", (9, 12, 3))
    picture(tmp_path / "b" / "1.png", (20, 8, 3))
    data = ImageFolderDataset(tmp_path, augmentation_list=[A.RandomCrop(6, 6)])
    keyed = KeyedDataset(data, seed=1, views=2)
    batch = collate_batch([keyed[ItemKey(i, 0)] for i in range(2)])
    assert [view.shape for view in batch.views] == [(2, 3, 6, 6)] * 2
    assert batch.extra["path"] == [str(path) for path in data.paths]
    assert [target.tolist() for target in batch.targets] == [[0, 1]] * 2


# -- identity -------------------------------------------------------------------------------------------------


def test_a_fingerprint_follows_the_files_and_not_their_place(folders, tmp_path):
    root, _ = folders
    before = ImageFolderDataset(root).fingerprint()
    root.rename(tmp_path / "moved")
    root = tmp_path / "moved"
    assert ImageFolderDataset(root).fingerprint() == before
    shutil.move(root / "ant" / "x.png", root / "cat" / "x.png")
    assert ImageFolderDataset(root).fingerprint() != before


def test_class_names_that_are_one_text(folders, tmp_path):
    (tmp_path / "t.csv").write_text("path,label\ncat/a.png,0\nant/x.png,1\n")
    images = np.zeros((2, 4, 4), np.uint8)
    for make in (
        lambda: ImageTableDataset(tmp_path / "t.csv", folders[0], class_names="ab"),
        lambda: ImageFolderDataset(folders[0], class_names="ab"),
        lambda: ArrayDataset(images, [0, 1], class_names="ab"),
    ):
        with pytest.raises(OptionError, match="class_names: 'ab' is one text; give a list of names"):
            make()


def test_codes_as_pandas_writes_them_beside_an_empty_cell(folders, tmp_path):
    rows = "cat/a.png,0.0\ncat/b.png,\nant/x.png,1.0\nant/deep/a.tif,-1.00\n"
    (tmp_path / "t.csv").write_text("path,label\n" + rows)
    for names in (None, ["cat", "ant"]):
        data = ImageTableDataset(tmp_path / "t.csv", folders[0], class_names=names)
        assert data.labels.hard().tolist() == [0, -1, 1, -1]


@pytest.mark.parametrize("cell", ["1.5", "1.01", ".0", "1e0", "nan", "1.0.0"])
def test_numbers_that_are_no_codes(folders, tmp_path, cell):
    (tmp_path / "t.csv").write_text(f"path,label\ncat/a.png,0\nant/x.png,{cell}\n")
    with pytest.raises(TableError, match=f"line 3: label '{cell}' is no integer"):
        ImageTableDataset(tmp_path / "t.csv", folders[0])


def test_names_that_end_like_decimals_are_names(folders, tmp_path):
    (tmp_path / "t.csv").write_text("path,label\ncat/a.png,v1\nant/x.png,v1.0\n")
    with pytest.raises(TableError, match=r"line 3: label 'v1\.0' is none of v1, v2"):
        ImageTableDataset(tmp_path / "t.csv", folders[0], class_names=["v1", "v2"])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("images", "labels", "thing"),
    [
        ([[[0, 1], [1, 0]], [[0, 1]]], [0, 1], "images"),
        (np.zeros((2, 4, 4), np.float32), [[0.5, 0.5], [1.0]], "labels"),
    ],
)
def test_lists_of_unequal_length(images, labels, thing):
    with pytest.raises(InputError, match=f"{thing}: are of unequal length or shape; give an array"):
        ArrayDataset(images, labels)


def test_images_of_bfloat16_which_numpy_lacks():
    images = torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(1)).bfloat16()
    assert torch.equal(ArrayDataset(images, [0, 1])[1]["image"], images[1:].float())


@pytest.mark.parametrize("kind", ["junk", "npy", "objects"])
def test_an_npz_file_that_is_none(tmp_path, kind):
    path = tmp_path / "a.npz"
    with path.open("wb") as stream:
        if kind == "junk":
            stream.write(b"junk" * 20)
        elif kind == "npy":
            np.save(stream, np.zeros(3))
        else:
            np.savez(stream, images=np.array([{}]))
    with pytest.raises(
        InputError, match=r"a\.npz: is no npz file of numbers; give a \.npy, \.npz or idx file"
    ) as told:
        ArrayDataset(path, [0, 1, 2])
    assert "pickle" not in str(told.value)
