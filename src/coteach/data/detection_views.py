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
from coteach.errors import OptionError

GEOMETRIC_OPERATIONS = ("translate", "rotate", "shear")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakOptions:
    """The weak view.

    Args:
        flip: probability of exchanging left and right.
        short_side: range from which the shorter side is drawn, pixels.
        long_side: the longer side is no longer than this, pixels; it wins over ``short_side``.
        color: change colours by one operation, as Soft Teacher does for labelled images.
    """

    flip: float = 0.5
    short_side: tuple[int, int] = (400, 1200)
    long_side: int = 1333
    color: bool = False

    def __post_init__(self) -> None:
        _check_share("flip", self.flip)
        if not 0 < self.short_side[0] <= self.short_side[1]:
            raise OptionError(
                "short_side", f"{self.short_side} is no range", "give two sizes, the smaller first"
            )
        if self.long_side < 1:
            raise OptionError("long_side", f"{self.long_side} is below 1", "give a number of pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class StrongOptions:
    """The strong view.

    Args:
        flip: probability of exchanging left and right.
        scale: range of the scale jitter, drawn evenly in its logarithm; the view grows and shrinks with it.
        translate: at most this share of each side, either way.
        rotate: at most so many degrees, either way.
        shear: at most so many degrees, either way, along x or along y.
        patches: range of how many patches are erased; (0, 0) erases none.
        patch_side: a patch's sides are at most this share of the image's.
        geometry: the geometric operations to choose from; empty for none.
        colors: the colour operations to choose from; empty for none.
        fill: grey value of what is erased or lies outside the image.
    """

    flip: float = 0.5
    scale: tuple[float, float] = (0.8, 1.25)
    translate: float = 0.1
    rotate: float = 30.0
    shear: float = 30.0
    patches: tuple[int, int] = (1, 5)
    patch_side: float = 0.2
    geometry: tuple[str, ...] = GEOMETRIC_OPERATIONS
    colors: tuple[str, ...] = tuple(COLOR_OPERATIONS)
    fill: float = 0.5

    def __post_init__(self) -> None:
        for name in ("flip", "translate", "patch_side", "fill"):
            _check_share(name, getattr(self, name))
        if not 0 < self.scale[0] <= self.scale[1]:
            raise OptionError(
                "scale", f"{self.scale} is no range", "give two factors above 0, the smaller first"
            )
        if not 0 <= self.patches[0] <= self.patches[1]:
            raise OptionError("patches", f"{self.patches} is no range", "give two counts, the smaller first")
        for name in ("rotate", "shear"):
            if not 0 <= getattr(self, name) < 90:
                raise OptionError(name, f"{getattr(self, name)} is not in [0, 90)", "give degrees")
        _check_names("geometry", self.geometry, GEOMETRIC_OPERATIONS)
        _check_names("colors", self.colors, tuple(COLOR_OPERATIONS))


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


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise OptionError(name, f"{value} is not in [0, 1]", "give a share")


def _check_names(option: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    if other := [name for name in given if name not in known]:
        raise OptionError(option, f"{other[0]!r} is unknown", f"choose from {', '.join(known)}")
