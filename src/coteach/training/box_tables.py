"""The files of found boxes: results as COCO has them, and tables of images and classes beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coteach.data.detection_boxes import AnnotatedImage
from coteach.files import remove_leftovers, write_text
from coteach.rasters.failures import FAILURES, write_failures
from coteach.tables import path_from, write_table
from coteach.training.box_journal import FoundBoxes

_IMAGES, _CATEGORIES, _PICTURES = "images.csv", "categories.csv", "pictures"
_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class BoxFolder:
    """Where everything lies in an output folder."""

    path: Path

    @property
    def results(self) -> Path:
        """All boxes: COCO's list of results."""
        return self.path / "detections.json"

    @property
    def journal(self) -> Path:
        """What was found so far."""
        return self.path / "fingerprints" / "detections.jsonl"

    def picture(self, image_id: int | str) -> Path:
        """An image with its boxes."""
        return self.path / _PICTURES / f"{image_id}.jpg"

    def prepare(self, *, pictures: bool) -> None:
        """Make the folders, that of ``pictures`` only if there will be some, and clear away what a killed run left."""
        for folder in (self.path, self.journal.parent, *([self.path / _PICTURES] if pictures else ())):
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder)


def write_results(
    folder: BoxFolder,
    images: Sequence[AnnotatedImage],
    found: Sequence[FoundBoxes],
    category_ids: Sequence[int | str],
    names: Sequence[str],
    failures: Mapping[int | str, str],
    *,
    pictures: bool,
) -> None:
    """Write the results and tables, each whole or not at all.

    Args:
        folder: prepared.
        images: asked for.
        found: boxes of those that did not fail, in the order of ``images``.
        category_ids: of the classes, label 1 first.
        names: of the classes, too.
        failures: image id -> error.
        pictures: whether there are some.
    """
    lines = [line for entry in found for line in _result_lines(entry, category_ids)]
    write_text(folder.results, "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n")
    path_of = {image.image_id: image.path for image in images}
    columns = ["image_id", "image_path", "width", "height", "boxes", *(["picture_path"] if pictures else [])]
    rows = []
    for entry in found:
        path = path_from(folder.path, path_of[entry.image_id])
        height, width = map(str, entry.size)
        row = (str(entry.image_id), path, width, height, str(len(entry.boxes)))
        picture = (path_from(folder.path, folder.picture(entry.image_id)),) if pictures else ()
        rows.append(dict(zip(columns, (*row, *picture), strict=True)))
    write_table(folder.path / _IMAGES, columns, rows)
    classes = zip(category_ids, names, strict=True)
    write_table(
        folder.path / _CATEGORIES,
        ("category_id", "name"),
        [{"category_id": str(i), "name": n} for i, n in classes],
    )
    write_failures(folder.path / FAILURES, [(str(image), error) for image, error in failures.items()])


def _result_lines(entry: FoundBoxes, category_ids: Sequence[int | str]) -> list[str]:
    """An object of the results for each box: left, top, width and height."""
    lines = []
    for (x1, y1, x2, y2), label, score in zip(entry.boxes, entry.labels, entry.scores, strict=True):
        bbox = [x1, y1, round(x2 - x1, _DECIMALS), round(y2 - y1, _DECIMALS)]
        category = category_ids[label - 1]
        result = {"image_id": entry.image_id, "category_id": category, "bbox": bbox, "score": score}
        lines.append(json.dumps(result))
    return lines
