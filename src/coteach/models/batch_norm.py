"""Batch normalisation that gathers running statistics of the batches that it is shown."""

from __future__ import annotations

from typing import TypeGuard

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


def is_counting(part: nn.Module) -> TypeGuard[_NormBase]:
    """Whether a module is batch normalisation (or instance normalisation, its sibling) in training mode.

    A network that was trained elsewhere may hold its own in evaluation mode for good: it counts nothing.

    Args:
        part: any module, without those inside it.

    Example:
        >>> is_counting(nn.BatchNorm2d(3)), is_counting(nn.BatchNorm2d(3).eval())
        (True, False)
    """
    return isinstance(part, _NormBase) and part.training
