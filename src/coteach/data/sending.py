"""Numbers of the host -> a device, without waiting for it."""

from __future__ import annotations

import torch
from torch import Tensor

_MUST_WAIT = (
    "cpu",
    "mps",
)  # on Apple's GPUs the copy may be made when the host has already used its memory again


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device. The host goes on at once; ``Tensor.to`` waits until a GPU has done all it was given before.

    Args:
        tensor: of the host; it may be given up afterwards, and changed, unless its memory is pinned.
        device: where it is needed.

    Example:
        >>> sent(torch.ones(2), torch.device("cpu"))
        tensor([1., 1.])
    """
    return tensor.to(device, non_blocking=device.type not in _MUST_WAIT)
