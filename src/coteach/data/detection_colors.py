"""Colour operations of the strong view: one of nine, drawn with its strength from a generator.

They change no place, so boxes stay as they are. Images are ``(3, H, W)`` float32 in [0, 1], on any device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

Image = Float[Tensor, "c h w"]
_BITS = 8


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """A number between two others, the same for every device."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def choice(generator: torch.Generator, count: int) -> int:
    """A whole number from 0 to ``count - 1``."""
    return int(torch.randint(count, (), generator=generator))


def change_color(name: str, image: Image, strength: float) -> Image:
    """One colour operation.

    Args:
        name: a key of :data:`COLOR_OPERATIONS`.
        image: ``(3, H, W)`` float32 in [0, 1].
        strength: in [-1, 1]. For color, contrast, brightness and sharpness, the factor is ``1 + 0.9 * strength``; for
            solarize the threshold is ``1 - |strength|``; posterize keeps 8 bits at 0 and 4 at ±1; others have none.

    Returns:
        ``(3, H, W)`` of the same dtype, in [0, 1].
    """
    return COLOR_OPERATIONS[name](image, strength).clamp(0.0, 1.0).to(image.dtype)


def _functional() -> Any:
    from torchvision.transforms.v2 import functional  # a second of import that a reader of boxes does not pay

    return functional


def _plain(name: str) -> Callable[[Image, float], Image]:
    def change(image: Image, _: float) -> Image:
        changed: Image = getattr(_functional(), name)(image)
        return changed

    return change


def _by_factor(name: str) -> Callable[[Image, float], Image]:
    def change(image: Image, strength: float) -> Image:
        changed: Image = getattr(_functional(), name)(image, 1.0 + 0.9 * strength)
        return changed

    return change


def _solarize(image: Image, strength: float) -> Image:
    changed: Image = _functional().solarize(image, 1.0 - abs(strength))
    return changed


def _posterize(image: Image, strength: float) -> Image:
    bits = _BITS - round(_BITS / 2 * abs(strength))
    changed: Image = _functional().posterize(image, bits)
    return changed


COLOR_OPERATIONS: Mapping[str, Callable[[Image, float], Image]] = {
    "identity": lambda image, _: image,
    "autocontrast": _plain("autocontrast"),
    "equalize": _plain("equalize"),
    "solarize": _solarize,
    "color": _by_factor("adjust_saturation"),
    "contrast": _by_factor("adjust_contrast"),
    "brightness": _by_factor("adjust_brightness"),
    "sharpness": _by_factor("adjust_sharpness"),
    "posterize": _posterize,
}
