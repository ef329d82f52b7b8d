"""Sample sets of images with boxes: how they become images and COCO files."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from coteach.data.voc import parse_voc, voc_stems
from coteach.errors import DataUnavailableError

BLOOD_CELL_CLASSES = ("Platelets", "RBC", "WBC")
BLOOD_CELL_SPLITS = {"train": 205, "val": 87, "test": 72}
TILE = 400  # pixels, at most
SEEN = 0.25  # a crown belongs to each tile that shows at least this share of its box
CocoImage = tuple[str, tuple[int, int], list[list[float]], list[int]]
# name here -> (image, its boxes or None) in the package
CROWN_SCENES: Mapping[str, tuple[str, str | None]] = {
    "yell-528": ("2019_YELL_2_528000_4978000_image_crop2.png", "2019_YELL_2_528000_4978000_image_crop2.xml"),
    "yell-541": ("2019_YELL_2_541000_4977000_image_crop.png", "2019_YELL_2_541000_4977000_image_crop.xml"),
    "osbs-029": ("OSBS_029.png", "OSBS_029.xml"),
    "soap-061": ("SOAP_061.png", "SOAP_061.xml"),
    "soap-031": ("SOAP_031.png", None),
}

_CROWNS_SOURCE = f"""\
Tree crowns: five aerial photographs, four of them with the boxes of 951 trees, in tiles of at most {TILE} pixels

Origin
  Photographs of the NEON airborne observation platform with boxes by the DeepForest project (Weinstein et al.), as
  redistributed in the Python wheel deepforest 2.1.0 (deepforest/data). The wheel was taken as an archive of data: none
  of its code was installed, imported or copied.

Licence
  The wheel says MIT, copyright 2019 Ben Weinstein. NEON asks that its data be cited (neonscience.org).

images
  The photographs, cut into tiles of nearly equal sides that do not overlap, as PNG.

yell-528.json, yell-541.json, osbs-029.json, soap-061.json
  COCO: the tiles of one photograph and the boxes of its trees. All have the one class Tree (soap-061's source
  tells living from dead). A box at an edge is in every tile that shows at least {SEEN:.0%} of it, clipped.

soap-031.json
  COCO: a photograph whose trees nobody has marked.
"""
_BLOOD_SOURCE = """\
Blood cells: 364 microscope images of 640 x 480 pixels with boxes of red cells, white cells and platelets

Origin
  The BCCD data set (github.com/Shenggan/BCCD_Dataset), from a folder on this computer.

Licence
  MIT, copyright 2017 shenggan.

images
  The photographs, byte for byte.

train.json, val.json, test.json
  COCO: the boxes of the authors' splits (205, 87 and 72 images), as they are: two have no area.
"""


def prepare_tree_crowns(members: Path, folder: Path) -> None:
    """Cut the photographs into tiles, and write a COCO file a photograph and ``SOURCE.txt``.

    Args:
        members: folder with the package's images and XML files.
        folder: gets the files.
    """
    from PIL import Image

    (folder / "images").mkdir()
    for scene, (picture, boxes_of) in CROWN_SCENES.items():
        objects = () if boxes_of is None else parse_voc(members / boxes_of).objects
        boxes = np.array([one.box for one in objects], np.float32).reshape(-1, 4)
        with Image.open(members / picture) as image:
            pixels = np.asarray(image.convert("RGB"))
        tiles = []
        for top, left, bottom, right in tile_frames(pixels.shape[0], pixels.shape[1]):
            name = f"images/{scene}_{top:04}_{left:04}.png"
            Image.fromarray(pixels[top:bottom, left:right]).save(folder / name)
            inside = boxes_of_tile(boxes, (top, left, bottom, right))
            tiles.append((name, (bottom - top, right - left), inside.tolist(), [1] * len(inside)))
        _write_json(folder / f"{scene}.json", coco_content(tiles, ("Tree",)))
    (folder / "SOURCE.txt").write_text(_CROWNS_SOURCE, encoding="utf-8")


def prepare_blood_cells(source: Path, folder: Path) -> None:
    """Copy the photographs, and write a COCO file a split and ``SOURCE.txt``.

    Args:
        source: the folder with ``Annotations``, ``JPEGImages`` and ``ImageSets``.
        folder: gets the files.

    Raises:
        DataUnavailableError: a split has another number of images, or an image is missing.
        InputError: an XML file is missing or damaged.
    """
    (folder / "images").mkdir()
    for split, expected in BLOOD_CELL_SPLITS.items():
        stems = voc_stems(source, split)
        if len(stems) != expected:
            cause = f"has {len(stems)} images in {split}, expected {expected}"
            raise DataUnavailableError(str(source), cause, "get the whole data set again")
        images = [_blood_image(source, stem, folder / "images") for stem in stems]
        _write_json(folder / f"{split}.json", coco_content(images, BLOOD_CELL_CLASSES))
    (folder / "SOURCE.txt").write_text(_BLOOD_SOURCE, encoding="utf-8")


def tile_frames(height: int, width: int, largest: int = TILE) -> list[tuple[int, int, int, int]]:
    """Tiles that cover an image without overlap: as few as possible, their sides equal up to one pixel.

    Returns:
        (top, left, bottom, right) of each, row by row.

    Example:
        >>> tile_frames(500, 300)
        [(0, 0, 250, 300), (250, 0, 500, 300)]
    """
    rows, columns = (_cuts(side, math.ceil(side / largest)) for side in (height, width))
    return [(top, left, bottom, right) for top, bottom in pairwise(rows) for left, right in pairwise(columns)]


def boxes_of_tile(
    boxes: Float32[np.ndarray, "n 4"], frame: tuple[int, int, int, int]
) -> Float32[np.ndarray, "m 4"]:
    """Those of a photograph's boxes that a tile shows enough of, clipped to it, in its coordinates."""
    top, left, bottom, right = frame
    moved = boxes - np.array([left, top] * 2, np.float32)
    clipped = np.clip(moved, np.float32(0), np.array([right - left, bottom - top] * 2, np.float32))
    seen, whole = np.prod(clipped[:, 2:] - clipped[:, :2], 1), np.prod(boxes[:, 2:] - boxes[:, :2], 1)
    inside: Float32[np.ndarray, "m 4"] = clipped[(seen > 0) & (seen >= SEEN * whole)]
    return inside


def coco_content(images: Sequence[CocoImage], class_names: Sequence[str]) -> dict[str, Any]:
    """A COCO file's content.

    Args:
        images: file name, (H, W), boxes as x1, y1, x2, y2 in pixels and labels from 1, of each image.
        class_names: of labels 1, 2, ...
    """
    annotations: list[dict[str, Any]] = []
    for number, (_, _, boxes, labels) in enumerate(images, 1):
        for (x1, y1, x2, y2), label in zip(boxes, labels, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": label,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
            )
    return {
        "images": [
            {"id": number, "file_name": name, "height": height, "width": width}
            for number, (name, (height, width), _, _) in enumerate(images, 1)
        ],
        "annotations": annotations,
        "categories": [{"id": label, "name": name} for label, name in enumerate(class_names, 1)],
    }


def _blood_image(source: Path, stem: str, images: Path) -> CocoImage:
    """Copy a photograph, and say what :func:`coco_content` needs of it."""
    found = parse_voc(source / "Annotations" / f"{stem}.xml")
    picture = source / "JPEGImages" / f"{stem}.jpg"
    if not picture.is_file() or found.size is None:
        cause = f"lacks the image {picture.name}, or its size"
        raise DataUnavailableError(str(source), cause, "get the whole data set again")
    shutil.copyfile(picture, images / picture.name)
    labels = [BLOOD_CELL_CLASSES.index(one.name) + 1 for one in found.objects]
    return f"images/{picture.name}", found.size, [list(one.box) for one in found.objects], labels


def _cuts(side: int, count: int) -> list[int]:
    return [round(side * number / count) for number in range(count + 1)]


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")
