"""Quick-looks against pixels picked from the whole rasters."""

import numpy as np
import pytest
import rasterio
from label_rasters import write_map

from coteach.errors import RasterError
from coteach.rasters.quicklook import read_quicklook


def write_tile(folder, p_soft, w_conf, image=None, voted=None, scales=None, **options):
    image = np.zeros(p_soft.shape[1:], np.uint8) if image is None else image
    paths = (folder / "image.tif", folder / "p_soft.tif", folder / "w_conf.tif")
    write_map(paths[0], image, **options)
    write_map(paths[1], p_soft, valid=voted, photometric="minisblack")
    write_map(paths[2], w_conf, valid=voted, photometric="minisblack")
    if scales is not None:
        with rasterio.open(paths[2], "r+") as file:
            file.scales = scales
    return paths


def random_votes(shape, seed=0):
    votes = np.random.default_rng(seed).integers(0, 4, (3, *shape)).astype(np.uint8)
    return votes, votes.sum(axis=0) > 0


def test_a_small_tile_is_shown_as_it_is(tmp_path):
    votes, voted = random_votes((5, 7))
    shares = (votes / np.maximum(votes.sum(axis=0), 1)).astype(np.float32)
    weight = np.where(voted, 0.25, 0).astype(np.float32)
    image = np.random.default_rng(1).random((5, 5, 7)).astype(np.float32)
    image[1, 2, 3] = -9
    image[0, 0, 0] = np.nan
    image[4, 1, 1] = -9  # a band that is not shown
    look = read_quicklook(*write_tile(tmp_path, shares, weight, image, voted, nodata=-9))
    for row, col in np.ndindex(5, 7):
        expected = max(range(3), key=lambda c: (votes[c, row, col], -c)) if voted[row, col] else -1
        assert look.codes[row, col] == expected
        assert look.image_valid[row, col] == ((row, col) not in {(2, 3), (0, 0)})
    assert np.array_equal(look.image, image[:3], equal_nan=True)
    assert (look.weighted == voted).all()
    assert (look.w_conf == weight).all()


def test_8_bits_look_like_floats(tmp_path):
    votes, voted = random_votes((40, 30), seed=2)
    shares = (votes / np.maximum(votes.sum(axis=0), 1)).astype(np.float32)
    levels = np.random.default_rng(3).integers(0, 256, (2, 40, 30)).astype(np.uint8)
    floats = read_quicklook(
        *write_tile(tmp_path / "floats", shares, levels[0] / np.float32(255), voted=voted), most=20
    )
    parts = read_quicklook(
        *write_tile(tmp_path / "parts", votes, levels, voted=voted, scales=(1 / 255, 1.0)), most=20
    )
    assert (floats.codes == parts.codes).all()
    assert np.allclose(floats.w_conf, parts.w_conf, atol=1e-6)


@pytest.mark.parametrize("size", [(1500, 40), (40, 1500), (700, 600), (513, 512), (1, 3000)])
def test_each_pixel_shown_is_one_of_those_it_stands_for(tmp_path, size):
    height, width = size
    rows, cols = np.indices(size, np.float32)
    shares = np.stack([rows, cols]) / 4096  # not shares, but the larger one tells where a pixel comes from
    paths = write_tile(tmp_path, shares, rows / 4096, np.stack([rows, cols, rows]))
    look = read_quicklook(*paths, most=512)
    shown = look.codes.shape
    assert max(shown) == 512
    assert abs(shown[0] / shown[1] - height / width) <= max(1, height / width) / min(shown)
    for axis, values in enumerate(look.image[:2]):
        step = size[axis] / shown[axis]
        index = np.indices(shown)[axis]
        # borders between source pixels of neighbours are rounded to whole pixels
        assert (values >= np.floor(index * step - 0.5)).all()
        assert (values < np.ceil((index + 1) * step + 0.5)).all()
    # all rasters are picked at the same pixels
    assert (look.codes == np.where(look.image[0] >= look.image[1], 0, 1)).all()
    assert np.allclose(look.w_conf * 4096, look.image[0])


def test_files_of_other_sizes_are_refused(tmp_path):
    votes, _ = random_votes((4, 4))
    paths = write_tile(tmp_path, votes, np.zeros((4, 4), np.float32))
    write_map(tmp_path / "other.tif", np.zeros((4, 5), np.float32))
    with pytest.raises(RasterError, match=r"other\.tif: has 4 x 5 pixels, .*p_soft\.tif has 4 x 4"):
        read_quicklook(tmp_path / "other.tif", *paths[1:])
    with pytest.raises(RasterError, match=r"other\.tif: has 4 x 5"):
        read_quicklook(*paths[:2], tmp_path / "other.tif")
    with pytest.raises(RasterError, match="does not exist"):
        read_quicklook(tmp_path / "none.tif", *paths[1:])
