"""Whether sets of images with boxes fit each other: classes, and images that are in two of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from coteach.cli.output import warn
from coteach.data.detection_boxes import check_same_classes
from coteach.data.detection_set import DetectionDataset
from coteach.errors import ConfigError, InputError


def check_box_sets(datasets: Mapping[str, Any]) -> None:
    """Refuse sets that cannot be used together, and tell of images that are in two of them.

    Args:
        datasets: source name -> data set; those of other kinds pass.

    Raises:
        ConfigError: the training set has no boxes, the validation set withholds them, or two sets have other classes.
    """
    sets = {source: one for source, one in datasets.items() if isinstance(one, DetectionDataset)}
    for source in ("train", "val"):
        if source in sets and not sets[source].labelled:
            raise ConfigError(f"{source}_dataset", "withholds its boxes", "leave out labelled: false")
    train = sets.pop("train", None)
    if train is None:
        return
    if not any(len(image.boxes) for image in train.annotations.images):
        cause = f"{train.annotations.source}: none of its {len(train)} images has a box"
        raise ConfigError("train_dataset", cause, "give the annotations of the labelled images")
    for source, other in sets.items():
        try:
            check_same_classes(train.annotations, other.annotations)
        except InputError as error:
            raise ConfigError(
                f"{source}_dataset", f"{error.thing} {error.cause}", error.remedy or ""
            ) from error
        _tell_of_shared_images(train, other, source)


def _tell_of_shared_images(train: DetectionDataset, other: DetectionDataset, source: str) -> None:
    known = _files(train)
    shared = sorted(_files(other) & known)
    if not shared:
        return
    what = (
        "they count twice, with boxes and without" if source == "unlabelled" else "its figures are too good"
    )
    warn(
        f"{len(shared)} of the {len(other)} images of {source}_dataset are in train_dataset too, "
        f"the first one {shared[0]}: {what}"
    )


def _files(dataset: DetectionDataset) -> set[str]:
    return {os.path.abspath(image.path) for image in dataset.annotations.images}  # noqa: PTH100 -- links may differ
