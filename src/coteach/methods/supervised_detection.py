"""Plain supervised training of a detector: torchvision's own losses, the baseline of the semi-supervised methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from coteach.methods.base import Step
from coteach.methods.detection_base import DetectionMethod
from coteach.types import Batch, LossTerms


@dataclass(frozen=True, kw_only=True, slots=True)
class SupervisedDetectionConfig:
    """Options of ``SupervisedDetection``: there are none."""


class SupervisedDetection(DetectionMethod):
    """One detector, labelled images."""

    name: ClassVar[str] = "supervised_detection"
    config_type: ClassVar[type] = SupervisedDetectionConfig

    def losses(self, batches: Mapping[str, Batch], step: Step) -> LossTerms:
        """The proposal network's two losses and the box head's two."""
        step.start_stream("a")
        return LossTerms(networks={"a": self.labelled_terms(batches["train"])})
