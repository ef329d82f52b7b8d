"""What is told of a teacher's boxes: how many are kept, and how many of those are right where the truth is known.

The truth comes with an unlabelled data set whose annotations have boxes (as ``coteach split-coco`` leaves them). It is
counted here and nowhere else: nothing of it reaches a loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from coteach.methods.detection_figures import right_boxes
from coteach.models.detector import Target
from coteach.selection.pseudo_boxes import PseudoBoxes, kept_by_class
from coteach.types import Figure, Share

_MOSTLY = 0.5  # of a box's area: then it lies in a region to ignore


def count_kept(found: Sequence[PseudoBoxes], num_classes: int) -> dict[str, Figure]:
    """Trusted boxes an image, of each class and together, and which share of all candidates they are.

    Args:
        found: one an image, at least one.
        num_classes: ``C``, without background.
    """
    labels = torch.cat([one.labels for one in found]).cpu()
    foreground = torch.cat([one.foreground for one in found]).cpu()
    kept = kept_by_class(labels, foreground, num_classes) / len(found)
    figures: dict[str, Figure] = {f"pseudo_boxes/class_{label}": count for label, count in enumerate(kept, 1)}
    return figures | {
        "pseudo_boxes/per_image": kept.sum(),
        "pseudo_boxes/foreground_share": Share(foreground.sum(), len(foreground)),
    }


def compare_with_truth(
    found: Sequence[PseudoBoxes], truth: Sequence[Target], ignore: Sequence[Tensor] | None = None
) -> dict[str, Figure]:
    """Precision and recall of the trusted boxes: at IoU 0.5, of the same class, one to one, the surest first.

    A trusted box that finds nothing, but lies mostly in a region to ignore, is not counted.

    Args:
        found: one an image.
        truth: ``boxes`` and ``labels`` an image, in the coordinates of ``found``.
        ignore: ``(I, 4)`` an image, regions that are not judged; None for none.

    Returns:
        Shares: right ones of the kept, and found ones of the true. Both have nothing to say where there is none.
    """
    right = kept = true = 0
    regions = [one["boxes"][:0] for one in truth] if ignore is None else ignore
    for one, target, left_out in zip(found, truth, regions, strict=True):
        trusted = {
            "boxes": one.boxes[one.foreground].cpu(),
            "labels": one.labels[one.foreground].cpu(),
            "scores": one.scores[one.foreground].cpu(),
        }
        hits = right_boxes(trusted, target)
        right += int(hits.sum())
        kept += int((hits | ~_mostly_inside(trusted["boxes"], left_out)).sum())
        true += len(target["labels"])
    return {"pseudo_boxes/precision": Share(right, kept), "pseudo_boxes/recall": Share(right, true)}


def _mostly_inside(boxes: Float[Tensor, "n 4"], regions: Float[Tensor, "i 4"]) -> Bool[Tensor, " n"]:
    """Which boxes have most of their area in one of the regions."""
    if len(boxes) == 0 or len(regions) == 0:
        return torch.zeros(len(boxes), dtype=torch.bool)
    low = torch.maximum(boxes[:, None, :2], regions[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    both = (high - low).clamp(min=0).prod(2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (both.amax(1) > _MOSTLY * areas) & (areas > 0)
