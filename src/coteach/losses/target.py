"""What a data set or a user calls a target -> ``SoftTarget``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from coteach.errors import InputError
from coteach.types import SoftTarget


def has_label(probs: Float[Tensor, "b c *s"], weight: Float[Tensor, "b *s"]) -> Bool[Tensor, "b *s"]:
    """Where there is a label at all.

    An item without one is written as a uniform distribution of weight 0 (what the data sets here give), or as
    a distribution that sums to nothing or is NaN (what other tools write).
    """
    total = probs.sum(1)
    flat = probs.amax(1) == probs.amin(1)
    return (total > 0) & ~((weight == 0) & flat)


def all_labelled(target: Any, num_classes: int) -> bool:
    """Whether each of these images is known to have a label that weighs something.

    False also where that takes long to find out: of maps, and of what lies on a device, for which the host would wait.

    Args:
        target: as for :func:`as_soft_target`, or anything else.
        num_classes: ``C``.
    """
    parts = list(target.values()) if isinstance(target, Mapping) else [target]
    if not all(isinstance(part, Tensor) and part.device.type == "cpu" and part.ndim <= 2 for part in parts):
        return False
    weight = as_soft_target(target, num_classes).weight
    return weight.ndim == 1 and bool((weight > 0).all())


def hard_label(probs: Float[Tensor, "b c *s"]) -> Int[Tensor, "b *s"]:
    """The class of highest share or score, int32; ties go to the lowest code.

    Args:
        probs: ``(B, C, *S)``.
    """
    if probs.device.type != "cpu" or probs.ndim == 2:
        return probs.argmax(1).int()
    # argmax over an axis that is not the last is thirty times slower on the CPU than counting the classes before
    # the first one that reaches the maximum
    highest = probs.amax(1)
    label = torch.zeros_like(highest, dtype=torch.int32)
    before = torch.ones_like(highest, dtype=torch.bool)
    for code in range(probs.shape[1] - 1):
        before &= probs[:, code] < highest
        label += before
    return label


def one_hot(classes: Int[Tensor, "b *s"], num_classes: int) -> Float[Tensor, "b c *s"]:
    """Hard labels as distributions; 0 for every class where the code is outside 0 to C-1.

    Args:
        classes: ``(B, *S)`` integer codes.
        num_classes: ``C``.
    """
    codes = torch.arange(num_classes, device=classes.device).view(-1, *[1] * (classes.ndim - 1))
    return (classes[:, None] == codes).float()


def as_soft_target(
    target: Tensor | Mapping[str, Tensor],
    num_classes: int,
    *,
    mask_key: str = "mask",
    weight_key: str = "w_conf",
) -> SoftTarget:
    """Read a training target.

    Args:
        target: ``(B, C, *S)`` float label distributions, or ``(B, *S)`` integer classes, of which those outside
            0 to C-1 (-1, 255) are no label; or a mapping with one of them under ``mask_key`` and, optionally,
            the confidence ``(B, 1, *S)`` or ``(B, *S)`` in [0, 1] under ``weight_key``.
        num_classes: ``C``.
        mask_key: key of the distributions.
        weight_key: key of the confidence; absent means 1 everywhere.

    Returns:
        The target; items without a label are invalid and weigh 0.

    Raises:
        InputError: a key is missing, or a shape does not fit ``num_classes`` or the distributions.
    """
    if isinstance(target, Mapping):
        if mask_key not in target:
            raise InputError("target", f"no key {mask_key!r} among {sorted(target)}", "set mask_key")
        probs, weight = target[mask_key], target.get(weight_key)
    else:
        probs, weight = target, None
    if not probs.is_floating_point():
        probs = one_hot(probs, num_classes)
    if probs.ndim < 2 or probs.shape[1] != num_classes:
        raise InputError(
            "target",
            f"shape {tuple(probs.shape)} is not (B, {num_classes}, ...)",
            "set num_classes to its classes",
        )
    probs = probs.float()
    item_shape = probs.shape[:1] + probs.shape[2:]
    if weight is None:
        weight = torch.ones(item_shape, device=probs.device)
    elif weight.numel() != item_shape.numel():
        raise InputError(
            "target",
            f"confidence {tuple(weight.shape)} does not fit the labels {tuple(probs.shape)}",
            "give one weight an item",
        )
    weight = weight.reshape(item_shape).float()
    valid = has_label(probs, weight)
    return SoftTarget(probs=probs, weight=torch.where(valid, weight, 0.0), valid=valid)
