"""Arrays -> pictures, and PNG files in memory, as a page can hold them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image

from coteach.errors import OptionError
from coteach.legend import Color

_MOST_COLORS = 255  # of a palette, less the one for what has no data
# From dark violet to pale yellow: lightness and hue of OKLab rise evenly, so that it reads without colour vision too.
RAMP = ("#241a54", "#243770", "#1c5589", "#0c749c", "#1992aa", "#41b1a8", "#79cca1", "#b7e396", "#faf392")


def class_picture(codes: Int[np.ndarray, "h w"], colors: Sequence[Color]) -> Image.Image:
    """A class map as a palette picture whose entry ``c`` is the colour of class ``c``.

    Args:
        codes: ``(h, w)``; what is no class (negative) is transparent.
        colors: red, green, blue in 0..255, one a class.

    Raises:
        OptionError: there are more classes than a palette holds.
    """
    if len(colors) > _MOST_COLORS:
        cause = f"{len(colors)} classes are more than the {_MOST_COLORS} that a picture can show"
        raise OptionError("num_classes", cause, "merge classes for the report")
    nothing = len(colors)
    known = (codes >= 0) & (codes < nothing)
    return _with_palette(np.where(known, codes, nothing).astype(np.uint8), [*colors, (255, 255, 255)])


def ramp_picture(values: Float[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"]) -> Image.Image:
    """Values in [0, 1] in the colours of ``RAMP``; transparent where not ``valid``."""
    levels = np.linspace(0, len(RAMP) - 1, _MOST_COLORS)
    stops = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in RAMP])
    ramp = np.stack([np.interp(levels, range(len(RAMP)), stops[:, band]) for band in range(3)], axis=1)
    colors = [(int(r), int(g), int(b)) for r, g, b in ramp.round()]
    steps = np.clip(np.nan_to_num(values), 0, 1) * (_MOST_COLORS - 1)
    indices = np.where(valid, steps.round(), _MOST_COLORS)
    return _with_palette(indices.astype(np.uint8), [*colors, (255, 255, 255)])


def photo_picture(values: Float[np.ndarray, "bands h w"], valid: Bool[np.ndarray, "h w"]) -> Image.Image:
    """Three bands as red, green and blue, or one as grey, each stretched; transparent where not ``valid``."""
    bands = [stretch(band, valid) for band in (values if len(values) == 3 else values[[0, 0, 0]])]
    opaque = np.where(valid, np.uint8(255), np.uint8(0))
    return Image.fromarray(np.stack([*bands, opaque], axis=-1))


def stretch(band: Float[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """The 2nd to the 98th percentile of the valid values -> 0..255; what lies outside is cut off."""
    if not valid.any():
        return np.zeros(band.shape, np.uint8)
    low, high = np.percentile(band[valid], (2, 98))
    shares = (np.nan_to_num(band) - low) / max(high - low, np.finfo(np.float32).tiny)
    scaled: UInt8[np.ndarray, "h w"] = (np.clip(shares, 0, 1) * 255).round().astype(np.uint8)
    return scaled


def data_uri(picture: Image.Image) -> str:
    """A picture as the text that an ``<img>`` takes for its source: a PNG file."""
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _with_palette(indices: UInt8[np.ndarray, "h w"], colors: Sequence[Color]) -> Image.Image:
    """The last colour is transparent."""
    picture = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    picture.putpalette([value for color in colors for value in color])
    picture.info["transparency"] = len(colors) - 1
    return picture
