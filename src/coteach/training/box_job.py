"""Find boxes in many images into a folder: those that are done are left alone, one that fails does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from coteach.data.box_picture import draw_boxes
from coteach.data.detection_boxes import AnnotatedImage
from coteach.data.detection_set import read_annotated
from coteach.errors import TableError
from coteach.files import whole_file
from coteach.models.detector import Target
from coteach.rasters.fingerprint import stamps
from coteach.rasters.pool import Progress
from coteach.rasters.sources import check_tile_id
from coteach.rasters.write import writable
from coteach.training.box_inference import find_boxes
from coteach.training.box_journal import BoxJournal, FoundBoxes
from coteach.training.box_options import BoxJob, BoxOptions
from coteach.training.box_tables import BoxFolder, write_results
from coteach.training.scene_job import noted

_DECIMALS = 3  # of pixels
_SCORE_DECIMALS = 6
_SMALLER = "make it smaller, or leave it out"


@dataclass(frozen=True, slots=True)
class BoxesReport:
    """What became of the images.

    Args:
        results: the file with all boxes.
        made: how many images were looked at now.
        up_to_date: how many were done already.
        boxes: how many were found in all of these.
        failures: image id and error of those that failed.
    """

    results: Path
    made: int
    up_to_date: int
    boxes: int
    failures: tuple[tuple[int | str, str], ...]


def predict_box_images(
    images: Sequence[AnnotatedImage], job: BoxJob, progress: Progress, tell: Callable[[str], None]
) -> BoxesReport:
    """Find the boxes of all images; each is decoded once.

    Batches are cut from the whole list, so that a job that goes on has those of one that was never stopped.

    Args:
        images: at least one, with different ids.
        job: with what, and where to.
        progress: called with the number of images and a label, a context manager that gives what to call after each.
        tell: called with a line about each image that is done.

    Raises:
        OptionError: the folder cannot be written.
        TableError: an id cannot be the name of a picture.
    """
    if job.options.pictures:
        _check_pictures(images, job.source)
    folder = BoxFolder(job.output_dir)
    with writable(job.output_dir):
        folder.prepare(pictures=job.options.pictures)
        journal = BoxJournal(folder.journal, _made_of(job))
    stamped = stamps(image.path for image in images)
    todo = [not _is_done(image, journal, stamped[str(image.path)], folder, job.options) for image in images]
    failures: dict[int | str, str] = {}
    step = job.options.batch_size
    with progress(sum(todo), "images") as advance:
        for start in range(0, len(images), step):
            part = slice(start, start + step)
            batch = [image for image, new in zip(images[part], todo[part], strict=True) if new]
            read = _decode(batch, job.source, failures)
            journal.add(_look(read, stamped, folder, job, failures))
            for image in batch:
                tell(f"{image.image_id}: {failures.get(image.image_id, 'done')}")
            advance(len(batch))
    done = [journal.found[image.image_id] for image in images if image.image_id not in failures]
    with writable(job.output_dir):
        write_results(
            folder, images, done, job.category_ids, job.legend.names, failures, pictures=job.options.pictures
        )
    boxes = sum(len(entry.boxes) for entry in done)
    made = sum(todo) - len(failures)
    return BoxesReport(folder.results, made, len(done) - made, boxes, tuple(failures.items()))


def _check_pictures(images: Sequence[AnnotatedImage], source: Path) -> None:
    """Refuse ids that cannot name pictures, and those whose pictures would have one name.

    Raises:
        TableError: the message names the image, or the ids.
    """
    seen: dict[str, int | str] = {}
    for image in images:
        name = str(image.image_id)
        check_tile_id(name, str(image.path))
        if name in seen:
            cause = (
                f"the pictures of the images {seen[name]!r} and {image.image_id!r} would have the same name"
            )
            raise TableError(str(source), cause, "give other ids, or leave out --pictures")
        seen[name] = image.image_id


def _made_of(job: BoxJob) -> dict[str, Any]:
    """What decides boxes and pictures; not the batches, which change them by roundings only."""
    options = {key: value for key, value in asdict(job.options).items() if key != "batch_size"}
    drawn = [job.legend.names, job.legend.hex_colors()] if job.options.pictures else None
    return {"by": job.made_by, "options": options, "drawn": drawn}


def _is_done(
    image: AnnotatedImage,
    journal: BoxJournal,
    stamp: Sequence[int] | None,
    folder: BoxFolder,
    options: BoxOptions,
) -> bool:
    """Whether its boxes are known, those of the file as it is now."""
    known = journal.found.get(image.image_id)
    if known is None or stamp is None or list(known.stamp or ()) != list(stamp):
        return False
    if image.size is not None and list(image.size) != list(known.size):
        return False  # the annotations have changed: it is refused when it is read
    return not options.pictures or folder.picture(image.image_id).is_file()


def _decode(
    batch: Sequence[AnnotatedImage], source: Path, failures: dict[int | str, str]
) -> list[tuple[AnnotatedImage, Float32[np.ndarray, "3 h w"]]]:
    """The images of a batch that can be read."""
    read = []
    for image in batch:
        with noted(image.image_id, image.path, failures, smaller=_SMALLER):
            read.append((image, read_annotated(image, source)))
    return read


def _look(
    read: Sequence[tuple[AnnotatedImage, Float32[np.ndarray, "3 h w"]]],
    stamped: Mapping[str, Sequence[int] | None],
    folder: BoxFolder,
    job: BoxJob,
    failures: dict[int | str, str],
) -> list[FoundBoxes]:
    """The boxes of a batch, and its pictures."""
    if not read:
        return []
    found = find_boxes(job.method, [torch.from_numpy(pixels) for _, pixels in read])
    entries = []
    for (image, pixels), boxes in zip(read, found, strict=True):
        with noted(image.image_id, image.path, failures, smaller=_SMALLER):
            entry = _entry(image, pixels, boxes, stamped[str(image.path)], job.options.score)
            if job.options.pictures:
                _draw(folder.picture(image.image_id), pixels, entry, job)
            entries.append(entry)
    return entries


def _entry(
    image: AnnotatedImage,
    pixels: Float32[np.ndarray, "3 h w"],
    found: Target,
    stamp: Sequence[int] | None,
    score: float,
) -> FoundBoxes:
    kept = found["scores"] >= score
    return FoundBoxes(
        image_id=image.image_id,
        stamp=stamp,
        size=pixels.shape[1:],
        boxes=found["boxes"][kept].double().numpy().round(_DECIMALS).tolist(),
        labels=found["labels"][kept].tolist(),
        scores=found["scores"][kept].double().numpy().round(_SCORE_DECIMALS).tolist(),
    )


def _draw(file: Path, pixels: Float32[np.ndarray, "3 h w"], entry: FoundBoxes, job: BoxJob) -> None:
    """The boxes that score enough, the surest on top."""
    kept = [row for row, score in enumerate(entry.scores) if score >= job.options.picture_score][::-1]
    labels = [entry.labels[row] - 1 for row in kept]
    picture = draw_boxes(
        pixels,
        np.array([entry.boxes[row] for row in kept], np.float64).reshape(-1, 4),
        [job.legend.colors[label] for label in labels],
        [
            f"{job.legend.names[label]} {entry.scores[row]:.2f}"
            for label, row in zip(labels, kept, strict=True)
        ],
    )
    with whole_file(file) as partial:
        picture.save(partial, "JPEG", quality=90, subsampling=0)  # thin lines keep their colour
