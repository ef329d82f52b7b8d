"""AlphaEarth rasters as images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scenes import Scene, write_raster

from coteach import SoftLabelDataset
from coteach.data.embedding_input import EMBEDDINGS, check_scale, shown
from coteach.data.scene import SceneImage
from coteach.errors import OptionError, RasterError
from coteach.rasters.grid import Window

FILE = Path("aef.tif")


def read(values, dtype):
    """What the readers give of a file: float32, whatever it holds."""
    held = np.array(values, dtype)
    return held.astype(np.float32), np.ones(held.shape[1:], bool)


def test_components_by_hand():
    """sign(v) (|v| / 127.5)^2."""
    image, seen = shown(*read([[[127, -127, 0, 51, -128]]], "int8"), "int8", EMBEDDINGS, FILE)
    np.testing.assert_allclose(image[0, 0], [0.992172, -0.992172, 0, 0.16, 0], atol=1e-6)
    assert seen.tolist() == [[True, True, True, True, False]]


def test_a_pixel_without_one_component_is_not_seen():
    values = np.full((3, 2, 2), 100)
    values[1, 0, 1] = -128
    image, seen = shown(*read(values, "int8"), "int8", EMBEDDINGS, FILE)
    assert seen.tolist() == [[True, False], [True, True]]
    assert (image[:, 0, 1] == 0).all()
    assert (image[:, seen] > 0.6).all()


def test_what_the_file_masks_is_not_seen():
    values, seen = read(np.full((3, 2, 2), 100), "int16")
    seen[1, 1] = False
    image, found = shown(values, seen, "int16", EMBEDDINGS, FILE)
    assert found.tolist() == [[True, True], [True, False]]
    assert (image[:, 1, 1] == 0).all()


def test_floats_are_vectors_already():
    values, seen = read([[[0.6, np.nan]], [[-0.8, 0.1]]], "float32")
    image, found = shown(values, seen, "float32", EMBEDDINGS, FILE)
    np.testing.assert_allclose(image, [[[0.6, 0]], [[-0.8, 0]]], rtol=1e-6)
    assert found.tolist() == [[True, False]]


def test_other_images_are_divided_as_ever():
    values, seen = read([[[0, 255, 51]]], "uint8")
    seen[0, 2] = False
    image, found = shown(values, seen, "uint8", None, FILE)
    assert image.tolist() == [[[0, 1, 0]]]
    np.testing.assert_array_equal(found, seen)
    assert shown(values, seen, "uint8", 51, FILE)[0].tolist() == [[[0, 5, 0]]]


@pytest.mark.parametrize(
    ("dtype", "scale", "error", "words"),
    [
        ("uint8", EMBEDDINGS, RasterError, r"aef.tif: holds uint8 values, whose scale is not known"),
        ("int8", None, RasterError, r"aef.tif: int8 images have no scale of their own"),
        ("int8", "embedding", OptionError, r"image_scale: 'embedding' is no number; .*, or 'embeddings'"),
        ("uint8", 0, OptionError, r"image_scale: 0 is no number above 0"),
    ],
)
def test_scales_that_an_image_cannot_have(dtype, scale, error, words):
    with pytest.raises(error, match=words):
        check_scale(dtype, scale, FILE)


def test_values_that_are_no_component_are_named():
    with pytest.raises(RasterError, match=r"aef.tif: holds 300, which is no quantised component"):
        shown(*read([[[300]]], "int16"), "int16", EMBEDDINGS, FILE)


@pytest.fixture
def scene(tmp_path):
    """A scene whose image is of 64 int8 bands, with a pixel of NoData, one of which the file does not say so."""
    made = Scene(tmp_path)
    rng = np.random.default_rng(3)
    made.image = rng.integers(-127, 128, (64, 24, 30)).astype(np.int8)
    made.image[:, 2, 3] = -128
    write_raster(tmp_path / "image.tif", made.image)
    return made


def test_the_data_sets_and_scenes_show_the_same(scene):
    dataset = SoftLabelDataset(scene.table(), w_conf_key="w_conf_path", image_scale="embeddings")
    item = dataset[0]
    assert dataset.num_bands == 64
    stored = scene.image.astype(float)
    expected = np.sign(stored) * (stored / 127.5) ** 2
    expected[:, 2, 3] = 0
    np.testing.assert_allclose(item["image"], expected, atol=1e-6)
    assert (item["mask"]["mask"][:, 2, 3] == 0.25).all()
    assert item["mask"]["w_conf"][0, 2, 3] == 0
    assert (item["mask"]["w_conf"] > 0).sum() == 24 * 30 - 1
    image, valid = SceneImage(scene.folder / "image.tif", image_scale="embeddings").read(Window(0, 0, 24, 30))
    np.testing.assert_array_equal(image, item["image"])
    assert np.argwhere(~valid).tolist() == [[2, 3]]


def test_a_scale_that_does_not_fit_is_refused_at_once(scene):
    for scale, error, words in (
        ("embedings", OptionError, r"image_scale: 'embedings' is no number"),
        (None, RasterError, r"image.tif: int8 images have no scale of their own"),
    ):
        with pytest.raises(error, match=words):
            SoftLabelDataset(scene.table(), image_scale=scale)
