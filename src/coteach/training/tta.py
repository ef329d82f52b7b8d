"""Test-time augmentation: predict turned and mirrored images, turn the answers back, take the mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Tta = Literal["none", "flips", "d4"]

# quarter turns, and whether the image is mirrored after them; half a turn and a mirror are the upright flip
VIEWS: dict[Tta, tuple[tuple[int, bool], ...]] = {
    "none": ((0, False),),
    "flips": ((0, False), (0, True), (2, False), (2, True)),
    "d4": tuple((turns, mirrored) for turns in range(4) for mirrored in (False, True)),
}
_PLANE = (-2, -1)


def mean_over_views(
    predict: Callable[[Float[Tensor, "b bands h w"]], Tensor],
    images: Float[Tensor, "b bands h w"],
    views: Tta,
) -> Tensor:
    """The mean prediction of the views of some images.

    Args:
        predict: images -> maps of the same height and width.
        images: ``(B, bands, H, W)``.
        views: ``none``, ``flips`` (left-right, up-down, both: 4 predictions) or ``d4`` (with quarter turns: 8).

    Returns:
        As ``predict`` gives it for ``images``.
    """
    return _total(predict, images, VIEWS[views]) / len(VIEWS[views])


def _total(predict: Callable[[Tensor], Tensor], images: Tensor, views: Sequence[tuple[int, bool]]) -> Tensor:
    """The sum over the views, by halves: of equal answers it is exact, and so is their mean."""
    if len(views) > 1:
        half = len(views) // 2
        return _total(predict, images, views[:half]) + _total(predict, images, views[half:])
    [(turns, mirrored)] = views
    shown = torch.rot90(images, turns, _PLANE)
    answer = predict(shown.flip(-1) if mirrored else shown)
    return torch.rot90(answer.flip(-1) if mirrored else answer, -turns, _PLANE)
