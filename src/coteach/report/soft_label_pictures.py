"""Quick-looks of tiles: image, argmax of P_soft and W_conf side by side, as PNG files and as thumbnails."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from coteach.files import whole_file
from coteach.legend import Legend
from coteach.rasters.fingerprint import stamps
from coteach.rasters.quicklook import QuickLook, read_quicklook
from coteach.report.pictures import RAMP, class_picture, data_uri, photo_picture, ramp_picture

PANELS = ("image", "argmax of P_soft", "W_conf")
_MOST = 512  # pixels; greatest side of a panel
_GAP = 8  # pixels between panels
_THUMBNAIL = 800  # pixels; greatest width of all panels together
_FORMAT = 1  # raised when the same files give another picture
_MADE_OF = "coteach"  # name of the text in the PNG that tells what it was made of


def update_quicklook(path: Path, files: tuple[Path, Path, Path], legend: Legend) -> None:
    """Draw the picture of a tile, unless the one that is there shows the same files.

    Args:
        path: the PNG; its folder exists.
        files: image, P_soft and W_conf.
        legend: of the classes.

    Raises:
        RasterError: a raster cannot be read.
        OSError: the picture cannot be written.
    """
    made_of = _made_of(files, legend)
    if _kept(path) == made_of:
        return
    picture = compose(read_quicklook(*files, most=_MOST), legend)
    text = PngImagePlugin.PngInfo()
    text.add_text(_MADE_OF, made_of)
    with whole_file(path) as partial:
        picture.save(partial, "PNG", pnginfo=text)


def compose(look: QuickLook, legend: Legend) -> Image.Image:
    """The three panels from left to right, hatched where there is nothing to show."""
    pictures = (
        photo_picture(look.image, look.image_valid),
        class_picture(look.codes, legend.colors),
        ramp_picture(look.w_conf, look.weighted),
    )
    height, width = look.codes.shape
    whole = Image.new("RGB", (3 * width + 2 * _GAP, height), "white")
    for place, picture in enumerate(pictures):
        panel = picture.convert("RGBA")
        left = place * (width + _GAP)
        whole.paste(_hatching(height, width), (left, 0))
        whole.paste(panel, (left, 0), panel)
    return whole


def thumbnail_uri(path: Path) -> str:
    """A picture, made smaller, as the source of an ``<img>``; of 256 colours, as there is no need of more."""
    with Image.open(path) as picture:
        small = picture.convert("RGB")
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return data_uri(small.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE))


def remove_others(folder: Path, tile_ids: Iterable[str]) -> None:
    """Remove the pictures of tiles that are not shown: an earlier build may have left them."""
    for tile_id in tile_ids:
        (folder / f"{tile_id}.png").unlink(missing_ok=True)


def _hatching(height: int, width: int) -> Image.Image:
    """What stands for no data, as on the page."""
    rows, cols = np.indices((height, width))
    stripes = np.where((rows + cols) % 8 < 6, 255, 179).astype(np.uint8)
    return Image.fromarray(stripes)


def _made_of(files: Sequence[Path], legend: Legend) -> str:
    content = json.dumps([_FORMAT, _MOST, list(stamps(files).values()), legend.colors, RAMP])
    return hashlib.sha256(content.encode()).hexdigest()


def _kept(path: Path) -> str | None:
    """What the picture that is there was made of; None if there is none, or it is damaged."""
    try:
        with Image.open(path) as picture:
            picture.load()
            return str(picture.info.get(_MADE_OF))
    except (OSError, SyntaxError, ValueError):  # Pillow's for what is no PNG, or is cut off
        return None
