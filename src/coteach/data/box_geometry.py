"""Boxes and images under one affine matrix: what happens to the image happens to its boxes, and can be undone.

Coordinates are pixels: x to the right, y down, the image covers ``[0, W] x [0, H]``, and the centre of its first pixel is
(0.5, 0.5). Boxes are ``x1, y1, x2, y2``. A matrix takes points ``(x, y, 1)`` of one image to those of another.

Shape legend: ``N`` boxes, ``M`` of them that are left, ``C`` bands, ``(H, W)`` an image's size.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor
from torch.nn import functional

from coteach.data.box_outline import CLOSE, clip_boxes, frame_of_corners
from coteach.errors import OptionError

Frame = Literal["corners", "ellipse"]


def affine(
    a: float = 1.0, b: float = 0.0, c: float = 0.0, d: float = 0.0, e: float = 1.0, f: float = 0.0
) -> Float[Tensor, "3 3"]:
    """The matrix of x' = a·x + b·y + c, y' = d·x + e·y + f, float64 on the CPU; the identity by default."""
    return torch.tensor([[a, b, c], [d, e, f], [0.0, 0.0, 1.0]], dtype=torch.float64)


def flip_matrix(width: float) -> Float[Tensor, "3 3"]:
    """Left and right exchanged in an image of that width."""
    return affine(a=-1.0, c=float(width))


def scale_matrix(size: tuple[int, int], new: tuple[int, int]) -> Float[Tensor, "3 3"]:
    """An image of ``size`` (H, W) resized to ``new`` (H, W)."""
    return affine(a=new[1] / size[1], e=new[0] / size[0])


def around_centre(matrix: Float[Tensor, "3 3"], size: tuple[int, int]) -> Float[Tensor, "3 3"]:
    """A matrix applied about the centre of an image of ``size`` (H, W) instead of its corner."""
    x, y = size[1] / 2, size[0] / 2
    return affine(c=x, f=y) @ matrix @ affine(c=-x, f=-y)


def rotation_matrix(degrees: float, size: tuple[int, int]) -> Float[Tensor, "3 3"]:
    """A rotation about the centre of an image of ``size`` (H, W), clockwise as seen."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return around_centre(affine(a=cos, b=-sin, d=sin, e=cos), size)


def invert_affine(matrix: Float[Tensor, "rows 3"]) -> Float[Tensor, "3 3"]:
    """The matrix that undoes one, of its dtype and on its device.

    Args:
        matrix: ``(3, 3)`` or ``(2, 3)``.

    Raises:
        OptionError: nothing can undo it: it makes a line or a point of the image.
    """
    whole = _whole(matrix)
    if abs(float(torch.linalg.det(whole))) < 1e-12:
        raise OptionError("matrix", "cannot be inverted", "give one that keeps areas above 0")
    inverse: Tensor = torch.linalg.inv(whole)
    return inverse.to(matrix.dtype)


def apply_affine_boxes(
    boxes: Float[Tensor, "n 4"],
    matrix: Float[Tensor, "rows 3"],
    *,
    size: tuple[int, int] | None = None,
    frame: Frame = "corners",
    min_visible: float = 0.1,
    min_side: float = 1.0,
) -> tuple[Float32[Tensor, "m 4"], Bool[Tensor, " n"]]:
    """Boxes as the matrix moves them, in a frame parallel to the axes again.

    A box that is rotated or sheared becomes a parallelogram. ``frame="corners"`` frames the part of it that lies
    inside the image: exact for what fills its box, such as a square that is drawn, and too large for round things.
    ``frame="ellipse"`` frames the ellipse that the box held, and clips that frame: exact for round things.

    Args:
        boxes: ``(N, 4)`` x1, y1, x2, y2 in pixels.
        matrix: ``(3, 3)`` or ``(2, 3)``, old to new coordinates; it may be on another device.
        size: (H, W) of the new image, to which boxes are clipped; None clips nothing.
        frame: as said above.
        min_visible: a box is dropped if less than this share of its area is inside the new image.
        min_side: a box is dropped if a side is shorter than this, pixels.

    Returns:
        boxes: ``(M, 4)`` float32, those that are left, in their order.
        kept: ``(N,)`` bool, which those are.

    Raises:
        OptionError: ``frame`` is unknown.

    Example:
        >>> square = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
        >>> apply_affine_boxes(square, flip_matrix(10), size=(10, 10))[0]
        tensor([[7., 2., 9., 4.]])
    """
    whole = _whole(matrix).to(boxes.device)
    exact = boxes.to(whole.dtype)
    if frame == "corners":
        moved, visible = frame_of_corners(_corners(exact, whole), size)
    elif frame == "ellipse":
        moved, visible = _frame_of_ellipses(exact, whole, size)
    else:
        raise OptionError("frame", f"{frame!r} is unknown", "use 'corners' or 'ellipse'")
    sides = moved[:, 2:] - moved[:, :2]
    kept = (sides >= min_side - CLOSE).all(1) & (visible >= min_visible) & (sides > 0).all(1)
    kept &= moved.isfinite().all(1) & boxes.isfinite().all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    return moved[kept].float(), kept


def warp_image(
    image: Float[Tensor, "c h w"],
    matrix: Float[Tensor, "rows 3"],
    size: tuple[int, int],
    *,
    fill: float = 0.5,
) -> Float[Tensor, "c h2 w2"]:
    """An image as the matrix moves it, bilinear, in one pass.

    Args:
        image: ``(C, H, W)``.
        matrix: ``(3, 3)`` or ``(2, 3)``, old to new coordinates.
        size: (H, W) of the new image.
        fill: the value where the new image shows nothing of the old one.

    Returns:
        ``(C, *size)`` of the same dtype on the same device.
    """
    height, width = image.shape[-2:]
    to_unit_new, to_unit_old = _to_unit(*size), _to_unit(height, width)
    back = to_unit_old @ invert_affine(matrix.detach().cpu().double()) @ torch.linalg.inv(to_unit_new)
    theta = back[None, :2].to(image.device, torch.float32)
    grid = functional.affine_grid(theta, [1, image.shape[0], *size], align_corners=False)
    shifted = (image.float() - fill)[None]
    return (functional.grid_sample(shifted, grid, align_corners=False)[0] + fill).to(image.dtype)


def _to_unit(height: int, width: int) -> Float[Tensor, "3 3"]:
    """Pixels to the coordinates of torch's grids, -1 to 1 from edge to edge."""
    return affine(a=2 / width, c=-1.0, e=2 / height, f=-1.0)


def _whole(matrix: Float[Tensor, "rows 3"]) -> Float[Tensor, "3 3"]:
    """(3, 3), in at least float32."""
    exact = matrix if matrix.dtype == torch.float64 else matrix.float()
    if len(matrix) == 3:
        return exact
    return torch.cat([exact, exact.new_tensor([[0.0, 0.0, 1.0]])])


def _corners(boxes: Float[Tensor, "n 4"], matrix: Float[Tensor, "3 3"]) -> Float[Tensor, "n 4 2"]:
    """The four corners of each box, in turn, moved."""
    points = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def _frame_of_ellipses(
    boxes: Float[Tensor, "n 4"], matrix: Float[Tensor, "3 3"], size: tuple[int, int] | None
) -> tuple[Float[Tensor, "n 4"], Float[Tensor, " n"]]:
    """Frames of the ellipses inscribed in boxes, and the share of each frame inside the image."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix[:2, :2].T + matrix[:2, 2]
    half = ((boxes[:, 2:] - boxes[:, :2]) / 2).square() @ matrix[:2, :2].square().T
    whole = torch.cat([centre - half.sqrt(), centre + half.sqrt()], 1)
    seen = whole if size is None else clip_boxes(whole, size)
    return seen, _areas(seen) / _areas(whole)


def _areas(boxes: Float[Tensor, "n 4"]) -> Float[Tensor, " n"]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
