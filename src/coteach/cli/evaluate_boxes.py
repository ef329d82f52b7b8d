"""The figures of a run on images with boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coteach.cli.box_classes import check_box_classes
from coteach.data.detection_set import DetectionDataset
from coteach.errors import ConfigError
from coteach.methods.detection_base import DetectionMethod
from coteach.methods.detection_figures import BoxPrecision
from coteach.report.box_accuracy import BoxAccuracy
from coteach.training.box_inference import find_boxes

CURVES = "pr_curves.json"
_BATCH = 4


def curves_beside(file: Path) -> Path:
    """Where the precision-recall curves belong to figures that are written to ``file``."""
    return file.with_name(CURVES)


def measure_boxes(
    method: Any,
    dataset: DetectionDataset,
    *,
    class_names: Sequence[str] | None = None,
    advance: Callable[[int], None] = lambda _images: None,
) -> BoxAccuracy:
    """Average precision of a trained detector; images are taken as they are, not in a weak view.

    Args:
        method: trained, for boxes.
        dataset: images and boxes. An image that cannot be read is an error: without it the figures would be of other data.
        class_names: of the run; None does not compare them to those of the data set.
        advance: called with the number of images that are done.

    Raises:
        ConfigError: the method was trained for labels or for other classes, or the data set withholds its boxes.
        InputError: there is no box, or an image cannot be read.
        MissingExtraError: faster-coco-eval is not installed.
    """
    if not isinstance(method, DetectionMethod):
        raise ConfigError("the data set", "has boxes, the run's method gives none", "give a run of detection")
    if not dataset.labelled:
        raise ConfigError("the data set", "withholds its boxes (labelled: false)", "set labelled: true")
    source = str(dataset.annotations.source)
    check_box_classes(source, dataset.class_names, class_names, method.num_classes)
    precision = BoxPrecision(method.num_classes)
    for start in range(0, len(dataset), _BATCH):
        samples = [dataset.plain(index) for index in range(start, min(start + _BATCH, len(dataset)))]
        found = find_boxes(method, [sample["image"] for sample in samples])
        targets = [sample["mask"] for sample in samples]
        precision.update(found, targets, [sample["ignore"] for sample in samples])
        advance(len(samples))
    labels = np.concatenate([entry.labels for entry in dataset.annotations.images])
    counts = np.bincount(labels, minlength=method.num_classes + 1)[1:].astype(np.int64)
    return BoxAccuracy(precision.precision_by_class().numpy(), counts, len(dataset))
