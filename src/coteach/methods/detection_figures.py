"""How well boxes are found: COCO's average precision, and a scalar that falls as they get better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision
from torchvision.ops import box_iou

from coteach.errors import MissingExtraError
from coteach.models.detector import Target

_NAMES = {
    "map": "AP",
    "map_50": "AP50",
    "map_75": "AP75",
    "map_small": "AP_small",
    "map_medium": "AP_medium",
    "map_large": "AP_large",
}


class BoxPrecision(MeanAveragePrecision):
    """torchmetrics' average precision by faster-coco-eval, with the names that papers use.

    Args:
        num_classes: ``C``, without the background.

    Attributes:
        figures: names of what it gives.

    Raises:
        MissingExtraError: faster-coco-eval is not installed.
    """

    figures: ClassVar[tuple[str, ...]] = tuple(_NAMES.values())

    def __init__(self, num_classes: int) -> None:
        try:
            # torchmetrics' own thresholds are rounded to float32: a box that overlaps by 0.6 exactly would miss 0.6
            super().__init__(
                iou_thresholds=np.linspace(0.5, 0.95, 10).tolist(),
                rec_thresholds=np.linspace(0, 1, 101).tolist(),
                backend="faster_coco_eval",
            )
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                "faster-coco-eval", "is not installed", "pip install 'coteach[detection]'"
            ) from error
        self.num_classes = num_classes
        self.warn_on_many_detections = False  # the best 100 of an image count, as COCO says

    def update(
        self, preds: Sequence[Target], target: Sequence[Target], ignore: Sequence[Tensor] | None = None
    ) -> None:
        """Count a batch.

        Args:
            preds: ``boxes``, ``labels`` and ``scores`` an image.
            target: ``boxes`` and ``labels`` an image.
            ignore: ``(I, 4)`` an image, regions in which no detection is wrong.
        """
        regions = [one["boxes"][:0] for one in target] if ignore is None else ignore
        crowds = [_as_crowds(one, own, self.num_classes) for one, own in zip(target, regions, strict=True)]
        super().update(list(preds), crowds)

    def compute(self) -> dict[str, Tensor]:
        """Each in [0, 1]; not a number where the set has no such box."""
        found: dict[str, Any] = super().compute()
        figures = {name: found[key] for key, name in _NAMES.items()}
        return {name: torch.where(value < 0, torch.nan, value) for name, value in figures.items()}

    def precision_by_class(self) -> Float[Tensor, "ious recalls c areas"]:
        """Precision at each overlap, recall, class and size, from the best 100 boxes of an image; of this process alone.

        Returns:
            ``(10, 101, C, 4)`` float64 in [0, 1] at IoU 0.50, 0.55, ..., 0.95 and recall 0, 0.01, ..., 1, of all, small,
            medium and large boxes; on the CPU. Not a number where a class has no such box.
        """
        self.extended_summary = True
        try:
            found: dict[str, Any] = super().compute()
        finally:
            self.extended_summary = False
        best: Tensor = found["precision"][..., -1]
        ious, recalls, _, areas = best.shape
        table = best.new_full((ious, recalls, self.num_classes, areas), torch.nan)
        table[:, :, found["classes"].long() - 1] = torch.where(best < 0, torch.nan, best)
        return table


def _as_crowds(target: Target, ignore: Tensor, num_classes: int) -> Target:
    """A target whose regions to be ignored are crowds, which COCO's rules leave out: one a region and class."""
    boxes, labels = target["boxes"], target["labels"]
    regions = ignore.to(boxes).repeat(num_classes, 1)
    classes = torch.arange(1, num_classes + 1, device=labels.device).repeat_interleave(len(ignore))
    crowd = torch.cat([torch.zeros_like(labels), torch.ones_like(classes)])
    return {"boxes": torch.cat([boxes, regions]), "labels": torch.cat([labels, classes]), "iscrowd": crowd}


def detection_error(
    found: Sequence[Target], targets: Sequence[Target], *, score: float = 0.5, iou: float = 0.5
) -> Float[Tensor, ""]:
    """1 − F1 over the images: 0 when every box is found and no other.

    A detection is right if it overlaps a true box of its class that no better detection has taken.

    Args:
        found: ``boxes``, ``labels`` and ``scores`` an image.
        targets: ``boxes`` and ``labels`` an image.
        score: detections below it are left out.
        iou: least overlap.

    Returns:
        On the CPU; 0 where there is neither a box nor a detection.
    """
    right, named = count_boxes(found, targets, score=score, iou=iou)
    return torch.tensor(1 - 2 * right / named if named else 0.0)


def count_boxes(
    found: Sequence[Target], targets: Sequence[Target], *, score: float = 0.5, iou: float = 0.5
) -> tuple[int, int]:
    """How many detections are right, and how many detections and true boxes there are together: F1 is ``2·a/b``.

    The arguments are those of :func:`detection_error`.
    """
    right = named = 0
    for one, target in zip(found, targets, strict=True):
        kept = one["scores"] >= score
        named += int(kept.sum()) + len(target["labels"])
        right += int(right_boxes({key: value[kept] for key, value in one.items()}, target, iou=iou).sum())
    return right, named


def right_boxes(found: Target, target: Target, *, iou: float = 0.5) -> Bool[Tensor, " n"]:
    """Which detections of an image are right: the surest first, each takes the true box that it overlaps most.

    Args:
        found: ``boxes``, ``labels`` and ``scores``.
        target: ``boxes`` and ``labels``; only boxes of the same class are right.
        iou: least overlap.

    Returns:
        ``(N,)``, on the CPU.
    """
    boxes, labels = found["boxes"].cpu(), found["labels"].cpu()
    right = torch.zeros(len(boxes), dtype=torch.bool)
    if len(boxes) == 0 or len(target["boxes"]) == 0:
        return right
    overlap = box_iou(boxes, target["boxes"].to(boxes)) * (labels[:, None] == target["labels"].cpu())
    for row in found["scores"].argsort(descending=True).tolist():
        best = int(overlap[row].argmax())
        if overlap[row, best] >= iou:
            right[row] = True
            overlap[:, best] = 0
    return right
