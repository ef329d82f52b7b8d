"""The figures of a run on images with one label each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from coteach.cli.image_sets import check_names
from coteach.data.image_set import ImageSet
from coteach.errors import ConfigError, InputError
from coteach.report.metrics import Accuracy, confusion_matrix, top_k_accuracy
from coteach.training.image_inference import predict_images
from coteach.training.rehearsal import find_misfit


@dataclass(frozen=True)
class ImageFigures:
    """What was measured.

    Args:
        accuracy: over the images that have a label.
        top: k -> share of them whose class is among the k most probable ones.
        skipped: files of images that could not be read.
    """

    accuracy: Accuracy
    top: dict[int, float]
    skipped: list[str]

    def as_dict(self, class_names: list[str]) -> dict[str, Any]:
        """Plain data for JSON."""
        top = {f"top-{k}": share for k, share in self.top.items()}
        counted = int(self.accuracy.confusion.sum())
        return self.accuracy.as_dict(class_names) | top | {"images": counted, "skipped": self.skipped}


def measure_images(
    method: Any,
    dataset: ImageSet,
    *,
    class_names: Sequence[str] | None = None,
    top_k: Sequence[int] = (),
    advance: Callable[[int], None] = lambda _images: None,
) -> ImageFigures:
    """Accuracy of a trained method.

    Args:
        method: trained, for labels.
        dataset: images and labels.
        class_names: of the run, by code; None does not compare them to those of the data set.
        top_k: 1 <= k <= C each.
        advance: called with the number of images that are done.

    Raises:
        ConfigError: the method was trained on other images or classes.
        InputError: no image has a label, a label is none of the classes, or files are missing.
        OptionError: there are not as many classes as ``top_k`` says.
    """
    classes: int = method.num_classes
    check_names(dataset, class_names, "the data set")
    dataset.check_classes(classes)
    dataset.check_files()
    if not (dataset.labels.hard() >= 0).any():
        raise InputError(dataset.place(0), "neither it nor any other image has a label", "give labels")
    sample = dataset.plain(0)["image"][None].to(next(method.parameters()).device)
    found = find_misfit(method.predict, sample, classes, ())
    if found is not None:
        raise ConfigError("the model", found.cause, "evaluate on images like those it was trained on")
    predicted = predict_images(method, dataset, advance=advance)
    return ImageFigures(
        Accuracy.of(confusion_matrix(predicted.labels, predicted.classes, classes)),
        {k: top_k_accuracy(predicted.labels, predicted.probs, k) for k in top_k},
        [dataset.place(index) for index in sorted(dataset.skipped)],
    )
