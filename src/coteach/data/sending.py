"""Numbers of the host -> a device, without waiting for it."""

from __future__ import annotations

import torch
from torch import Tensor

# CUDA reads memory that is not pinned before it gives the host back. Others, such as Apple's GPUs, may copy when the host has used
# the memory again already: there it waits.
_READS_AT_ONCE = ("cuda",)


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device. The host goes on at once; ``Tensor.to`` waits until a GPU has done all it was given before.

    Args:
        tensor: any shape and dtype; one of the host may be given up afterwards, and changed, unless its memory is pinned.
        device: where it is needed.

    Returns:
        The same numbers there: the tensor itself, if it lies there. From a GPU to the host the host waits.

    Example:
        >>> sent(torch.ones(2), torch.device("cpu"))
        tensor([1., 1.])
    """
    return tensor.to(device, non_blocking=device.type in _READS_AT_ONCE)
