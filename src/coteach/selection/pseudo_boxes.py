"""Which of a teacher's boxes a student may learn from (Xu et al., ICCV 2021): by score, and by how still they lie.

The score says whether the class is right, not whether the box is well placed. That is asked by jittering: a box is moved
a little several times, the teacher corrects each copy, and where the corrections agree the place is trusted.

Shape legend: ``N`` boxes, ``T`` times jittered, ``C`` classes without background. Boxes are ``x1, y1, x2, y2``, pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from coteach.errors import OptionError
from coteach.selection.schedules import check_share

Jitter = Literal["gaussian", "uniform"]
_SHORTEST = (
    1.0  # pixels: a side counts as at least that long, or a thin box would never move nor ever be still
)


@dataclass(frozen=True, slots=True)
class PseudoBoxes:
    """What a teacher has found in one image.

    Args:
        boxes: ``(N, 4)`` float.
        labels: ``(N,)`` int64 from 1; 0 would be the background.
        scores: ``(N,)`` float in [0, 1].
        foreground: ``(N,)`` bool, whether the class is trusted.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    foreground: Tensor


def check_thresholds(thresholds: Any, num_classes: int | None = None) -> None:
    """Refuse thresholds outside [0, 1], or not one a class.

    Args:
        thresholds: one for all classes, or one a class.
        num_classes: ``C``, where it is known.

    Raises:
        OptionError: as said.
    """
    by_class = isinstance(thresholds, Sequence) and not isinstance(thresholds, str)
    several = list(thresholds) if by_class else [thresholds]
    for one in several:
        check_share("thresholds", one)
    if by_class and num_classes not in (None, len(several)):
        cause = f"{len(several)} values for {num_classes} classes"
        raise OptionError("thresholds", cause, "give one for all, or one a class (without the background)")


def filter_pseudo_boxes(
    detections: Mapping[str, Tensor],
    *,
    score_initial: float = 0.5,
    thresholds: float | Sequence[float] = 0.9,
) -> PseudoBoxes:
    """Keep detections of at least ``score_initial``, and mark those that reach the threshold of their class.

    Args:
        detections: torchvision's ``boxes``, ``labels`` and ``scores`` of one image.
        score_initial: least score of a candidate, in [0, 1].
        thresholds: least score of foreground, in [0, 1]: for all classes, or one a class, label 1 first.

    Example:
        >>> found = {"boxes": torch.zeros(3, 4), "labels": torch.tensor([1, 2, 2])}
        >>> found["scores"] = torch.tensor([0.95, 0.7, 0.4])
        >>> filter_pseudo_boxes(found).foreground
        tensor([ True, False])
    """
    scores = detections["scores"]
    kept = scores >= score_initial
    scores, labels = scores[kept], detections["labels"][kept]
    if isinstance(thresholds, (int, float)):
        foreground = scores >= thresholds
    else:
        foreground = scores >= scores.new_tensor(list(thresholds))[labels - 1]
    return PseudoBoxes(detections["boxes"][kept], labels, scores, foreground)


def jitter_boxes(
    boxes: Float[Tensor, "n 4"],
    *,
    times: int = 10,
    scale: float = 0.06,
    kind: Jitter = "gaussian",
    generator: torch.Generator | None = None,
) -> Float[Tensor, "t n 4"]:
    """Copies of boxes, each coordinate moved by its own random share of the side it lies along.

    Args:
        boxes: ``(N, 4)``.
        times: ``T``, copies of each box.
        scale: standard deviation (``gaussian``) or largest move (``uniform``), in sides of the box.
        kind: how the shares are distributed. The published code draws ``gaussian``, the paper says ``uniform``.
        generator: on the CPU, so that every device draws the same; None is torch's own.

    Returns:
        ``(T, N, 4)``, not clipped to the image; low coordinates come first.

    Raises:
        OptionError: ``kind`` is unknown.
    """
    if kind not in ("gaussian", "uniform"):
        raise OptionError("kind", f"{kind!r} is unknown", "use 'gaussian' or 'uniform'")
    shape = (times, len(boxes), 4)
    if kind == "gaussian":
        shares = torch.randn(shape, generator=generator)
    else:
        shares = torch.rand(shape, generator=generator) * 2 - 1
    moved = boxes + scale * shares.to(boxes) * _sides(boxes).repeat(1, 2)
    low, high = moved[..., :2], moved[..., 2:]
    return torch.cat([torch.minimum(low, high), torch.maximum(low, high)], -1)


def box_variance(refined: Float[Tensor, "t n 4"], boxes: Float[Tensor, "n 4"]) -> Float[Tensor, " n"]:
    """How far the corrected copies of a box disagree: the mean over coordinates of std / side.

    Args:
        refined: ``(T, N, 4)``, T > 1, the copies as the teacher corrects them.
        boxes: ``(N, 4)``, which give the sides: widths for x, heights for y, at least 1 pixel.

    Returns:
        ``(N,)``, >= 0; the standard deviation is the unbiased one.
    """
    squares = (refined - refined.mean(0)).square().sum(0)
    return ((squares / (len(refined) - 1)).sqrt() / _sides(boxes).repeat(1, 2)).mean(1)


def _sides(boxes: Float[Tensor, "n 4"]) -> Float[Tensor, "n 2"]:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=_SHORTEST)


def kept_by_class(
    labels: Int[Tensor, " n"], kept: Bool[Tensor, " n"], num_classes: int
) -> Int[Tensor, " classes"]:
    """How many boxes of each class ``1..num_classes`` are kept."""
    return torch.bincount(labels[kept], minlength=num_classes + 1)[1:]
