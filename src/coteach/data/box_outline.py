"""What an image shows of a moved box: the outline of a parallelogram and a rectangle together, many at a time.

Shape legend: ``N`` boxes, ``P`` points of each one's outline.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

CLOSE = 1e-4  # pixels: less than that is on the line


def clip_boxes(boxes: Float[Tensor, "n 4"], size: tuple[int, int]) -> Float[Tensor, "n 4"]:
    """Boxes, no further out than the edges of an image of ``size`` (H, W)."""
    limits = boxes.new_tensor([size[1], size[0]] * 2)
    return boxes.clamp(min=torch.zeros_like(limits), max=limits)


def frame_of_corners(
    corners: Float[Tensor, "n 4 2"], size: tuple[int, int] | None
) -> tuple[Float[Tensor, "n 4"], Float[Tensor, " n"]]:
    """Frames of what is seen of parallelograms, and the share of each one's area that is seen."""
    if size is None:
        return torch.cat([corners.amin(1), corners.amax(1)], 1), corners.new_ones(len(corners))
    points, valid = _outline_points(corners, corners.new_tensor([size[1], size[0]]))
    high = torch.where(valid[..., None], points, -torch.inf).amax(1)
    low = torch.where(valid[..., None], points, torch.inf).amin(1)
    frame = clip_boxes(torch.cat([low, high], 1), size)
    everything = torch.ones_like(valid[:, :4])
    return frame, _outline_area(points, valid) / _outline_area(corners, everything)


def _outline_points(
    corners: Float[Tensor, "n 4 2"], limits: Float[Tensor, "2"]
) -> tuple[Float[Tensor, "n 24 2"], Bool[Tensor, "n 24"]]:
    """All points that can be corners of parallelogram and image together, and which of them are.

    Those are the parallelogram's corners inside the image, the image's corners inside the parallelogram, and
    where an edge of one crosses an edge of the other.
    """
    ends = corners.roll(-1, 1)
    walk = ends - corners
    points, valid = [corners], [_inside(corners, limits)]
    for axis in (0, 1):
        for line in (torch.zeros_like(limits[axis]), limits[axis]):
            step = walk[..., axis]
            share = (line - corners[..., axis]) / torch.where(step == 0, 1.0, step)
            crossing = corners + share[..., None] * walk
            crosses = (step != 0) & (share >= 0) & (share <= 1)
            points.append(crossing)
            valid.append(crosses & _inside(crossing, limits))
    image = limits * limits.new_tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    to_corner = image[None, :, None] - corners[:, None]  # (N, 4 corners of the image, 4 edges, 2)
    side = walk[:, None, :, 0] * to_corner[..., 1] - walk[:, None, :, 1] * to_corner[..., 0]
    points.append(image.expand(len(corners), 4, 2))
    valid.append((side >= 0).all(-1) | (side <= 0).all(-1))
    return torch.cat(points, 1), torch.cat(valid, 1)


def _inside(points: Float[Tensor, "n p 2"], limits: Float[Tensor, "2"]) -> Bool[Tensor, "n p"]:
    return ((points >= -CLOSE) & (points <= limits + CLOSE)).all(-1)


def _outline_area(points: Float[Tensor, "n p 2"], valid: Bool[Tensor, "n p"]) -> Float[Tensor, " n"]:
    """Areas of the convex outlines of the valid points; 0 without one."""
    count = valid.sum(1).clamp(min=1)
    middle = torch.where(valid[..., None], points, 0.0).sum(1) / count[:, None]
    arms = torch.where(valid[..., None], points - middle[:, None], 0.0)
    order = torch.where(valid, torch.atan2(arms[..., 1], arms[..., 0]), torch.inf).argsort(1)
    arms = arms.gather(1, order[..., None].expand_as(arms))
    # invalid points come last: they are put onto the first one, and add nothing
    sorted_valid = valid.gather(1, order)
    arms = torch.where(sorted_valid[..., None], arms, arms[:, :1])
    after = arms.roll(-1, 1)
    return (arms[..., 0] * after[..., 1] - arms[..., 1] * after[..., 0]).sum(1).abs() / 2
