"""Pascal VOC's folders: an XML file an image, and lists of images."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import NamedTuple
from xml.etree import ElementTree as ET

import numpy as np

from coteach.data.detection_boxes import (
    LONGEST_SIDE,
    AnnotatedImage,
    Annotations,
    BoxReport,
    clean_boxes,
    known_size,
)
from coteach.errors import InputError, OptionError

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_DECLARATION = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)


class VocObject(NamedTuple):
    """One object of an image.

    Args:
        name: its class.
        box: x1, y1, x2, y2 as written.
        difficult: marked as hard to see.
    """

    name: str
    box: tuple[float, float, float, float]
    difficult: bool


class VocFile(NamedTuple):
    """One XML file: the image's file name, its (H, W) if given, and its objects."""

    filename: str
    size: tuple[int, int] | None
    objects: tuple[VocObject, ...]


def parse_voc(path: Path) -> VocFile:
    """Read one XML file.

    Raises:
        InputError: there is no such file, it is no VOC XML, declares a document type or an entity (which could stand
            for any amount of text, or for other files), or an object lacks its name or a side of its box.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise InputError(str(path), "does not exist", "correct the list of images, or add it") from None
    # UTF-16 would hide a declaration from the search; VOC's files are ASCII or UTF-8
    if _DECLARATION.search(text) or b"\0" in text:
        raise InputError(str(path), "declares a document type or is no UTF-8", "remove the declaration")
    try:
        root = ET.fromstring(text)  # noqa: S314 -- without declarations there are no entities to expand
        objects = tuple(_object(path, entry) for entry in root.iter("object"))
        sides = root.findtext("size/height"), root.findtext("size/width")
        size = (int(sides[0]), int(sides[1])) if sides[0] and sides[1] else None
    except (ET.ParseError, ValueError, LookupError) as error:  # LookupError: of an unknown encoding
        raise InputError(str(path), f"is no VOC XML ({error})", "correct or remove it") from error
    known = size if size and min(size) > 0 and max(size) < LONGEST_SIDE else None
    return VocFile(root.findtext("filename") or f"{path.stem}.jpg", known, objects)


def read_voc(
    root: str | os.PathLike[str],
    split: str | None = None,
    *,
    class_names: Sequence[str] | None = None,
    ignore_difficult: bool = True,
    one_based: bool = False,
) -> Annotations:
    """The boxes of a VOC folder (``Annotations``, ``JPEGImages``, ``ImageSets/Main``).

    Args:
        root: the folder.
        split: ``train``, ``val``, ...: the list ``ImageSets/Main/{split}.txt``; None takes all XML files.
        class_names: the classes and their order; None takes the names that occur, sorted.
        ignore_difficult: difficult objects become regions to ignore.
        one_based: the first pixel is (1, 1) and the last one belongs to the box, as in the original VOC; by
            default coordinates are taken as they are.

    Raises:
        InputError: a file is missing or damaged, or a class is none of ``class_names``.
        OptionError: ``class_names`` is one text.
    """
    if isinstance(class_names, str):
        raise OptionError("class_names", f"{class_names!r} is one text", "give a list of names")
    folder = Path(root)
    stems = voc_stems(folder, split)
    files = {stem: parse_voc(folder / "Annotations" / f"{stem}.xml") for stem in stems}
    found = sorted({one.name for file in files.values() for one in file.objects})
    names = found if class_names is None else list(class_names)
    if other := sorted(set(found) - set(names)):
        cause = f"has the class {other[0]!r}, which is none of {', '.join(names)}"
        raise InputError(str(folder), cause, "add it to class_names")
    label_of = {name: label for label, name in enumerate(names, 1)}
    report = BoxReport(folder)
    shift = np.array([1, 1, 0, 0] if one_based else [0] * 4, np.float32)
    images = []
    for stem, file in files.items():
        with np.errstate(
            over="ignore"
        ):  # what float32 does not hold becomes infinite, and is refused as such
            corners = np.array([one.box for one in file.objects], np.float32).reshape(-1, 4) - shift
        sizes = np.full((len(corners), 2), known_size(file.size), np.float32)
        boxes, kept = clean_boxes(corners, sizes, partial(_xml_name, stem), report)
        ignored = np.array([one.difficult and ignore_difficult for one in file.objects], bool)
        labels = np.array([label_of[one.name] for one in file.objects], np.int64)
        images.append(
            AnnotatedImage(
                image_id=stem,
                path=_picture(folder, stem, file.filename),
                size=file.size,
                boxes=boxes[kept & ~ignored],
                labels=labels[kept & ~ignored],
                ignore=boxes[kept & ignored],
            )
        )
    report.tell()
    return Annotations(folder, tuple(images), tuple(names), tuple(range(1, len(names) + 1)))


def _object(path: Path, entry: ET.Element) -> VocObject:
    name, box = entry.findtext("name"), entry.find("bndbox")
    sides = [None if box is None else box.findtext(side) for side in _SIDES]
    if not name or any(side is None for side in sides):
        raise InputError(str(path), "has an object without name or bndbox", "complete or remove it")
    x1, y1, x2, y2 = (float(side or "nan") for side in sides)
    return VocObject(name.strip(), (x1, y1, x2, y2), (entry.findtext("difficult") or "0").strip() == "1")


def _xml_name(stem: str, _: int) -> str:
    return f"{stem}.xml"


def voc_stems(folder: Path, split: str | None) -> list[str]:
    """Names of the images of a list, or of all if ``split`` is None; see :func:`read_voc`."""
    if split is None:
        stems = sorted(file.stem for file in (folder / "Annotations").glob("*.xml"))
        if not stems:
            raise InputError(str(folder), "holds no Annotations/*.xml", "give the folder that does")
        return stems
    lists = folder / "ImageSets" / "Main"
    try:
        lines = (lists / f"{split}.txt").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in lists.glob("*.txt"))) or "no list"
        raise InputError(str(lists / f"{split}.txt"), "does not exist", f"there is {known}") from None
    stems = [line.split()[0] for line in lines if line.strip()]
    for stem in stems:
        if PurePath(stem).is_absolute() or ".." in PurePath(stem).parts or "\0" in stem:
            cause = f"names {stem!r}, which leads out of the folder"
            raise InputError(str(lists / f"{split}.txt"), cause, "name images of Annotations")
    return stems


def _picture(folder: Path, stem: str, filename: str) -> Path:
    """The image beside its XML: by the name of the XML if there is one, else as the XML says."""
    ending = Path(filename).suffix or ".jpg"
    by_stem = folder / "JPEGImages" / f"{stem}{ending}"
    return by_stem if by_stem.is_file() else folder / "JPEGImages" / Path(filename).name
