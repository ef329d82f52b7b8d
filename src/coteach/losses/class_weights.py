"""Weights of classes: rare ones may count more. They enter the loss, never a ranking."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from coteach.data.sending import sent
from coteach.errors import OptionError


def check_class_weights(weights: Any, num_classes: int | None = None) -> None:
    """Refuse weights that are none.

    Args:
        weights: a sequence of numbers, one a class, or None.
        num_classes: ``C``; None if it is not known yet.

    Raises:
        OptionError: one is negative or no number, all are 0, or there are not ``C``.
    """
    if weights is None:
        return
    several = isinstance(weights, Iterable) and getattr(weights, "ndim", 1) == 1
    if not several or not all(map(_is_weight, weights)) or not any(weights):
        told = list(weights) if several else weights
        raise OptionError("class_weights", f"{told} are no weights", "give numbers >= 0, not all of them 0")
    if num_classes is not None and len(weights) != num_classes:
        raise OptionError("class_weights", f"{len(weights)} for {num_classes} classes", "give one a class")


def _is_weight(given: Any) -> bool:
    if isinstance(given, Tensor) and given.ndim == 0:
        given = given.item()
    return isinstance(given, Real) and 0 <= float(given) < math.inf


def all_weigh(weights: Sequence[float] | None) -> bool:
    """Whether the items of every class weigh something."""
    return weights is None or all(weight > 0 for weight in weights)


def expected_class_weight(
    probs: Float[Tensor, "b c *s"], weights: Sequence[float] | None
) -> Float[Tensor, "b *s"] | None:
    """``Σ_c P_ic v_c``: an item's weight by its class, or the mean over the classes that its label allows.

    Args:
        probs: ``(B, C, *S)`` label distributions.
        weights: ``v``, one a class; None gives None.

    Example:
        >>> expected_class_weight(torch.tensor([[1.0, 0.0], [0.5, 0.5]]), [1.0, 3.0])
        tensor([1., 2.])
    """
    if weights is None:
        return None
    by_class = sent(torch.tensor(weights, dtype=probs.dtype), probs.device)
    with torch.autocast(probs.device.type, enabled=False):  # or weights are rounded to half precision
        return torch.einsum("bc...,c->b...", torch.nan_to_num(probs), by_class)


def weighted(
    weight: Float[Tensor, "b *s"], probs: Float[Tensor, "b c *s"], weights: Sequence[float] | None
) -> Float[Tensor, "b *s"]:
    """The items' weights times those of their classes; the same tensor without class weights."""
    by_class = expected_class_weight(probs, weights)
    return weight if by_class is None else weight * by_class
