"""Looks at a teacher of boxes: does it still find some to learn from, and is it better than its student?

A teacher is the average of its students, and so should be ahead of them. Whether it is, is asked of a few validation
images only, by the F1 of the boxes that score at least 0.5: average precision would need every image twice, and on a few
images it is no steadier.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from coteach.methods.detection_base import targets_of
from coteach.methods.detection_figures import count_boxes
from coteach.methods.detection_teacher import DetectionTeacher
from coteach.training.alarms import Watch
from coteach.types import Batch, Figure

IMAGES = 32  # of each validation that student and teacher are compared on
BEHIND = 0.02  # of F1: less is chance
BATCHES = 20  # of training that are counted together, over all processes
WITHOUT_BOX = 10  # times so many batches without a box, in a row: then it lasts

_NETWORKS = {"teacher": "teacher", "a": "student"}


class TeacherWatch(Watch):
    """Compares a teacher with its student, and counts batches without a pseudo box.

    Args:
        method: that is trained.
    """

    def __init__(self, method: DetectionTeacher) -> None:
        super().__init__()
        self._method = method
        self._images = 0
        self._counts = dict.fromkeys(_NETWORKS, (0, 0))  # right, and all that were found or true
        self._kept: list[float] = []  # boxes an image in the batches since they were last added up

    def learned(self, logs: Mapping[str, Figure], add_up: Callable[[Tensor], Tensor]) -> None:
        """Count a batch; one without unlabelled images (burn-in) has nothing to say.

        A run that goes on from a checkpoint begins a new group of batches: the warning may come that much later.
        """
        kept = logs.get("pseudo_boxes/per_image")
        if not isinstance(kept, (Tensor, float)):
            return
        self._kept.append(float(kept))
        if len(self._kept) < BATCHES:
            return
        found = add_up(torch.tensor(sum(self._kept), device=next(self._method.parameters()).device))
        self._kept = []
        self._tell(
            "the teacher finds no box that is sure enough",
            "lower method.thresholds, or set method.burn_in to train longer on labelled images first",
            lasting=float(found) == 0,
            enough=WITHOUT_BOX,
            times=f"times {BATCHES} batches",
        )

    def look(self, batch: Batch, batch_idx: int, prediction: Any = None) -> None:  # noqa: ARG002
        """Predict a batch by both networks, one of which has done so already; after some images no more."""
        if self._images >= IMAGES:
            return
        self._images += len(batch.ids)
        targets = targets_of(batch, self._method.name)
        for network, (right, named) in self._counts.items():
            if network == self._method.predicting and prediction is not None:
                found = prediction
            else:
                found = self._method.networks[network](list(batch.inputs))
            more_right, more_named = count_boxes(found, targets)
            self._counts[network] = right + more_right, named + more_named

    def conclude(self, add_up: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Warn if the teacher has been behind for long.

        Returns:
            ``F1_teacher`` and ``F1_student`` of the images that were looked at, in [0, 1].
        """
        device = next(self._method.parameters()).device
        counts = add_up(torch.tensor(list(self._counts.values()), dtype=torch.float32, device=device))
        self._counts = dict.fromkeys(self._counts, (0, 0))
        self._images = 0
        if not counts[:, 1].all():
            return {}
        teacher, student = 2 * counts[:, 0] / counts[:, 1]
        self._tell(
            f"the teacher is behind its student (F1 of boxes on {IMAGES} validation images, by more than {BEHIND})",
            "lower method.ema_decay, so that it follows sooner, or set method.inference: student",
            lasting=float(student - teacher) > BEHIND,
        )
        return {"F1_teacher": teacher, "F1_student": student}
