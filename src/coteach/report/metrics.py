"""Accuracy of class maps and of classified images from its confusion matrix. Plain NumPy, float64.

``C`` classes; rows of a confusion matrix are the reference, columns the prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int64

from coteach.errors import InputError, OptionError


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


def top_k_accuracy(reference: Int[np.ndarray, " n"], probs: Float32[np.ndarray, "n c"], k: int) -> float:
    """Share of the items whose class is among the ``k`` most probable ones; of equal ones the lowest codes come first.

    Args:
        reference: ``(N,)`` codes; an item outside 0 to C-1 has no reference and is not counted.
        probs: ``(N, C)``.
        k: 1 to C.

    Raises:
        OptionError: there are not ``k`` classes.
        InputError: no item has a reference.
    """
    classes = probs.shape[1]
    if not 1 <= k <= classes:
        raise OptionError("top-k", f"{k} of {classes} classes", f"give 1 to {classes}")
    known = (reference >= 0) & (reference < classes)
    if not known.any():
        raise InputError("reference", "no item has a reference class", "give labels")
    codes, shares = reference[known].astype(np.int64), probs[known]
    own = np.take_along_axis(shares, codes[:, None], 1)
    before = (shares > own) | ((shares == own) & (np.arange(classes) < codes[:, None]))
    return float((before.sum(1) < k).mean())


@dataclass(frozen=True)
class Accuracy:
    """Figures of a class map, or of classified images.

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

    @property
    def recall(self) -> Float64[np.ndarray, " c"]:
        """``(C,)`` share of each reference class that is predicted right; NaN for a class without a reference."""
        total = self.confusion.sum(1)
        hits = np.diag(self.confusion).astype(np.float64)
        share: Float64[np.ndarray, " c"] = np.divide(
            hits, total, out=np.full(len(hits), np.nan), where=total > 0
        )
        return share

    @property
    def balanced(self) -> float:
        """Balanced accuracy (BA): the mean recall of the classes that occur in the reference."""
        return float(np.nanmean(self.recall))

    def as_dict(self, class_names: list[str]) -> dict[str, Any]:
        """Plain data for JSON; NaN becomes None."""

        def by_class(values: Float64[np.ndarray, " c"]) -> dict[str, float | None]:
            named = zip(class_names, values, strict=True)
            return {name: None if np.isnan(value) else float(value) for name, value in named}

        return {
            "OA": self.overall,
            "BA": self.balanced,
            "mIoU": self.mean_iou,
            "kappa": None if np.isnan(self.kappa) else self.kappa,
            "IoU": by_class(self.iou),
            "recall": by_class(self.recall),
            "confusion": self.confusion.tolist(),
        }
