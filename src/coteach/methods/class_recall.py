"""Balanced accuracy as a figure of validation."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix


class MeanClassRecall(MulticlassConfusionMatrix):
    """Mean over the classes that occur in the labels of the share of their items that is predicted right.

    torchmetrics' own macro average counts a class that is predicted but does not occur as 0.

    Example:
        >>> metric = MeanClassRecall(3)
        >>> metric(torch.tensor([0, 0, 2, 2]), torch.tensor([0, 0, 0, 2]))
        tensor(0.8333)
    """

    higher_is_better: Any = True

    def compute(self) -> Float[Tensor, ""]:
        """The figure; NaN if nothing was counted."""
        confusion: Any = self.confmat
        occurs = confusion.sum(1) > 0
        recall = confusion.diagonal()[occurs].double() / confusion.sum(1)[occurs]
        mean: Tensor = recall.mean().float()
        return mean
