"""Unbiased Teacher: pseudo boxes by score, and a focal loss against the common classes (Liu et al., ICLR 2021).

It is built of the same parts as Soft Teacher, with fewer of them: no jitter, no weights. The class loss is focal, on
labelled images too; unlabelled images teach classes and objectness, never the place of a box, for a score does not say
whether a box is well placed.

| part | where |
|---|---|
| burn-in, teacher's average | ``methods.detection_teacher`` |
| focal loss over softmax | ``losses.detection.focal_classification`` |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from coteach.losses.detection import box_regression, focal_classification, zero_of
from coteach.methods.base import Step
from coteach.methods.detection_base import targets_of
from coteach.methods.detection_teacher import DetectionTeacher, DetectionTeacherConfig, Taught, any_box
from coteach.models.detector import Target, draw_regions, propose, score_regions, see
from coteach.selection.schedules import check_not_negative
from coteach.types import Batch, Figure


@dataclass(frozen=True, kw_only=True, slots=True)
class UnbiasedTeacherConfig(DetectionTeacherConfig):
    """Options of ``UnbiasedTeacher``.

    Args:
        thresholds: as in the base; the paper takes 0.7.
        ema_decay: as in the base; the paper takes 0.9996.
        gamma: of the focal loss, >= 0; 0 is the plain cross-entropy.

    Raises:
        OptionError: one is out of range.
    """

    thresholds: float | list[float] = 0.7
    ema_decay: float = 0.9996
    gamma: float = 1.5

    def __post_init__(self) -> None:
        DetectionTeacherConfig.__post_init__(self)
        check_not_negative("gamma", self.gamma, "use 0 for the plain cross-entropy")


class UnbiasedTeacher(DetectionTeacher):
    """A teacher whose sure boxes are taken as they are."""

    name: ClassVar[str] = "unbiased_teacher"
    config_type: ClassVar[type] = UnbiasedTeacherConfig

    def labelled_terms(self, batch: Batch) -> dict[str, Tensor]:
        """The four losses of the labelled images, with the focal one for the classes."""
        return self._terms(list(batch.inputs), targets_of(batch, self.name))

    def learn(
        self,
        taught: Taught,
        step: Step,  # noqa: ARG002 -- nothing is drawn here but by the network's stream
    ) -> tuple[dict[str, Tensor], dict[str, Figure]]:
        """Objectness and classes from the trusted boxes."""
        targets = self.move(taught, [found.foreground for found in taught.found])
        zero = zero_of(self.networks["a"])
        if not any_box(targets):
            return dict.fromkeys(("loss_objectness", "loss_classifier"), zero), {}
        terms = self._terms([view.image for view in taught.views], targets)
        return {name: terms[name] + zero for name in ("loss_objectness", "loss_classifier")}, {}

    def _terms(self, images: Sequence[Tensor], targets: Sequence[Target]) -> dict[str, Tensor]:
        student = self.networks["a"]
        seen = see(student, images)
        proposals, losses = propose(student, seen, targets)
        regions = draw_regions(student, seen, proposals, targets)
        logits, offsets = score_regions(student, seen, regions.boxes)
        return losses | {
            "loss_classifier": focal_classification(logits, regions.labels, self.config.gamma),
            "loss_box_reg": box_regression(offsets, regions.labels, regions.offsets),
        }
