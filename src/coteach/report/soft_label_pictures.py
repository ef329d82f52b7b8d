"""Quick-looks of tiles: image, argmax of P_soft and W_conf side by side, as PNG files and as thumbnails."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from coteach.files import whole_file
from coteach.legend import Legend
from coteach.rasters.fingerprint import read_record, stamps, write_record
from coteach.rasters.quicklook import QuickLook, read_quicklook
from coteach.report.pictures import RAMP, class_picture, data_uri, photo_picture, ramp_picture

PANELS = ("image", "argmax of P_soft", "W_conf")
_MOST = 512  # pixels; greatest side of a panel
_GAP = 8  # pixels between panels
_THUMBNAIL = 800  # pixels; greatest width of all panels together
_FORMAT = 1  # raised when the same files give another picture


def update_quicklook(path: Path, record: Path, files: tuple[Path, Path, Path], legend: Legend) -> None:
    """Draw the picture of a tile, unless the one that is there shows the same files.

    Args:
        path: the PNG; its folder exists. The same content of the files gives the same bytes.
        record: keeps what it was made of.
        files: image, P_soft and W_conf.
        legend: of the classes.

    Raises:
        RasterError: a raster cannot be read.
        OSError: the picture cannot be written.
    """
    shown = {"format": _FORMAT, "most": _MOST, "colors": legend.colors, "ramp": RAMP}
    made_of = {"files": list(stamps(files).values()), **shown}
    if read_record(record, made_of, [path]) is not None:
        return
    picture = compose(read_quicklook(*files, most=_MOST), legend)
    with whole_file(path) as partial:
        picture.save(partial, "PNG")
    write_record(record, made_of, [path], result="drawn")


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


def remove_others(folder: Path, records: Path, tile_ids: Iterable[str]) -> None:
    """Remove the pictures of tiles that are not shown, and their records: an earlier build may have left them."""
    for tile_id in tile_ids:
        (folder / f"{tile_id}.png").unlink(missing_ok=True)
        (records / f"{tile_id}.json").unlink(missing_ok=True)


def _hatching(height: int, width: int) -> Image.Image:
    """What stands for no data, as on the page."""
    rows, cols = np.indices((height, width))
    stripes = np.where((rows + cols) % 8 < 6, 255, 179).astype(np.uint8)
    return Image.fromarray(stripes)
