"""A student and the moving average of it, its teacher: what the semi-supervised methods of detection share.

The teacher looks at a weak view, which the data set gives; the student at a strong view that is made of it together
with the teacher's boxes. An epoch is one pass over the labelled images; the unlabelled ones begin anew whenever they
are through.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from coteach.data.box_geometry import Frame, apply_affine_boxes
from coteach.data.detection_options import StrongOptions, options_from
from coteach.data.detection_views import View, strong_view
from coteach.data.keyed import stable_seed
from coteach.errors import OptionError
from coteach.methods.base import NetworkFactory, Step, Stream, TaskInfo
from coteach.methods.detection_base import DetectionMethod
from coteach.methods.pseudo_box_figures import compare_with_truth, count_kept
from coteach.models.detector import Seen, Target, detect, see
from coteach.models.ema import follow, follower_of
from coteach.selection.pseudo_boxes import PseudoBoxes, check_thresholds, filter_pseudo_boxes
from coteach.selection.schedules import check_at_least, check_not_negative, check_share, ramp
from coteach.types import Batch, Figure, LossTerms


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionTeacherConfig:
    """Options of every method with a teacher.

    Args:
        labelled_batch: labelled images a step.
        unlabelled_batch: unlabelled images a step.
        unsupervised_weight: of the losses on unlabelled images, >= 0; 0 leaves that branch out altogether.
        burn_in: steps at first without unlabelled images, in which the teacher is a copy of the student.
        ramp_steps: steps after that over which the weight rises from 0.
        ema_decay: of the teacher, in [0, 1).
        ema_ramp: the teacher forgets faster at first: its decay after ``t`` steps is at most ``1 − 1/(t + 1)`` (Tarvainen & Valpola 2017).
        score_initial: least score of a box to be looked at, in [0, 1].
        thresholds: least score of a box whose class is trusted: for all classes, or one a class, label 1 first.
        box_frame: how a box that is rotated is framed anew: ``ellipse`` suits round things.
        strong: options of the strong view, see :class:`~coteach.data.detection_options.StrongOptions`; lists for ranges.
        inference: which network predicts.

    Raises:
        OptionError: one is out of range.
    """

    labelled_batch: int = 1
    unlabelled_batch: int = 4
    unsupervised_weight: float = 4.0
    burn_in: int = 0
    ramp_steps: int = 0
    ema_decay: float = 0.999
    ema_ramp: bool = True
    score_initial: float = 0.5
    thresholds: float | list[float] = 0.9
    box_frame: Frame = "corners"
    strong: dict[str, Any] | None = None
    inference: Literal["teacher", "student"] = "teacher"

    def __post_init__(self) -> None:
        check_share("ema_decay", self.ema_decay, below_one=True)
        check_share("score_initial", self.score_initial)
        check_thresholds(self.thresholds)
        for name in ("labelled_batch", "unlabelled_batch"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("unsupervised_weight", "burn_in", "ramp_steps"):
            check_not_negative(name, getattr(self, name))
        if self.box_frame not in ("corners", "ellipse"):
            raise OptionError("box_frame", f"{self.box_frame!r} is unknown", "use 'corners' or 'ellipse'")
        if self.inference not in ("teacher", "student"):
            raise OptionError("inference", f"{self.inference!r} is unknown", "use 'teacher' or 'student'")


class Taught(NamedTuple):
    """One step's unlabelled images: what the teacher saw and found, and what the student is to see."""

    weak: list[Tensor]
    seen: Seen
    found: list[PseudoBoxes]
    views: list[View]


class DetectionTeacher(DetectionMethod):
    """Base: streams, pseudo boxes, the teacher's average. A method adds what is learned of unlabelled images."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.strong_options = options_from(StrongOptions, self.config.strong, "strong")

    def setup(self, factory: NetworkFactory, info: TaskInfo) -> None:
        """Build the student, and the teacher as a copy of it; there must be one threshold a class."""
        check_thresholds(self.config.thresholds, info.num_classes)
        super().setup(factory, info)
        self.networks["teacher"] = follower_of(self.networks["a"]).eval()

    def train(self, mode: bool = True) -> DetectionTeacher:
        """The student's mode; the teacher stays in evaluation mode whatever is asked."""
        super().train(mode)
        if "teacher" in self.networks:
            self.networks["teacher"].eval()
        return self

    @property
    def predicting(self) -> str:
        """The teacher, or the student by option."""
        return "teacher" if self.config.inference == "teacher" else "a"

    def streams(self, epoch: int) -> Sequence[Stream]:  # noqa: ARG002 -- the same each epoch
        """Labelled images, and endlessly those of the source ``unlabelled``."""
        labelled = Stream(name="labelled", batch_size=self.config.labelled_batch)
        if self.config.unsupervised_weight == 0:
            return (labelled,)
        count = self.config.unlabelled_batch
        return labelled, Stream(name="unlabelled", source="unlabelled", batch_size=count, endless=True)

    def weight_at(self, index: int) -> float:
        """Weight of the unlabelled images at a step, >= 0.

        Args:
            index: batches since the beginning of the run, from 0.
        """
        since = index - self.config.burn_in
        return 0.0 if since < 0 else ramp(since, self.config.ramp_steps, 0.0, self.config.unsupervised_weight)

    def losses(self, batches: Mapping[str, Batch], step: Step) -> LossTerms:
        """The labelled images' losses, and the unlabelled ones' once their weight is above 0."""
        step.start_stream("a")
        terms = self.labelled_terms(batches["labelled"])
        logs: dict[str, Figure] = {}
        weight = self.weight_at(step.index)
        if weight > 0:
            own, logs = self.unlabelled_terms(batches["unlabelled"], step)
            terms |= {f"unlabelled_{name}": weight * value for name, value in own.items()}
        return LossTerms(networks={"a": terms}, logs=logs)

    def unlabelled_terms(self, batch: Batch, step: Step) -> tuple[dict[str, Tensor], dict[str, Figure]]:
        """Losses of the unlabelled images before they are weighted, and figures for the log.

        Args:
            batch: the unlabelled images; targets, if there are any, are not looked at. Where ``extra`` has their
                ``truth``, the figures tell how much of it is found.
            step: where the run stands.
        """
        taught = self.ask_teacher(batch, step)
        terms, logs = self.learn(taught, step)
        figures = count_kept(taught.found, self.num_classes)
        if "truth" in batch.extra:
            figures |= compare_with_truth(taught.found, batch.extra["truth"], batch.extra.get("ignore"))
        return terms, figures | logs

    @abstractmethod
    def learn(self, taught: Taught, step: Step) -> tuple[dict[str, Tensor], dict[str, Figure]]:
        """What the student learns from the teacher.

        Returns:
            The losses, always the same ones: zeros that touch every weight where there is no box to learn from.
            And figures for the log.
        """

    @torch.no_grad()
    def ask_teacher(self, batch: Batch, step: Step) -> Taught:
        """The teacher's boxes on the weak views, and the strong views; no gradient is kept.

        Args:
            batch: the weak views, ``(bands, H, W)`` an image.
            step: where the run stands; the strong views are drawn from its seed and index.
        """
        weak = list(batch.inputs)
        seen = see(self.networks["teacher"], weak)
        found = self.candidates(seen)
        views = []
        for place, image in enumerate(weak):
            seed = stable_seed(step.seed, "strong view", step.index, place)
            generator = torch.Generator().manual_seed(seed)
            views.append(strong_view(image, generator, self.strong_options))
        return Taught(weak, seen, found, views)

    def candidates(self, seen: Seen) -> list[PseudoBoxes]:
        """The teacher's boxes in images that it has seen, and which of them are trusted."""
        initial, thresholds = self.config.score_initial, self.config.thresholds
        return [
            filter_pseudo_boxes(one, score_initial=initial, thresholds=thresholds)
            for one in detect(self.networks["teacher"], seen)
        ]

    def move(self, taught: Taught, kept: Sequence[Tensor]) -> list[Target]:
        """Some of the pseudo boxes of each image, where they are in its strong view; those that left it are gone."""
        targets = []
        for found, rows, view in zip(taught.found, kept, taught.views, strict=True):
            boxes, inside = apply_affine_boxes(
                found.boxes[rows], view.matrix, size=view.size, frame=self.config.box_frame
            )
            targets.append({"boxes": boxes, "labels": found.labels[rows][inside]})
        return targets

    def after_step(self, step: Step) -> None:
        """Move the teacher towards the student; while burning in it is the student."""
        decay: float = self.config.ema_decay
        if step.index < self.config.burn_in:
            decay = 0.0
        elif self.config.ema_ramp:
            decay = min(decay, 1 - 1 / (step.update + 1))
        follow(self.networks["teacher"], self.networks["a"], decay, average_statistics=True)


def any_box(targets: Sequence[Target]) -> bool:
    """Whether there is a box at all."""
    return any(len(target["boxes"]) for target in targets)
