"""What all methods of detection share: a torchvision detector, its predictions, and how they are judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from coteach.errors import InputError, OptionError
from coteach.methods.base import Method, NetworkFactory, TaskInfo
from coteach.methods.detection_figures import BoxPrecision, detection_error
from coteach.models.detector import Target, check_detector
from coteach.types import Batch


class DetectionMethod(Method):
    """Base of methods whose labels are boxes.

    A batch's inputs are images ``(bands, H, W)`` in [0, 1] of any sizes; its target is one dict an image: ``boxes``
    ``(N, 4)`` float32 x1, y1, x2, y2 in pixels and ``labels`` ``(N,)`` int64 from 1. ``num_classes`` does not count the
    background. ``extra["ignore"]``, where the data set gives it, holds regions that are not judged.

    Args:
        config: the method's options.

    Raises:
        OptionError: they are another method's.
    """

    config: Any

    def __init__(self, config: Any = None) -> None:
        super().__init__()
        self.config = self.config_type() if config is None else config
        if not isinstance(self.config, self.config_type):
            raise OptionError(
                self.name, f"config is a {type(config).__name__}", f"give {self.config_type.__name__}"
            )
        self.num_classes = 0

    def setup(self, factory: NetworkFactory, info: TaskInfo) -> None:
        """Build the detector.

        Raises:
            InputError: the network is none, or has another number of classes.
        """
        super().setup(factory, info)
        self.num_classes = info.num_classes
        check_detector(self.networks["a"], info.num_classes)

    @property
    def predicting(self) -> str:
        """The network that predicts."""
        return "a"

    @torch.no_grad()
    def predict(self, inputs: Sequence[Tensor]) -> list[Target]:
        """Boxes, labels and scores of each image, best first."""
        found: list[Target] = self.networks[self.predicting](list(inputs))
        return found

    def labelled_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Torchvision's own four losses of the labelled images."""
        losses: dict[str, Tensor] = self.networks["a"](list(batch.inputs), targets_of(batch, self.name))
        return losses

    def make_metrics(self) -> MetricCollection:
        """Average precision as COCO counts it: AP, AP50, AP75, and AP of small, medium and large boxes."""
        return MetricCollection({"boxes": BoxPrecision(self.num_classes)})

    def update_metrics(self, metrics: MetricCollection, prediction: Any, batch: Batch) -> None:
        """Count the boxes that were found against the true ones."""
        targets, ignore = targets_of(batch, self.name), batch.extra.get("ignore")
        metrics.update(prediction, targets, None if ignore is None else ignore[: len(targets)])

    def validation_loss(self, prediction: Any, batch: Batch) -> Tensor:
        """1 − F1 of the boxes that score at least 0.5; a loss in training mode would disturb the network."""
        return detection_error(prediction, targets_of(batch, self.name)).to(batch.inputs[0].device)


def targets_of(batch: Batch, method: str) -> list[Target]:
    """The targets of labelled images.

    Raises:
        InputError: one has none.
    """
    targets = batch.target
    if targets is None or any(target is None for target in targets):
        missing = [
            int(item)
            for item, target in zip(batch.ids, targets or [None] * len(batch.ids), strict=True)
            if target is None
        ]
        raise InputError(
            f"method {method}",
            f"images {missing[:10]} of a labelled set have no boxes file",
            "give an empty list of boxes, or move them to the unlabelled set",
        )
    return list(targets)
