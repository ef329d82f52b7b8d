"""The parts of a torchvision two-stage detector, one by one: a teacher is asked about boxes that it did not propose.

A detector resizes its images before it looks. ``Seen`` keeps by how much, so that callers speak of boxes in the
coordinates of the images that they gave; only what says so is in the network's own.

Shape legend: ``B`` images, ``N`` boxes of one image, ``R`` boxes of all of them, ``C`` classes without background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from coteach.errors import InputError
from coteach.losses.detection import box_regression

Target = dict[str, Tensor]  # boxes (N, 4) float32 x1, y1, x2, y2 and labels (N,) int64 from 1


@dataclass(frozen=True, slots=True)
class Seen:
    """What the backbone made of a batch of images; heads can be run on it again and again.

    Args:
        images: torchvision's ``ImageList``: normalised, resized and padded.
        maps: the feature pyramid, level -> ``(B, channels, h, w)``.
        scales: one an image, ``(4,)``: network's coordinates for one of the image's.
    """

    images: Any
    maps: dict[str, Tensor]
    scales: list[Tensor]

    def inward(self, boxes: Sequence[Tensor]) -> list[Tensor]:
        """Boxes of each image in the network's coordinates."""
        return [own * scale for own, scale in zip(boxes, self.scales, strict=True)]

    def outward(self, boxes: Sequence[Tensor]) -> list[Tensor]:
        """Boxes of each image in the image's coordinates."""
        return [own / scale for own, scale in zip(boxes, self.scales, strict=True)]

    def targets_inward(self, targets: Sequence[Target]) -> list[Target]:
        """Targets with their boxes in the network's coordinates."""
        boxes = self.inward([target["boxes"] for target in targets])
        return [
            {"boxes": own, "labels": target["labels"]} for own, target in zip(boxes, targets, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Regions:
    """Proposals drawn for learning.

    Args:
        boxes: one an image, ``(N, 4)``, in the network's coordinates.
        labels: ``(R,)`` int64, of all images; 0 is the background.
        offsets: ``(R, 4)``, what the box head is to say of them.
    """

    boxes: list[Tensor]
    labels: Tensor
    offsets: Tensor


def check_detector(network: Any, num_classes: int) -> None:
    """Refuse what is no two-stage detector of torchvision, or was built for another number of classes.

    Raises:
        InputError: as said.
    """
    heads = getattr(network, "roi_heads", None)
    parts = (getattr(network, part, None) for part in ("transform", "backbone", "rpn"))
    if heads is None or any(part is None for part in parts) or not hasattr(heads, "box_predictor"):
        raise InputError(
            f"network {type(network).__name__}",
            "is no two-stage detector",
            "give one of torchvision's, such as fasterrcnn_resnet50_fpn",
        )
    scores = getattr(heads.box_predictor, "cls_score", None)
    if isinstance(scores, nn.Linear) and scores.out_features != num_classes + 1:
        raise InputError(
            f"network {type(network).__name__}",
            f"gives {scores.out_features} scores for {num_classes} classes and the background",
            f"build it with num_classes={num_classes + 1}",
        )


def see(network: Any, images: Sequence[Tensor]) -> Seen:
    """Run the backbone once.

    Args:
        network: the detector.
        images: ``(bands, H, W)`` float each, of any sizes.
    """
    prepared, _ = network.transform(list(images))
    maps = network.backbone(prepared.tensors)
    scales = []
    for image, (height, width) in zip(images, prepared.image_sizes, strict=True):
        pair = [width / image.shape[-1], height / image.shape[-2]]
        scales.append(torch.tensor(pair * 2, device=image.device))
    return Seen(prepared, {"0": maps} if isinstance(maps, Tensor) else dict(maps), scales)


@torch.no_grad()
def detect(network: Any, seen: Seen) -> list[Target]:
    """What a network in evaluation mode finds: ``boxes``, ``labels`` and ``scores`` an image, in its coordinates."""
    proposals, _ = network.rpn(seen.images, seen.maps)
    found, _ = network.roi_heads(seen.maps, proposals, seen.images.image_sizes)
    boxes = seen.outward([one["boxes"] for one in found])
    return [{**one, "boxes": own} for one, own in zip(found, boxes, strict=True)]


def propose(network: Any, seen: Seen, targets: Sequence[Target]) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Proposals ``(N, 4)`` an image, in the network's coordinates, and the proposal network's two losses.

    Args:
        network: in training mode.
        seen: the batch.
        targets: in the images' coordinates.
    """
    proposals, losses = network.rpn(seen.images, seen.maps, seen.targets_inward(targets))
    return proposals, losses


def draw_regions(network: Any, seen: Seen, proposals: Sequence[Tensor], targets: Sequence[Target]) -> Regions:
    """Give proposals the labels of the targets they lie on, and draw some of each kind.

    Args:
        network: whose matcher and sampler decide, by torch's random numbers.
        seen: the batch.
        proposals: of :func:`propose`; the targets' own boxes are added.
        targets: in the images' coordinates.
    """
    boxes, _, labels, offsets = network.roi_heads.select_training_samples(
        list(proposals), seen.targets_inward(targets)
    )
    return Regions(list(boxes), torch.cat(labels), torch.cat(offsets))


def score_regions(
    network: Any, seen: Seen, boxes: Sequence[Tensor]
) -> tuple[Float[Tensor, "r c"], Float[Tensor, "r coordinates"]]:
    """The box head on any boxes, on features that are there already.

    Args:
        network: the detector.
        seen: the batch.
        boxes: one an image, ``(N, 4)``, in the network's coordinates.

    Returns:
        Scores ``(R, C + 1)`` before softmax, and offsets ``(R, (C + 1)·4)``.
    """
    heads = network.roi_heads
    pooled = heads.box_roi_pool(seen.maps, list(boxes), seen.images.image_sizes)
    scores, offsets = heads.box_predictor(heads.box_head(pooled))
    return scores, offsets


@torch.no_grad()
def refine(
    network: Any, seen: Seen, boxes: Sequence[Tensor], labels: Sequence[Tensor]
) -> list[Float[Tensor, "n 4"]]:
    """Boxes as the network corrects them for a class that is known, clipped to the image.

    Args:
        network: in evaluation mode.
        seen: the batch.
        boxes: one an image, ``(N, 4)``, in the images' coordinates.
        labels: one an image, ``(N,)`` int64.
    """
    if not any(len(own) for own in boxes):
        return list(boxes)
    inner = seen.inward(boxes)
    _, offsets = score_regions(network, seen, inner)
    decoded = network.roi_heads.box_coder.decode(offsets.float(), inner)
    every = torch.cat(list(labels))
    own = decoded[torch.arange(len(every), device=every.device), every]
    clipped = []
    for part, (height, width) in zip(
        own.split([len(one) for one in boxes]), seen.images.image_sizes, strict=True
    ):
        limits = part.new_tensor([width, height] * 2)
        clipped.append(part.clamp(min=torch.zeros_like(limits), max=limits))
    return seen.outward(clipped)


def box_loss(
    network: Any, seen: Seen, proposals: Sequence[Tensor], targets: Sequence[Target]
) -> Float[Tensor, ""]:
    """The box head's regression loss on regions drawn for these targets alone."""
    regions = draw_regions(network, seen, proposals, targets)
    _, offsets = score_regions(network, seen, regions.boxes)
    return box_regression(offsets, regions.labels, regions.offsets)
