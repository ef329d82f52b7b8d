"""Soft Teacher: detection where most images have no boxes (Xu et al., ICCV 2021).

The student learns from its teacher's boxes, but not from all in the same way. For the class: those with a high score;
a region outside of them counts as background only as far as the teacher, asked about that very region, agrees. For the
place: those that the teacher puts back to the same place after they were jittered.

Here the proposal and class losses are left out in a step where no box of the batch has a high score: then everything
would be background. A region that lies outside the weak view shows fill, and counts as background in full.

Shape legend: ``N`` boxes of an image, ``T`` jittered copies, ``R`` regions of a batch.

| part | where |
|---|---|
| teacher's average, weak and strong views | ``methods.detection_teacher``, ``data.detection_views`` |
| boxes by score | ``selection.pseudo_boxes.filter_pseudo_boxes`` |
| weight of background, eq. 5 and 6 | ``losses.detection.background_weights``, ``SoftTeacher.reliability`` |
| box jittering, eq. 7 to 9 | ``selection.pseudo_boxes.box_variance``, ``SoftTeacher.reliable`` |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from coteach.data.box_geometry import apply_affine_boxes, invert_affine
from coteach.data.keyed import stable_seed
from coteach.errors import OptionError
from coteach.losses.detection import background_weights, weighted_classification, zero_of
from coteach.methods.base import Step
from coteach.methods.detection_teacher import DetectionTeacher, DetectionTeacherConfig, Taught, any_box
from coteach.models.detector import Regions, Seen, box_loss, draw_regions, propose, refine, score_regions, see
from coteach.selection.pseudo_boxes import Jitter, box_variance, jitter_boxes
from coteach.selection.schedules import check_at_least, check_not_negative, check_positive
from coteach.types import Figure, Share


@dataclass(frozen=True, kw_only=True, slots=True)
class SoftTeacherConfig(DetectionTeacherConfig):
    """Options of ``SoftTeacher``; the defaults are the published code's for a part of the labels.

    Args:
        jitter_times: copies of each box, at least 2.
        jitter_scale: how far they are moved, in sides of the box, > 0.
        jitter_kind: how they are distributed: ``gaussian`` (the code) or ``uniform`` (the paper).
        variance: a box teaches its place below this disagreement of its copies, in sides; 0 leaves that out.

    Raises:
        OptionError: one is out of range.
    """

    jitter_times: int = 10
    jitter_scale: float = 0.06
    jitter_kind: Jitter = "gaussian"
    variance: float = 0.02

    def __post_init__(self) -> None:
        DetectionTeacherConfig.__post_init__(self)
        check_at_least("jitter_times", self.jitter_times, 2)  # one copy has no variance
        check_positive("jitter_scale", self.jitter_scale)
        check_not_negative("variance", self.variance, "use 0 to leave it out")
        if self.jitter_kind not in ("gaussian", "uniform"):
            raise OptionError(
                "jitter_kind", f"{self.jitter_kind!r} is unknown", "use 'gaussian' or 'uniform'"
            )


class SoftTeacher(DetectionTeacher):
    """A teacher that says how sure it is of background and of places."""

    name: ClassVar[str] = "soft_teacher"
    config_type: ClassVar[type] = SoftTeacherConfig

    def learn(self, taught: Taught, step: Step) -> tuple[dict[str, Tensor], dict[str, Figure]]:
        """Proposals and classes from the trusted boxes, places from the still ones."""
        student = self.networks["a"]
        still = self.reliable(taught, step)
        trusted = self.move(taught, [found.foreground for found in taught.found])
        placed = self.move(taught, still)
        zero = zero_of(student)
        terms = dict.fromkeys(
            ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg"), zero
        )
        every = torch.cat(still)
        logs: dict[str, Figure] = {
            "teacher_minus_student": Share(0, 0),
            "pseudo_boxes/reliability": Share(0, 0),
            "pseudo_boxes/still_share": Share(every.sum(), len(every)),
        }
        if any_box(trusted) or any_box(placed):
            seen = see(student, [view.image for view in taught.views])
            proposals, losses = propose(student, seen, trusted)
            if any_box(trusted):
                regions = draw_regions(student, seen, proposals, trusted)
                classes, figures = self.classify(taught, seen, regions)
                logs |= figures
                terms |= losses | {"loss_classifier": classes}
            if any_box(placed):
                terms["loss_box_reg"] = box_loss(student, seen, proposals, placed)
        return {name: value + zero for name, value in terms.items()}, logs

    @torch.no_grad()
    def reliable(self, taught: Taught, step: Step) -> list[Bool[Tensor, " n"]]:
        """Which boxes stay where they are, on the features that the teacher has already: ``(N,)`` an image."""
        counts = [len(found.boxes) for found in taught.found]
        if self.config.variance == 0 or sum(counts) == 0:
            return [torch.zeros_like(found.foreground) for found in taught.found]
        generator = torch.Generator().manual_seed(stable_seed(step.seed, "jitter", step.index))
        times: int = self.config.jitter_times
        moved = [
            jitter_boxes(
                found.boxes,
                times=times,
                scale=self.config.jitter_scale,
                kind=self.config.jitter_kind,
                generator=generator,
            )
            for found in taught.found
        ]
        refined = refine(
            self.networks["teacher"],
            taught.seen,
            [copies.flatten(0, 1) for copies in moved],
            [found.labels.repeat(times) for found in taught.found],
        )
        return [
            box_variance(own.reshape(times, -1, 4), found.boxes) < self.config.variance
            for own, found in zip(refined, taught.found, strict=True)
        ]

    def classify(self, taught: Taught, seen: Seen, regions: Regions) -> tuple[Tensor, dict[str, Figure]]:
        """The class loss on regions of the strong views, and what the teacher says of them.

        Args:
            taught: what the teacher said, and of which views.
            seen: the student's features of the strong views.
            regions: of the strong views, with the class that each is to learn, 0 for background.

        Returns:
            The loss, a scalar; and two means: over regions of a pseudo box the probability that the teacher gives
            its class less the one that the student gives it, in [-1, 1] (``teacher_minus_student``); and over regions of
            background the probability of that by the teacher, in [0, 1] (``pseudo_boxes/reliability``, eq. 6).
        """
        logits, _ = score_regions(self.networks["a"], seen, regions.boxes)
        teacher, inside = self.reliability(taught, seen, regions)
        background = torch.where(inside, teacher[:, 0], 1.0)
        empty = regions.labels == 0
        weights = background_weights(background, empty)
        loss = weighted_classification(logits, regions.labels, weights)
        named = (regions.labels > 0) & inside
        rows = regions.labels[:, None]
        ahead = (teacher - logits.detach().float().softmax(1)).gather(1, rows)[:, 0]
        return loss, {
            "teacher_minus_student": Share((ahead * named).sum(), named.sum()),
            "pseudo_boxes/reliability": Share((background * empty).sum(), empty.sum()),
        }

    @torch.no_grad()
    def reliability(
        self, taught: Taught, seen: Seen, regions: Regions
    ) -> tuple[Float[Tensor, "r c"], Bool[Tensor, " r"]]:
        """The teacher's probabilities of the student's regions, each mapped back to the weak view.

        Returns:
            ``(R, C + 1)``, zeros outside of it, and ``(R,)``, which regions lie inside of it.
        """
        boxes, kept = [], []
        for own, view, weak in zip(seen.outward(regions.boxes), taught.views, taught.weak, strict=True):
            height, width = weak.shape[-2:]
            mapped, inside = apply_affine_boxes(
                own, invert_affine(view.matrix), size=(height, width), frame=self.config.box_frame
            )
            boxes.append(mapped)
            kept.append(inside)
        logits, _ = score_regions(self.networks["teacher"], taught.seen, taught.seen.inward(boxes))
        rows = torch.cat(kept)
        probs = logits.new_zeros(len(rows), logits.shape[1], dtype=torch.float32)
        probs[rows] = logits.float().softmax(1)
        return probs, rows
