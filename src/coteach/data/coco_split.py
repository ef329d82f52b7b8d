"""A COCO file -> a labelled share of its images and the rest, for training with few labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from coteach.data.coco import image_order, load_coco
from coteach.data.keyed import stable_seed
from coteach.errors import InputError, OptionError
from coteach.files import write_text


class CocoSplit(NamedTuple):
    """One division that was written.

    Args:
        percent: share of the images that is labelled, as text.
        fold: which draw.
        labelled: file and number of images of the labelled share.
        unlabelled: file and number of images of the rest.
        boxes: annotations of the labelled share.
    """

    percent: str
    fold: int
    labelled: tuple[Path, int]
    unlabelled: tuple[Path, int]
    boxes: int


def labelled_count(images: int, percent: str) -> int:
    """How many of ``images`` are ``percent`` of them: rounded down, exactly, and at least 1.

    Example:
        >>> labelled_count(118287, "1"), labelled_count(1000, "0.3"), labelled_count(30, "1")
        (1182, 3, 1)
    """
    return max(1, int(images * Fraction(percent) / 100))


def split_coco(
    annotations: Path,
    output_dir: Path,
    *,
    percents: Sequence[str],
    folds: Sequence[int],
    done: Callable[[CocoSplit], None] = lambda _: None,
) -> list[CocoSplit]:
    """Write ``{stem}.{fold}@{percent}.json`` and ``{stem}.{fold}@{percent}-unlabeled.json`` for each fold and percent.

    The two are disjoint, and together they hold every image and annotation; the categories and whatever else
    the file says stand in both. Images are drawn without replacement. The draw depends on the image ids, the fold
    and the percent, and not on the order of the file. Images and annotations are sorted by their ids.

    Args:
        annotations: the COCO file.
        output_dir: folder for the files; made if it is not there. Each file appears when it is complete.
        percents: shares in percent, each above 0 and below 100, as text; the text is in the file's name.
        folds: which draws, from 0.
        done: called after each pair of files.

    Returns:
        What was written, percent by percent.

    Raises:
        OptionError: a percent or fold is out of its range, or given twice, or nothing is to be written.
        InputError: the file is not COCO's, or has fewer than 2 images.
    """
    _check(percents, folds)
    content = load_coco(annotations)
    if len(content["images"]) < 2:
        cause = f"has {len(content['images'])} images"
        raise InputError(str(annotations), cause, "give at least 2: one with labels, and the rest")
    pieces = _pieces(content)
    output_dir.mkdir(parents=True, exist_ok=True)
    written = []
    for percent in percents:
        for fold in folds:
            written.append(_write(pieces, output_dir, annotations.stem, percent, fold))
            done(written[-1])
    return written


def _check(percents: Sequence[str], folds: Sequence[int]) -> None:
    for percent in percents:
        try:
            value = Fraction(percent)
        except (ValueError, ZeroDivisionError):
            raise OptionError(
                "--percent", f"{percent!r} is no number", "give numbers such as 1 or 0.5"
            ) from None
        if not 0 < value < 100:
            raise OptionError("--percent", f"{percent} is not between 0 and 100", "give a share in percent")
    if bad := [fold for fold in folds if fold < 0]:
        raise OptionError("--fold", f"{bad[0]} is below 0", "give numbers from 0")
    for option, given in (("--percent", [Fraction(one) for one in percents]), ("--fold", list(folds))):
        if not given:
            raise OptionError(option, "has no values", "give at least one")
        if len(set(given)) < len(given):
            raise OptionError(option, "has the same value twice", "give each once")


def _annotation_order(annotation: Mapping[str, Any]) -> tuple[Any, Any]:
    own = annotation.get("id", 0)
    return image_order(annotation["image_id"]), image_order(own if isinstance(own, (int, str)) else 0)


class _Pieces(NamedTuple):
    """A COCO file as texts: every image and annotation is made JSON once, however many files it goes into.

    Args:
        images: (image id, its JSON), sorted.
        annotations: (image id, its JSON), sorted.
        rest: JSON of everything else, without its last brace.
    """

    images: list[tuple[int | str, str]]
    annotations: list[tuple[int | str, str]]
    rest: str


def _pieces(content: Mapping[str, Any]) -> _Pieces:
    images = sorted(content["images"], key=lambda entry: image_order(entry["id"]))
    annotations = sorted(content["annotations"], key=_annotation_order)
    rest = {key: value for key, value in content.items() if key not in ("images", "annotations")}
    return _Pieces(
        [(entry["id"], json.dumps(entry)) for entry in images],
        [(one["image_id"], json.dumps(one)) for one in annotations],
        json.dumps(rest)[:-1],
    )


def _write(pieces: _Pieces, folder: Path, stem: str, percent: str, fold: int) -> CocoSplit:
    ids = [image_id for image_id, _ in pieces.images]
    count = min(labelled_count(len(ids), percent), len(ids) - 1)
    share = Fraction(percent)  # "1" and "1.0" are one draw
    seed = stable_seed("split-coco", fold, share.numerator, share.denominator)
    drawn = {ids[index] for index in np.random.default_rng(seed).permutation(len(ids))[:count]}
    name = f"{stem}.{fold}@{percent}"
    files = folder / f"{name}.json", folder / f"{name}-unlabeled.json"
    boxes = _write_part(files[0], pieces, drawn)
    _write_part(files[1], pieces, set(ids) - drawn)
    return CocoSplit(percent, fold, (files[0], count), (files[1], len(ids) - count), boxes)


def _write_part(file: Path, pieces: _Pieces, ids: set[int | str]) -> int:
    """Write the images of ``ids`` and what belongs to them; how many annotations those are."""
    images = [text for image_id, text in pieces.images if image_id in ids]
    annotations = [text for image_id, text in pieces.annotations if image_id in ids]
    lists = f'"images": {_json_list(images)}, "annotations": {_json_list(annotations)}'
    write_text(file, f"{pieces.rest}, {lists}}}\n")
    return len(annotations)


def _json_list(texts: Sequence[str]) -> str:
    """A JSON list, one entry a line."""
    lines = ",\n".join(texts)
    return f"[\n{lines}\n]"
