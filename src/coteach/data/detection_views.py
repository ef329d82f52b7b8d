"""Views for semi-supervised detection: weak for the teacher, strong for the student, each with the matrix that made it.

The strong view is made of the weak one, on its device, and warped once: flip, scale and one geometric operation are one
matrix, which moves the boxes too (:func:`coteach.data.box_geometry.apply_affine_boxes`), either way. All random numbers
come from a generator on the CPU, one an image: a view does not depend on the device or on other images.

After Xu et al., End-to-end semi-supervised object detection with Soft Teacher, ICCV 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from coteach.data.box_geometry import (
    affine,
    around_centre,
    flip_matrix,
    rotation_matrix,
    scale_matrix,
    warp_image,
)
from coteach.data.detection_colors import COLOR_OPERATIONS, change_color, choice, uniform
from coteach.data.detection_options import StrongOptions, WeakOptions


@dataclass(frozen=True, slots=True)
class View:
    """An image as a network sees it.

    Args:
        image: ``(C, H, W)`` float, in [0, 1].
        matrix: ``(3, 3)`` float64 on the CPU: coordinates of the image that the view was made of -> the view's.
        size: (H, W) of the view.
        flipped: whether left and right were exchanged.
        operations: what was drawn, in order.
    """

    image: Tensor
    matrix: Tensor
    size: tuple[int, int]
    flipped: bool = False
    operations: tuple[str, ...] = ()


def weak_view(
    image: Float[Tensor, "c h w"], generator: torch.Generator, options: WeakOptions | None = None
) -> View:
    """Flip an image by chance and resize it, keeping its shape.

    Args:
        image: ``(C, H, W)`` in [0, 1].
        generator: of the CPU; the image's own.
        options: see :class:`WeakOptions`.

    Returns:
        The view on the image's device. Resizing averages what a pixel covers (antialiasing).
    """
    options = WeakOptions() if options is None else options
    flipped = uniform(generator, 0.0, 1.0) < options.flip
    low, high = options.short_side
    size = _fitted(_size(image), low + choice(generator, high - low + 1), options.long_side)
    seen = image.flip(-1) if flipped else image
    if size != _size(image):
        seen = functional.interpolate(seen[None], size, mode="bilinear", antialias=True)[0].clamp(0.0, 1.0)
    matrix = flip_matrix(image.shape[-1]) if flipped else affine()
    operations: tuple[str, ...] = ()
    if options.color:
        operations = (tuple(COLOR_OPERATIONS)[choice(generator, len(COLOR_OPERATIONS))],)
        seen = change_color(operations[0], seen, uniform(generator, -1.0, 1.0))
    return View(seen, scale_matrix(_size(image), size) @ matrix, size, flipped, operations)


def strong_view(
    image: Float[Tensor, "c h w"], generator: torch.Generator, options: StrongOptions | None = None
) -> View:
    """Flip, scale and move an image in one pass, change its colours, and erase patches of it.

    Args:
        image: ``(C, H, W)`` in [0, 1], usually a weak view.
        generator: of the CPU; the image's own.
        options: see :class:`StrongOptions`.

    Returns:
        The view on the image's device; its matrix moves boxes of ``image``.
    """
    options = StrongOptions() if options is None else options
    flipped = uniform(generator, 0.0, 1.0) < options.flip
    low, high = options.scale
    factor = low * (high / low) ** uniform(generator, 0.0, 1.0)
    old = _size(image)
    size = max(1, round(old[0] * factor)), max(1, round(old[1] * factor))
    name, moved = draw_geometry(generator, size, options)
    matrix = moved @ scale_matrix(old, size) @ (flip_matrix(old[1]) if flipped else affine())
    color = options.colors[choice(generator, len(options.colors))] if options.colors else "identity"
    strength = uniform(generator, -1.0, 1.0)
    seen = change_color(color, image, strength)  # before the warp: the fill is none of the image's colours
    seen = warp_image(seen, matrix, size, fill=options.fill)
    erase_patches(seen, generator, options)
    return View(seen, matrix, size, flipped, (color, name))


def draw_geometry(
    generator: torch.Generator, size: tuple[int, int], options: StrongOptions
) -> tuple[str, Float[Tensor, "3 3"]]:
    """One of the geometric operations on an image of ``size`` (H, W): its name and matrix."""
    if not options.geometry:
        return "none", affine()
    name = options.geometry[choice(generator, len(options.geometry))]
    first, second = uniform(generator, -1.0, 1.0), uniform(generator, -1.0, 1.0)
    if name == "translate":
        return name, affine(c=first * options.translate * size[1], f=second * options.translate * size[0])
    if name == "rotate":
        return name, rotation_matrix(first * options.rotate, size)
    slope = float(torch.tensor(first * options.shear).deg2rad().tan())
    sheared = affine(b=slope) if second < 0 else affine(d=slope)
    return name, around_centre(sheared, size)


def erase_patches(image: Float[Tensor, "c h w"], generator: torch.Generator, options: StrongOptions) -> None:
    """Fill some patches of an image, in place. Boxes below stay: an object is still there if part of it is hidden."""
    low, high = options.patches
    height, width = _size(image)
    for _ in range(low + choice(generator, high - low + 1)):
        side_y, side_x = (
            round(uniform(generator, 0.0, options.patch_side) * side) for side in (height, width)
        )
        top, left = choice(generator, height - side_y + 1), choice(generator, width - side_x + 1)
        image[:, top : top + side_y, left : left + side_x] = options.fill


def _size(image: Tensor) -> tuple[int, int]:
    return int(image.shape[-2]), int(image.shape[-1])


def _fitted(size: tuple[int, int], short: int, long: int) -> tuple[int, int]:
    """``size`` scaled so that its shorter side is ``short``, or its longer one ``long`` if that is less."""
    factor = min(short / min(size), long / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
