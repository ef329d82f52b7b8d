"""Data sets with boxes by format: COCO and Pascal VOC."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from coteach.data.coco import read_coco
from coteach.data.detection_options import WeakOptions
from coteach.data.detection_set import DetectionDataset, OnMissing
from coteach.data.voc import read_voc


class CocoDetectionDataset(DetectionDataset):
    """The images and boxes of a COCO file; see :class:`~coteach.data.detection_set.DetectionDataset`.

    Categories become labels 1, 2, ... in the order of their ids. Crowds are regions to ignore, images without boxes
    are kept, boxes without area are dropped and those that reach out of their image clipped, with a warning.

    Args:
        annotations: the JSON file.
        image_dir: folder that the file names are relative to.
        labelled: see :class:`~coteach.data.detection_set.DetectionDataset`.
        weak: see there.
        on_missing: see there.

    Example:
        >>> train = CocoDetectionDataset("train.json", "images")  # doctest: +SKIP
        >>> train[0]["image"].shape, train[0]["mask"]["boxes"].shape  # doctest: +SKIP
        (torch.Size([3, 480, 640]), torch.Size([19, 4]))
    """

    def __init__(
        self,
        annotations: str | os.PathLike[str],
        image_dir: str | os.PathLike[str],
        *,
        labelled: bool = True,
        weak: WeakOptions | Mapping[str, Any] | None = None,
        on_missing: OnMissing = "raise",
    ) -> None:
        super().__init__(
            read_coco(annotations, image_dir), labelled=labelled, weak=weak, on_missing=on_missing
        )


class VocDetectionDataset(DetectionDataset):
    """The images and boxes of a Pascal VOC folder; see :class:`~coteach.data.detection_set.DetectionDataset`.

    Args:
        root: folder with ``Annotations``, ``JPEGImages`` and ``ImageSets/Main``.
        split: the list of images, such as ``train``; None takes all.
        class_names: the classes and their order; None takes the names that occur, sorted.
        ignore_difficult: difficult objects are regions to ignore.
        one_based: see :func:`coteach.data.voc.read_voc`.
        labelled: see :class:`~coteach.data.detection_set.DetectionDataset`.
        weak: see there.
        on_missing: see there.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = None,
        *,
        class_names: Sequence[str] | None = None,
        ignore_difficult: bool = True,
        one_based: bool = False,
        labelled: bool = True,
        weak: WeakOptions | Mapping[str, Any] | None = None,
        on_missing: OnMissing = "raise",
    ) -> None:
        annotations = read_voc(
            root, split, class_names=class_names, ignore_difficult=ignore_difficult, one_based=one_based
        )
        super().__init__(annotations, labelled=labelled, weak=weak, on_missing=on_missing)
