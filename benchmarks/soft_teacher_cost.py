"""What a step of Soft Teacher costs, in parts: student, teacher, jitter, reliability; processor time of one thread.

    python benchmarks/soft_teacher_cost.py --size 320 --boxes 10

The detector has random weights and sees noise; the teacher's boxes are put there, so that their number is known. Jitter on
the features that the teacher has is compared with running its backbone for each jittered copy.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torchvision.models import get_model

from coteach.data.keyed import stable_seed
from coteach.methods.base import Step, TaskInfo
from coteach.methods.detection_teacher import Taught
from coteach.methods.soft_teacher import SoftTeacher, SoftTeacherConfig
from coteach.models.detector import Seen, refine, see
from coteach.selection.pseudo_boxes import PseudoBoxes, jitter_boxes
from coteach.types import Batch

CLASSES = 80


class Timed(SoftTeacher):
    """Adds up what its parts take; finds the boxes that it is given."""

    def __init__(self, config: SoftTeacherConfig, boxes: int) -> None:
        super().__init__(config)
        self.boxes = boxes
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        """Add the time spent inside."""
        start = time.process_time()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.process_time() - start

    def candidates(self, seen: Seen) -> list[PseudoBoxes]:
        """What the teacher finds is thrown away, its time is not."""
        super().candidates(seen)
        return [some_boxes(self.boxes, size) for size in seen.images.image_sizes]

    def ask_teacher(self, batch: Batch, step: Step) -> Taught:
        """The teacher."""
        with self.timing("teacher"):
            return super().ask_teacher(batch, step)

    def reliable(self, taught: Taught, step: Step) -> list[Tensor]:
        """Jitter."""
        with self.timing("jitter"):
            super().reliable(taught, step)
        return [torch.ones_like(found.foreground) for found in taught.found]

    def reliability(self, *arguments: Any) -> tuple[Tensor, Tensor]:
        """Background scores."""
        with self.timing("reliability"):
            return super().reliability(*arguments)


def some_boxes(count: int, size: tuple[int, int]) -> PseudoBoxes:
    """Trusted boxes anywhere in an image of ``size`` (H, W)."""
    generator = torch.Generator().manual_seed(count)
    limits = torch.tensor([size[1], size[0]])
    corner = torch.rand(count, 2, generator=generator) * 0.7 * limits
    sides = (0.1 + 0.2 * torch.rand(count, 2, generator=generator)) * limits
    labels = torch.randint(1, CLASSES + 1, (count,), generator=generator)
    trusted = torch.ones(count, dtype=torch.bool)
    return PseudoBoxes(torch.cat([corner, corner + sides], 1), labels, trusted.float(), trusted)


def one_step(method: Timed, batches: dict[str, Batch], index: int) -> float:
    """Forward, backward, the teacher's average; seconds of it all."""
    start = time.process_time()
    terms = method.losses(batches, Step(epoch=0, index=index, update=index, seed=0))
    sum(terms.networks["a"].values()).backward()  # type: ignore[union-attr]
    method.after_step(Step(epoch=0, index=index, update=index, seed=0))
    return time.process_time() - start


def batch_of(count: int, size: int, *, boxes: int) -> Batch:
    """Noise; with boxes or without."""
    images = [torch.rand(3, size, round(size * 4 / 3)) for _ in range(count)]
    found = [some_boxes(boxes, (image.shape[1], image.shape[2])) for image in images]
    targets = tuple({"boxes": one.boxes, "labels": one.labels} for one in found) if boxes else None
    return Batch(torch.arange(count), (tuple(images),), (targets,))


def with_backbone(method: Timed, batch: Batch) -> float:
    """Jitter that looks anew at each copy."""
    teacher, images = method.networks["teacher"], list(batch.inputs)
    found = [some_boxes(method.boxes, (image.shape[1], image.shape[2])) for image in images]
    moved = [
        jitter_boxes(one.boxes, generator=torch.Generator().manual_seed(stable_seed("cost", place)))
        for place, one in enumerate(found)
    ]
    start = time.process_time()
    with torch.no_grad():
        for copy in range(method.config.jitter_times):
            refine(teacher, see(teacher, images), [own[copy] for own in moved], [one.labels for one in found])
    return time.process_time() - start


def main() -> None:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--network", default="fasterrcnn_resnet50_fpn", help="of torchvision (%(default)s)")
    parser.add_argument("--size", type=int, default=320, help="shorter side of an image (%(default)s)")
    parser.add_argument(
        "--boxes", type=int, default=10, help="candidates of the teacher in an image (%(default)s)"
    )
    parser.add_argument("--labelled", type=int, default=1)
    parser.add_argument("--unlabelled", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    method = Timed(SoftTeacherConfig(), options.boxes)

    def network() -> Any:
        return get_model(
            options.network,
            weights=None,
            weights_backbone=None,
            num_classes=CLASSES + 1,
            min_size=options.size,
            max_size=2 * options.size,
        )

    method.setup(network, TaskInfo(num_classes=CLASSES, num_items=8, seed=0))
    method.train()
    batches = {
        "labelled": batch_of(options.labelled, options.size, boxes=options.boxes),
        "unlabelled": batch_of(options.unlabelled, options.size, boxes=0),
    }
    one_step(method, batches, 0)  # warms up
    rows = []
    for index in range(1, options.steps + 1):
        method.seconds = {}
        whole = one_step(method, batches, index)
        rows.append({**method.seconds, "whole": whole})
    parts = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    parts["student and average"] = 2 * parts["whole"] - sum(parts.values())
    anew = with_backbone(method, batches["unlabelled"])
    print("| part | seconds | share of the step |\n|---|---|---|")
    for name, seconds in parts.items():
        print(f"| {name} | {seconds:.2f} | {100 * seconds / parts['whole']:.1f} % |")
    both = (parts["jitter"] + parts["reliability"]) / parts["whole"]
    print(f"\njitter + reliability: {100 * both:.1f} % of the step; a backbone for each copy: {anew:.2f} s, ")
    print(f"{anew / parts['jitter']:.1f} times the jitter on cached features")


if __name__ == "__main__":
    main()
