"""Drawn squares and discs, and a detector small enough to train on them in a test."""

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign

from coteach.methods.base import Method, Step, TaskInfo
from coteach.methods.discovery import create_method
from coteach.types import Batch

CLASSES = 2


class TinyPyramid(nn.Module):
    """Two levels, at a quarter and an eighth of the image."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.out_channels = width
        self.stem = nn.Sequential(self._block(3, 8), self._block(8, width))
        self.deep = self._block(width, width)
        self.fpn = FeaturePyramidNetwork([width, width], width)

    @staticmethod
    def _block(before: int, after: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        fine = self.stem(images)
        return self.fpn({"0": fine, "1": self.deep(fine)})


class TinyHead(nn.Sequential):
    def __init__(self, channels: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(channels * 9, 32), nn.ReLU())


def tiny_detector(min_size: int = 64, *, num_classes: int = CLASSES) -> FasterRCNN:
    """A Faster R-CNN of some ten thousand weights."""
    return FasterRCNN(
        TinyPyramid(),
        None,
        min_size=min_size,
        max_size=2 * min_size,
        rpn_anchor_generator=AnchorGenerator(((16,), (32,)), ((1.0,),) * 2),
        rpn_pre_nms_top_n_train=64,
        rpn_post_nms_top_n_train=32,
        rpn_pre_nms_top_n_test=64,
        rpn_post_nms_top_n_test=32,
        rpn_batch_size_per_image=32,
        box_roi_pool=MultiScaleRoIAlign(["0", "1"], 3, 2),
        box_head=TinyHead(16),
        box_predictor=_predictor(num_classes),
        box_batch_size_per_image=32,
    )


def _predictor(num_classes: int) -> nn.Module:
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor

    return FastRCNNPredictor(32, num_classes + 1)


def draw(index: int, size: int = 64, count: int = 2) -> tuple[Tensor, dict[str, Tensor]]:
    """An image with bright squares: red ones are of class 1, blue ones of class 2; and where they are."""
    generator = torch.Generator().manual_seed(index)
    image = 0.1 * torch.rand(3, size, size, generator=generator)
    boxes, labels = [], []
    for place in range(count):
        side = int(torch.randint(14, 24, (), generator=generator))
        half = size // count
        left = place * half + int(torch.randint(0, max(1, half - side), (), generator=generator))
        top = int(torch.randint(0, size - side, (), generator=generator))
        label = int(torch.randint(1, 3, (), generator=generator))
        image[0 if label == 1 else 2, top : top + side, left : left + side] = 0.9
        boxes.append([left, top, left + side, top + side])
        labels.append(label)
    target = {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
    }
    return image, target


def box_batch(ids=range(2), *, labelled: bool = True, size: int = 64, count: int = 2) -> Batch:
    drawn = [draw(index, size, count) for index in ids]
    targets = tuple(target for _, target in drawn) if labelled else None
    return Batch(torch.tensor(list(ids)), ([image for image, _ in drawn],), (targets,))


def detection_method(name: str, options: dict | None = None, seed: int = 3, min_size: int = 64) -> Method:
    method = create_method(name, options or {})
    method.setup(lambda: tiny_detector(min_size), TaskInfo(num_classes=CLASSES, num_items=8, seed=seed))
    return method.train()


def both_batches() -> dict[str, Batch]:
    return {"labelled": box_batch(range(2)), "unlabelled": box_batch(range(2, 5), labelled=False)}


def at(index: int, seed: int = 3) -> Step:
    return Step(epoch=0, index=index, update=index, seed=seed)
