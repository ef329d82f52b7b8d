"""Pictures, decoded again by Pillow."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from coteach.errors import OptionError
from coteach.report.pictures import RAMP, class_picture, data_uri, photo_picture, ramp_picture, stretch

COLORS = [(10, 20, 30), (200, 100, 0), (0, 255, 7)]


def decoded(picture):
    """As it comes out of the file on the page."""
    return np.array(opened(picture).convert("RGBA"))


def opened(picture):
    head, _, body = data_uri(picture).partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


def test_a_class_map_has_the_colours_of_its_classes():
    codes = np.array([[0, 1, 2], [2, -1, 9]])
    png = class_picture(codes, COLORS)
    assert opened(png).mode == "P"
    pixels = decoded(png)
    for row, col in np.ndindex(codes.shape):
        code = codes[row, col]
        if 0 <= code < 3:
            assert pixels[row, col].tolist() == [*COLORS[code], 255]
        else:
            assert pixels[row, col, 3] == 0  # nothing there: the hatching behind the picture shows


def test_the_most_classes_a_palette_holds():
    colors = [(i, 255 - i, 7) for i in range(255)]
    codes = np.arange(256).reshape(16, 16) - 1
    assert decoded(class_picture(codes, colors)).reshape(-1, 4)[1:, :3].tolist() == [list(c) for c in colors]
    with pytest.raises(OptionError, match="256 classes"):
        class_picture(codes, [*colors, (1, 2, 3)])


def test_the_ramp_goes_from_its_first_to_its_last_colour():
    values = np.array([[0.0, 0.5, 1.0, np.nan]])
    pixels = decoded(ramp_picture(values, np.array([[True, True, True, False]])))
    for column, color in ((0, RAMP[0]), (1, RAMP[4]), (2, RAMP[-1])):
        assert "#{:02x}{:02x}{:02x}".format(*pixels[0, column, :3]) == color
    assert pixels[0, :, 3].tolist() == [255, 255, 255, 0]


def test_the_ramp_can_be_read_without_colour_vision():
    # Luminance (WCAG) rises all the way (rounding to 8 bits blurs single steps); the ends are far apart.
    values = np.linspace(0, 1, 255)[None]
    rgb = decoded(ramp_picture(values, np.ones(values.shape, bool)))[0, :, :3] / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance[::5]) > 0).all()
    assert (luminance[-1] + 0.05) / (luminance[0] + 0.05) > 10


def test_stretch_by_hand():
    # 101 values 0..100: the 2nd percentile is 2, the 98th is 98.
    band = np.arange(101.0).reshape(1, -1)
    valid = np.ones(band.shape, bool)
    shown = stretch(band, valid)[0]
    assert shown[:3].tolist() == [0, 0, 0]
    assert shown[98:].tolist() == [255, 255, 255]
    assert shown[50] == 128  # (50 − 2) / 96 · 255 = 127.5, to even
    masked = np.append(band, [[1e9]], axis=1)  # NoData has no say
    assert stretch(masked, np.append(valid, [[False]], axis=1))[0, 50] == 128


def test_a_photo_of_one_band_is_grey_and_one_of_three_is_not():
    values = np.random.default_rng(0).random((3, 5, 6), np.float32)
    valid = np.ones((5, 6), bool)
    valid[0, 0] = False
    grey, colour = decoded(photo_picture(values[:1], valid)), decoded(photo_picture(values, valid))
    assert (grey[..., 0] == grey[..., 1]).all()
    assert (grey[..., 1] == grey[..., 2]).all()
    assert (colour[..., 1] == stretch(values[1], valid)).all()
    assert grey[0, 0, 3] == colour[0, 0, 3] == 0
    assert (colour[1:, :, 3] == 255).all()


def test_an_image_without_data_is_a_picture_of_nothing():
    assert (
        decoded(photo_picture(np.full((1, 2, 2), np.nan, np.float32), np.zeros((2, 2), bool)))[..., 3] == 0
    ).all()
