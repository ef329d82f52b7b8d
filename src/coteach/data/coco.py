"""COCO's JSON: images, categories and boxes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from coteach.data.detection_boxes import (
    LONGEST_SIDE,
    AnnotatedImage,
    Annotations,
    BoxReport,
    clean_boxes,
    known_size,
)
from coteach.errors import InputError

_REMEDY = "give a COCO file with the lists 'images', 'annotations' and 'categories'"


def load_coco(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A COCO file as it stands, its outline checked.

    Args:
        path: the JSON file. ``annotations`` may be missing, for images without labels.

    Returns:
        Its content, with the lists ``images``, ``annotations`` and ``categories``, each of objects.

    Raises:
        InputError: there is no such file, it is no JSON, or not COCO's; an image lacks ``id`` or ``file_name``, two
            have the same id, a ``file_name`` climbs (``..``) or is absolute, or an annotation belongs to no image or no category.
    """
    file = Path(path)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(str(file), "does not exist", "correct the path") from None
    except (ValueError, RecursionError) as error:
        raise InputError(str(file), f"is no JSON ({error})", _REMEDY) from error
    if not isinstance(content, dict):
        raise InputError(str(file), f"is no COCO file but a JSON {type(content).__name__}", _REMEDY)
    content.setdefault("annotations", [])
    for key in ("images", "annotations", "categories"):
        entries = content.get(key)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise InputError(str(file), f"is no COCO file: it has no list {key!r} of objects", _REMEDY)
    _check_keys(file, content)
    _check_names(file, content["images"])
    _check_links(file, content)
    return content


def read_coco(path: str | os.PathLike[str], image_dir: str | os.PathLike[str]) -> Annotations:
    """The boxes of a COCO file. Categories become labels 1, 2, ... in the order of their ids.

    Args:
        path: the JSON file.
        image_dir: folder that ``file_name`` is relative to.

    Returns:
        All images in the order of their ids, those without boxes too. Crowds (``iscrowd``) become regions to ignore.

    Raises:
        InputError: see :func:`load_coco`; also a box that is not four finite numbers.
    """
    file, folder = Path(path), Path(image_dir)
    content = load_coco(file)
    categories = sorted(content["categories"], key=lambda entry: image_order(entry["id"]))
    label_of = {entry["id"]: label for label, entry in enumerate(categories, 1)}
    entries = sorted(content["images"], key=lambda entry: image_order(entry["id"]))
    images = _with_boxes(entries, content["annotations"], label_of, file, folder)
    names = tuple(str(entry.get("name", entry["id"])) for entry in categories)
    return Annotations(file, images, names, tuple(entry["id"] for entry in categories))


def image_order(image_id: int | str) -> tuple[bool, int, str]:
    """Sorts ids: numbers by their value, then texts."""
    return (True, 0, image_id) if isinstance(image_id, str) else (False, image_id, "")


def _with_boxes(
    entries: Sequence[Mapping[str, Any]],
    annotations: Sequence[Mapping[str, Any]],
    label_of: Mapping[Any, int],
    file: Path,
    folder: Path,
) -> tuple[AnnotatedImage, ...]:
    """Images and their boxes; all boxes are checked at once, as there may be a million."""
    position = {entry["id"]: index for index, entry in enumerate(entries)}
    sizes = [_size(entry) for entry in entries]
    annotations = sorted(
        annotations, key=lambda one: position[one["image_id"]]
    )  # stable: in the file's order
    owner = np.array([position[one["image_id"]] for one in annotations], np.int64)
    with np.errstate(over="ignore"):  # what float32 does not hold becomes infinite, and is refused as such
        corners = np.array([_corners(one, file) for one in annotations], np.float32).reshape(-1, 4)
    labels = np.array([label_of[one["category_id"]] for one in annotations], np.int64)
    crowd = np.array([bool(one.get("iscrowd")) for one in annotations], bool)
    report = BoxReport(file)
    limits = np.array([known_size(size) for size in sizes], np.float32).reshape(-1, 2)[owner]
    boxes, kept = clean_boxes(corners, limits, lambda box: str(entries[owner[box]]["file_name"]), report)
    report.tell()
    own, ignored = kept & ~crowd, kept & crowd
    last = np.arange(1, len(entries))
    cuts, ignored_cuts = (np.searchsorted(owner[which], last) for which in (own, ignored))
    parts = zip(
        entries,
        sizes,
        np.split(boxes[own], cuts),
        np.split(labels[own], cuts),
        np.split(boxes[ignored], ignored_cuts),
        strict=False,  # np.split gives one part of no images
    )
    return tuple(
        AnnotatedImage(entry["id"], folder / str(entry["file_name"]), size, own_boxes, own_labels, regions)
        for entry, size, own_boxes, own_labels, regions in parts
    )


def _size(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    height, width = entry.get("height"), entry.get("width")
    known = all(isinstance(side, int) and 0 < side < LONGEST_SIDE for side in (height, width))
    return (height, width) if known else None  # type: ignore[return-value]  # known says that they are numbers


def _corners(annotation: Mapping[str, Any], file: Path) -> list[float]:
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(side, (int, float)) for side in box):
        cause = f"annotation {annotation.get('id')!r} has the bbox {box!r}"
        raise InputError(str(file), cause, "give [x, y, width, height] in pixels")
    try:
        x, y, width, height = map(float, box)
    except OverflowError:  # a whole number of hundreds of digits
        x = y = width = height = np.inf
    return [x, y, x + width, y + height]


def _check_keys(file: Path, content: Mapping[str, Any]) -> None:
    needed = {
        "images": ("id", "file_name"),
        "categories": ("id",),
        "annotations": ("image_id", "category_id"),
    }
    for kind, keys in needed.items():
        for number, entry in enumerate(content[kind], 1):
            if lacking := [key for key in keys if not isinstance(entry.get(key), (int, str))]:
                remedy = "add it; ids are numbers or texts"
                raise InputError(str(file), f"entry {number} of {kind!r} has no {lacking[0]!r}", remedy)


def _check_names(file: Path, images: Sequence[Mapping[str, Any]]) -> None:
    """A file from elsewhere names images below their folder, and no other file of this computer."""
    for entry in images:
        name = PurePath(str(entry["file_name"]))
        if name.is_absolute() or ".." in name.parts or "\0" in str(name):
            cause = f"the file_name {str(name)!r} leads out of the folder of the images"
            raise InputError(str(file), cause, "name the file below image_dir")


def _check_links(file: Path, content: Mapping[str, Any]) -> None:
    for kind in ("images", "categories"):
        ids = [entry["id"] for entry in content[kind]]
        if len(set(ids)) < len(ids):
            twice = next(one for number, one in enumerate(ids) if one in ids[:number])
            raise InputError(str(file), f"two of {kind!r} have the id {twice!r}", "give each its own")
    for key, kind in (("image_id", "images"), ("category_id", "categories")):
        known = {entry["id"] for entry in content[kind]}
        lost = [one for one in content["annotations"] if one[key] not in known]
        if lost:
            cause = f"{len(lost)} annotations have an unknown {key}, the first one {lost[0][key]!r}"
            raise InputError(str(file), cause, f"add it to {kind!r}, or remove them")
