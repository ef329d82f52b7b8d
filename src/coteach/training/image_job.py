"""Classify many pictures into a table, row by row: one that fails does not stop the rest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from coteach.data.image_set import other_extent
from coteach.data.picture_reader import PictureReader
from coteach.errors import InputError, OptionError
from coteach.files import remove_leftovers
from coteach.rasters.blocks import in_order
from coteach.rasters.failures import FAILURES, write_failures
from coteach.rasters.pool import Progress
from coteach.rasters.write import writable
from coteach.tables import path_from, table_writer
from coteach.training.image_classes import ImageClasses, ImageClassifier
from coteach.training.scene_job import PREDICTIONS, noted

_FIXED = ("path", "class", "probability")
_DISAGREEMENT = "disagreement"
_THREADS = 4  # that decode pictures
_SMALLER = "make it smaller, or leave it out"
Picture = Float32[np.ndarray, "bands h w"]


@dataclass(frozen=True, kw_only=True)
class ImageJob:
    """What to classify pictures with.

    Args:
        classifier: of a trained method.
        reader: of pictures, as the method was trained with.
        class_names: one a class.
        output_dir: gets the table.
        batch_size: pictures at once, >= 1.

    Raises:
        OptionError: the batch has none.
    """

    classifier: ImageClassifier
    reader: PictureReader
    class_names: Sequence[str]
    output_dir: Path
    batch_size: int

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise OptionError("--batch-size", f"{self.batch_size} is below 1", "give a number of images")


@dataclass(frozen=True, slots=True)
class ImagesReport:
    """What became of the pictures.

    Args:
        table: the file with the classes.
        made: how many were classified.
        failures: errors of those that failed.
    """

    table: Path
    made: int
    failures: tuple[str, ...]


def columns_of(class_names: Sequence[str], *, disagreement: bool) -> list[str]:
    """The header of the table.

    Args:
        class_names: each is a column; if one is called as another column is, all get ``p_`` in front.
        disagreement: whether there is that column.

    Example:
        >>> columns_of(["cat", "dog"], disagreement=True)
        ['path', 'class', 'probability', 'cat', 'dog', 'disagreement']
        >>> columns_of(["path", "road"], disagreement=False)
        ['path', 'class', 'probability', 'p_path', 'p_road']
    """
    taken = {*_FIXED, _DISAGREEMENT} & set(class_names)
    return [
        *_FIXED,
        *(f"p_{name}" if taken else name for name in class_names),
        *([_DISAGREEMENT] if disagreement else []),
    ]


def classify_pictures(
    paths: Sequence[Path], job: ImageJob, progress: Progress, tell: Callable[[str], None]
) -> ImagesReport:
    """Classify pictures; no more than a batch of them, and a few that wait, are in memory.

    Pictures that are not resized must all have one size, as in a data set: that of the first one that the network takes.

    Args:
        paths: at least one.
        job: with what, and where to.
        progress: called with the number of pictures and a label, a context manager that gives what to call after each.
        tell: called with a line about each picture.

    Returns:
        What was done; ``predictions.csv`` has a row a picture, in order, ``failures.csv`` says what failed.

    Raises:
        OptionError: the folder cannot be written, or a batch does not fit into memory.
    """
    folder, table = job.output_dir, job.output_dir / PREDICTIONS
    errors: dict[int, str] = {}
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        columns = columns_of(job.class_names, disagreement=bool(job.classifier.compared))
        with table_writer(table, columns) as write, progress(len(paths), "images") as advance:
            for batch in _batches(paths, job, errors, advance):
                found = job.classifier(np.stack([picture for _, picture in batch]))
                for (path, _), row in zip(batch, _rows(found, job.class_names), strict=True):
                    write([path_from(folder, path), *row])
                    tell(f"{path}: {row[0]}, {row[1]}")
        failed = [(path_from(folder, paths[index]), errors[index]) for index in sorted(errors)]
        write_failures(folder / FAILURES, failed, "path")
    return ImagesReport(table, len(paths) - len(failed), tuple(error for _, error in failed))


def _batches(
    paths: Sequence[Path], job: ImageJob, errors: dict[int, str], advance: Callable[..., None]
) -> Iterator[list[tuple[Path, Picture]]]:
    """The pictures that can be shown to the network, in order; ``errors`` gets what is wrong with the others."""

    def read(index: int) -> list[Picture]:
        found: list[Picture] = []  # stays empty if it fails
        with noted(index, paths[index], errors, smaller=_SMALLER):
            found.append(job.reader.read(paths[index]))
        return found

    expected: tuple[int, ...] | None = None
    batch: list[tuple[Path, Picture]] = []
    for index, found in in_order(read, range(len(paths)), min(_THREADS, os.cpu_count() or 1)):
        for picture in found:
            with noted(index, paths[index], errors, smaller=_SMALLER):
                expected = _checked(picture, expected, job.classifier, str(paths[index]))
                batch.append((paths[index], picture))
        advance(1)
        if len(batch) == job.batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def _checked(
    picture: Picture, expected: tuple[int, ...] | None, classifier: ImageClassifier, place: str
) -> tuple[int, ...]:
    """The shape of all pictures; that of the first one is tried."""
    if expected is None:
        classifier.check(picture, place)
    elif picture.shape != expected:
        error = other_extent(place, picture.shape[1:], expected[1:])
        remedy = "predict it by itself, or train with an image_size, to which all are resized"
        raise InputError(place, error.cause, remedy)
    return picture.shape


def _rows(found: ImageClasses, class_names: Sequence[str]) -> Iterator[list[str]]:
    """Cells after the path."""
    for row, code in enumerate(found.classes.tolist()):
        apart = [] if found.disagreement is None else [found.disagreement[row]]
        numbers = [found.probs[row, code], *found.probs[row], *apart]
        yield [class_names[code], *(f"{number:.6g}" for number in numbers)]
