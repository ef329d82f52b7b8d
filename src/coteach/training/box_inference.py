"""A trained detector -> the boxes that it finds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from coteach.errors import InputError
from coteach.methods.detection_base import DetectionMethod
from coteach.models.detector import Target


def find_boxes(method: DetectionMethod, images: Sequence[Tensor]) -> list[Target]:
    """What a method finds in a batch of images, where its weights are.

    Args:
        method: trained; it is put into evaluation mode.
        images: ``(3, H, W)`` float32 in [0, 1], of any sizes.

    Returns:
        ``boxes`` ``(N, 4)`` x1, y1, x2, y2 in pixels, ``labels`` ``(N,)`` from 1 and ``scores`` ``(N,)`` of each image,
        best first; on the CPU. Other images of the batch can change them a little, as they are padded to one size.

    Raises:
        InputError: the GPU's memory is too small for them.
    """
    method.eval()
    device = next(method.parameters()).device
    try:
        with torch.inference_mode():
            found = method.predict([image.to(device) for image in images])
    except torch.cuda.OutOfMemoryError as error:
        cause = f"{len(images)} at once do not fit into the GPU's memory"
        raise InputError(
            "images", cause, "try --device cpu, or predict with a smaller --batch-size"
        ) from error
    return [
        {key: value.float().cpu() if value.is_floating_point() else value.cpu() for key, value in one.items()}
        for one in found
    ]
