"""A scene gives what the training data set gives, window by window."""

import albumentations
import numpy as np
import pytest
import torch
from label_rasters import write_map
from scenes import Scene, write_raster

from coteach.data.scene import SceneImage
from coteach.data.soft_label import SoftLabelDataset
from coteach.errors import OptionError, RasterError
from coteach.rasters.grid import Window

ALL = Window(0, 0, 24, 30)


def transforms(bands=3):
    return [
        albumentations.HorizontalFlip(p=1),
        albumentations.Normalize(mean=[0.2] * bands, std=[0.5] * bands, max_pixel_value=1.0),
    ]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("image_scale", [None, 70000])
def test_values_are_those_of_the_data_set(tmp_path, dtype, augment, image_scale):
    made = Scene(tmp_path, dtype=dtype)
    made.write(nodata=float(made.image[0, 3, 4]))
    listed = transforms() if augment else None
    dataset = SoftLabelDataset(made.table(), augmentation_list=listed, image_scale=image_scale)
    image = SceneImage(tmp_path / "image.tif", image_scale=image_scale, augmentation_list=listed)
    values, valid = image.read(ALL)
    assert torch.equal(values, dataset.plain(0)["image"])
    assert not valid[3, 4]
    part, valid_part = image.read(Window(5, 7, 11, 13))
    assert torch.equal(part, values[:, 5:16, 7:20])
    assert np.array_equal(valid_part, valid[5:16, 7:20])


def test_without_data_is_0_before_normalizing(tmp_path):
    image = np.full((3, 24, 30), 128, np.uint8)
    image[1, 2, 3] = 0
    write_raster(tmp_path / "i.tif", image, nodata=0)
    values, _ = SceneImage(tmp_path / "i.tif", augmentation_list=transforms()).read(ALL)
    assert values[:, 2, 3].tolist() == pytest.approx([(0 - 0.2) / 0.5] * 3)
    assert values[:, 0, 0].tolist() == pytest.approx([(128 / 255 - 0.2) / 0.5] * 3)


def test_grid_and_bands(tmp_path):
    Scene(tmp_path)
    image = SceneImage(tmp_path / "image.tif")
    assert (image.num_bands, image.grid.height, image.grid.width) == (3, 24, 30)
    assert image.grid.crs.to_epsg() == 32617
    write_map(tmp_path / "nowhere.tif", np.zeros((5, 5), np.uint8), crs=None, transform=None)
    assert not SceneImage(tmp_path / "nowhere.tif").grid.crs


def test_kept_open_it_reads_the_same(tmp_path):
    Scene(tmp_path)
    image = SceneImage(tmp_path / "image.tif")
    window = Window(1, 2, 3, 4)
    before = image.read(window)[0]
    with image.kept_open():
        assert torch.equal(image.read(window)[0], before)
        (tmp_path / "image.tif").unlink()
        assert torch.equal(image.read(window)[0], before)
    with pytest.raises(RasterError, match="does not exist"):
        image.read(window)


def test_images_that_cannot_be_used(tmp_path):
    with pytest.raises(RasterError, match="does not exist"):
        SceneImage(tmp_path / "none.tif")
    write_map(tmp_path / "signed.tif", np.zeros((5, 5), np.int16))
    with pytest.raises(RasterError, match=r"signed\.tif: int16 images have no scale"):
        SceneImage(tmp_path / "signed.tif")
    with pytest.raises(OptionError, match="image_scale"):
        SceneImage(tmp_path / "signed.tif", image_scale=0)
    with pytest.raises(RasterError, match=r"signed\.tif: has 1 bands, .*Normalize has 3 values in mean"):
        SceneImage(tmp_path / "signed.tif", image_scale=1, augmentation_list=transforms())
