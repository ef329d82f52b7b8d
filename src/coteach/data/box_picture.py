"""An image with boxes drawn on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32
from PIL import Image, ImageDraw, ImageFont

from coteach.legend import Color

_LINES = 250  # the longer side of an image is this many times as long as a line is wide
_LETTERS = 45  # and this many times as long as a letter is high
_SMALLEST_LETTER = 10  # pixels


def draw_boxes(
    image: Float32[np.ndarray, "3 h w"],
    boxes: Float[np.ndarray, "n 4"],
    colors: Sequence[Color],
    texts: Sequence[str] | None = None,
) -> Image.Image:
    """Draw boxes, the last one on top.

    Args:
        image: ``(3, H, W)`` in [0, 1].
        boxes: ``(N, 4)`` x1, y1, x2, y2 in pixels.
        colors: red, green, blue in 0..255, one a box.
        texts: one a box, written at its upper left corner, moved to where it is seen whole; None writes nothing.

    Returns:
        ``(H, W)`` in RGB.
    """
    pixels = (np.clip(image, 0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    pen = ImageDraw.Draw(picture)
    longest = max(picture.size)
    width = max(1, round(longest / _LINES))
    for box, color in zip(boxes.tolist(), colors, strict=True):
        x1, y1, x2, y2 = box
        pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=color, width=width)
    if texts is not None:
        font = ImageFont.load_default(max(_SMALLEST_LETTER, longest / _LETTERS))
        for box, color, text in zip(boxes.tolist(), colors, texts, strict=True):
            _write(pen, (box[0], box[1]), text, color, font)
    return picture


def _write(
    pen: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    text: str,
    color: Color,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """A text on a ground of the box's colour, black or white, whichever is read more easily."""
    _, _, right, bottom = pen.textbbox((0, 0), text, font=font)
    x = max(0.0, min(corner[0], pen.im.size[0] - right))
    y = corner[1] - bottom if corner[1] >= bottom else corner[1]
    pen.rectangle((x, y, x + right, y + bottom), fill=color)
    bright = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 140
    pen.text((x, y), text, fill=(0, 0, 0) if bright else (255, 255, 255), font=font)
