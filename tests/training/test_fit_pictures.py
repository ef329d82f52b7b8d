"""``coteach.fit`` on files of pictures, and what its result says of other pictures."""

import albumentations
import numpy as np
import pytest
from PIL import Image
from torch import nn

from coteach import ImageFolderDataset, Supervised, fit
from coteach.errors import InputError, OptionError

SIZE = (6, 5)


def write(file, seed, size=(9, 8)):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)).save(file)
    return file


def shown(file):
    """By Pillow alone."""
    resized = Image.open(file).resize(SIZE[::-1], Image.Resampling.BILINEAR)
    return (np.asarray(resized, np.float32).transpose(2, 0, 1) / 255 - 0.5) / 0.2


def train(dataset):
    def network():
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 5, 2))

    return fit(network, dataset, method=Supervised(), epochs=1, batch_size=4, device="cpu")


@pytest.fixture
def folder(tmp_path):
    for code in range(2):
        for index in range(2):
            write(tmp_path / "train" / str(code) / f"{index}.png", 10 * code + index)
    return tmp_path


def test_new_pictures_are_read_as_those_of_the_training_set(folder):
    augmentations = [
        albumentations.VerticalFlip(p=1.0),
        albumentations.Normalize(mean=[0.5] * 3, std=[0.2] * 3, max_pixel_value=1.0),
    ]
    dataset = ImageFolderDataset(folder / "train", image_size=SIZE, augmentation_list=augmentations)
    result = train(dataset)
    files = [write(folder / "new" / name, seed) for seed, name in enumerate(["b.png", "c/a.png", "a.bmp"])]
    expected = result.predict(np.stack([shown(file) for file in files]))
    assert np.ptp(expected, axis=0).min() > 1e-3
    np.testing.assert_allclose(result.predict(files), expected, atol=1e-6)
    np.testing.assert_allclose(result.predict(str(folder / "new")), expected[[2, 0, 1]], atol=1e-6)


def test_pictures_that_do_not_fit(folder):
    for file in (folder / "train").rglob("*.png"):
        write(file, 1, SIZE)
    result = train(ImageFolderDataset(folder / "train"))
    files = [write(folder / "a.png", 1, SIZE), write(folder / "b.png", 2, (7, 5))]
    with pytest.raises(InputError, match=r"b\.png: is 7 x 5 pixels where others are 6 x 5; give image_size"):
        result.predict(files)
    with pytest.raises(OptionError, match=r"gone: does not exist"):
        result.predict(folder / "gone")
    (folder / "c.png").write_text("no picture")
    with pytest.raises(InputError, match=r"c\.png: cannot be read .*; replace or remove it$"):
        result.predict([folder / "c.png"])


def test_a_training_set_of_arrays_says_not_how_pictures_are_read(tmp_path):
    images = np.random.default_rng(0).random((4, 3, 6, 5), np.float32)
    result = train((images, [0, 1, 0, 1]))
    write(tmp_path / "a.png", 1)
    with pytest.raises(OptionError, match="the training set was none of pictures"):
        result.predict(tmp_path)
