"""Accuracy of a class map from its confusion matrix. Plain NumPy, float64.

``C`` classes; rows of a confusion matrix are the reference, columns the prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64

from coteach.errors import InputError


def confusion_matrix(
    reference: Int[np.ndarray, "*s"], prediction: Int[np.ndarray, "*s"], num_classes: int
) -> Int64[np.ndarray, "c c"]:
    """Count pairs of reference and predicted class.

    Args:
        reference: integer codes, any shape; an item outside 0 to C-1 has no reference and is not counted.
        prediction: codes 0 to C-1, shaped like ``reference``.
        num_classes: ``C``.

    Returns:
        ``(C, C)`` int64, reference by prediction.

    Raises:
        InputError: the shapes differ, or a prediction is outside 0 to C-1.
    """
    if reference.shape != prediction.shape:
        raise InputError(
            "prediction", f"shape {prediction.shape}, reference {reference.shape}", "make them agree"
        )
    known: Bool[np.ndarray, "*s"] = (reference >= 0) & (reference < num_classes)
    rows, columns = reference[known].astype(np.int64), prediction[known].astype(np.int64)
    if columns.size and (columns.min() < 0 or columns.max() >= num_classes):
        raise InputError("prediction", f"a code outside 0 to {num_classes - 1}", "check num_classes")
    counts = np.bincount(rows * num_classes + columns, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


@dataclass(frozen=True)
class Accuracy:
    """Figures of a class map.

    Args:
        overall: share of items predicted right (OA).
        mean_iou: mean over the classes that occur in reference or prediction (mIoU).
        kappa: Cohen's kappa; NaN if chance agreement is complete.
        iou: ``(C,)`` intersection over union by class; NaN for a class that occurs nowhere.
        confusion: ``(C, C)`` reference by prediction.
    """

    overall: float
    mean_iou: float
    kappa: float
    iou: Float64[np.ndarray, " c"]
    confusion: Int64[np.ndarray, "c c"]

    @classmethod
    def of(cls, confusion: Int64[np.ndarray, "c c"]) -> Accuracy:
        """Compute all figures.

        Args:
            confusion: ``(C, C)`` counts, reference by prediction.

        Raises:
            InputError: nothing was counted.
        """
        total = int(confusion.sum())
        if total == 0:
            raise InputError(
                "reference", "no item has a reference class", "give one that covers the predictions"
            )
        hits = np.diag(confusion).astype(np.float64)
        of_reference, of_prediction = confusion.sum(1), confusion.sum(0)
        union = of_reference + of_prediction - hits
        iou = np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)
        overall = hits.sum() / total
        chance = float((of_reference.astype(np.float64) * of_prediction).sum()) / total**2
        kappa = (overall - chance) / (1 - chance) if chance < 1 else float("nan")
        return cls(float(overall), float(np.nanmean(iou)), float(kappa), iou, confusion)

    def as_dict(self, class_names: list[str]) -> dict[str, Any]:
        """Plain data for JSON; NaN becomes None."""
        iou = {name: None if np.isnan(v) else float(v) for name, v in zip(class_names, self.iou, strict=True)}
        return {
            "OA": self.overall,
            "mIoU": self.mean_iou,
            "kappa": None if np.isnan(self.kappa) else self.kappa,
            "IoU": iou,
            "confusion": self.confusion.tolist(),
        }
