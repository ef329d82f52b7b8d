"""Which figures a report shows: of maps, whose items are pixels, or of images with one label each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from coteach.report.metrics import Accuracy


@dataclass(frozen=True, kw_only=True)
class FigureSet:
    """The figures of one kind of data.

    Args:
        items: what is counted.
        leading: name of the figure that ranks runs, in a sentence.
        columns: short name, as the log of validation calls it, -> figure; the first one ranks runs.
        by_class: name of the figure that each class has.
        of_class: gives it, ``(C,)``; NaN where a class has none.
        explained: what the names mean, one sentence.
    """

    items: str
    leading: str
    columns: dict[str, Callable[[Accuracy], float]]
    by_class: str
    of_class: Callable[[Accuracy], Float64[np.ndarray, " c"]]
    explained: str

    def rank(self, accuracy: Accuracy) -> float:
        """The figure that ranks runs."""
        return next(iter(self.columns.values()))(accuracy)


MAPS = FigureSet(
    items="pixels",
    leading="mean IoU",
    columns={"mIoU": lambda a: a.mean_iou, "OA": lambda a: a.overall, "kappa": lambda a: a.kappa},
    by_class="IoU",
    of_class=lambda a: a.iou,
    explained="OA is the share of right pixels, IoU the overlap with the reference, mIoU its mean over the classes.",
)
IMAGES = FigureSet(
    items="images",
    leading="balanced accuracy",
    columns={"BA": lambda a: a.balanced, "OA": lambda a: a.overall, "kappa": lambda a: a.kappa},
    by_class="recall",
    of_class=lambda a: a.recall,
    explained=(
        "OA is the share of right images, recall that of the images of one class, BA (balanced accuracy) its mean over "
        "the classes."
    ),
)
