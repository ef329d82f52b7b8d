"""What an image must be like, where it is not told through the command line."""

from __future__ import annotations

import numpy as np
import pytest
from label_rasters import write_map

from coteach.rasters import rules
from coteach.rasters.dataset import opened
from coteach.rasters.read import read_image
from coteach.rasters.rules import broken_rules, check_has_data


def has_data(path):
    with opened(path) as dataset:
        return not broken_rules(dataset, [check_has_data])


@pytest.mark.parametrize("place", [(0, 0), (150, 150), (299, 299), (77, 201)])
def test_one_pixel_with_data_is_enough(tmp_path, monkeypatch, place):
    """Also one that no sample meets, for which all is read, a part at a time."""
    monkeypatch.setattr(rules, "_STRIP", 5000)
    values = np.zeros((2, 300, 300), np.uint8)
    image = write_map(tmp_path / "i.tif", values, nodata=0)
    assert not has_data(image)
    values[(slice(None), *place)] = 1
    assert has_data(write_map(image, values, nodata=0))


def test_what_counts_as_data(tmp_path):
    values = np.full((60, 70), np.nan, np.float32)
    assert not has_data(write_map(tmp_path / "nan.tif", values))
    values[50, 3] = np.inf
    assert not has_data(write_map(tmp_path / "inf.tif", values))
    values[50, 3] = 0
    assert has_data(write_map(tmp_path / "zero.tif", values))
    whole = np.zeros((60, 70), np.uint8)
    assert has_data(write_map(tmp_path / "whole.tif", whole))
    assert not has_data(write_map(tmp_path / "masked.tif", whole, valid=whole > 0))


def test_an_image_without_crs_is_looked_at_too(tmp_path):
    assert not has_data(write_map(tmp_path / "i.tif", np.zeros((9, 9), np.uint8), nodata=0, crs=None))


def test_four_bands_with_nodata_are_read_without_a_word(tmp_path):
    """GDAL takes the fourth band for alpha, and rasterio warns that NoData counts instead; warnings fail a test."""
    values = np.ones((4, 3, 3), np.uint8)
    values[:, 0, 0] = 0
    _, valid = read_image(write_map(tmp_path / "i.tif", values, nodata=0))
    assert valid.tolist() == [[False, True, True], [True] * 3, [True] * 3]
