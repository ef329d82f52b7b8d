"""A COCO set with its images made smaller, once: then a training of hundreds of small steps does not decode large photographs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from coteach.files import write_json


def reduced(file: Path, images: Path, folder: Path, short_side: int) -> Path:
    """Write the images of a COCO file so small that their shorter side is ``short_side``, and their boxes with them.

    Args:
        file: the COCO file.
        images: folder that its file names are relative to.
        folder: for the reduced images, with the same names but PNG, and the file; what is there already stays.
        short_side: pixels; images that are smaller stay as they are.

    Returns:
        The COCO file, in ``folder``, which its file names are relative to.
    """
    written = folder / file.name
    if written.is_file():
        return written
    content = json.loads(file.read_text(encoding="utf-8"))
    factors: dict[Any, tuple[float, float]] = {}
    for entry in content["images"]:
        with Image.open(images / entry["file_name"]) as picture:
            factor = min(1.0, short_side / min(picture.size))
            size = round(factor * picture.width), round(factor * picture.height)
            factors[entry["id"]] = size[0] / picture.width, size[1] / picture.height
            small = picture.convert("RGB").resize(
                size, Image.Resampling.BILINEAR
            )  # averages what a pixel covers
        name = Path(entry["file_name"]).with_suffix(".png")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        small.save(folder / name)
        entry |= {"file_name": name.as_posix(), "width": size[0], "height": size[1]}
    for one in content["annotations"]:
        x, y = factors[one["image_id"]]
        left, top, width, height = one["bbox"]
        one["bbox"] = [left * x, top * y, width * x, height * y]
        one["area"] = width * x * height * y
    write_json(written, content)
    return written
