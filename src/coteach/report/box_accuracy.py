"""How well boxes were found: COCO's figures, over all classes and of each. Plain NumPy, float64.

``C`` classes; the last axis of a table of precision is the size of boxes: all, small (under 32² pixels), medium, large
(from 96² pixels).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from coteach.errors import InputError

_AT_50, _AT_75 = 0, 5  # of IoU 0.50, 0.55, ..., 0.95
# name -> (which IoU, which size)
_FIGURES: dict[str, tuple[int | slice, int]] = {
    "AP": (slice(None), 0),
    "AP50": (_AT_50, 0),
    "AP75": (_AT_75, 0),
    "AP_small": (slice(None), 1),
    "AP_medium": (slice(None), 2),
    "AP_large": (slice(None), 3),
}


@dataclass(frozen=True)
class BoxAccuracy:
    """Figures of a detector on a data set.

    Args:
        precision: ``(10, 101, C, 4)`` at IoU 0.50 to 0.95, recall 0 to 1, of classes and sizes; not a number where there
            is no such box.
        boxes: ``(C,)`` true boxes that are counted.
        images: that were looked at.
    """

    precision: Float64[np.ndarray, "10 101 c 4"]
    boxes: Int64[np.ndarray, " c"]
    images: int

    def __post_init__(self) -> None:
        """There must be something to compare with.

        Raises:
            InputError: there is no box.
        """
        if not self.boxes.any():
            raise InputError("data set", "has no box to compare with", "evaluate on images with boxes")

    @property
    def overall(self) -> dict[str, float]:
        """AP, AP50, ...: each the mean over the classes that have such boxes."""
        return {name: _mean(self.precision[iou, ..., size]) for name, (iou, size) in _FIGURES.items()}

    def by_class(self) -> list[dict[str, float]]:
        """AP, AP50, ... of each class."""
        return [
            {name: _mean(self.precision[iou, ..., label, size]) for name, (iou, size) in _FIGURES.items()}
            for label in range(len(self.boxes))
        ]

    def as_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Plain data for JSON; NaN becomes None."""
        classes = {
            name: {"boxes": int(count)} | _plain(figures)
            for name, count, figures in zip(distinct(class_names), self.boxes, self.by_class(), strict=True)
        }
        counts = {"images": self.images, "boxes": int(self.boxes.sum())}
        return _plain(self.overall) | counts | {"classes": classes}

    def curves(self, class_names: Sequence[str]) -> dict[str, dict[str, list[float]]]:
        """Precision at recall 0, 0.01, ..., 1 of each class that has boxes, at IoU 0.50 and 0.75, for JSON."""
        recall = [step / 100 for step in range(self.precision.shape[1])]
        return {
            name: {
                "recall": recall,
                "precision_50": self.precision[_AT_50, :, label, 0].tolist(),
                "precision_75": self.precision[_AT_75, :, label, 0].tolist(),
            }
            for label, name in enumerate(distinct(class_names))
            if self.boxes[label]
        }


def distinct(names: Sequence[str]) -> list[str]:
    """Names of classes; two classes that share one have their numbers added, or one would be lost as a key."""
    return [f"{name} ({label})" if names.count(name) > 1 else name for label, name in enumerate(names, 1)]


def _mean(precision: Float64[np.ndarray, "*any"]) -> float:
    """Mean of what is known; NaN if nothing is."""
    known = precision[~np.isnan(precision)]
    return float(known.mean()) if known.size else float("nan")


def _plain(figures: dict[str, float]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else value for name, value in figures.items()}
