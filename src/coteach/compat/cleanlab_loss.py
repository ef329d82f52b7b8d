"""The loss of cleanlab's co-teaching module, under its name; see :mod:`coteach.compat.cleanlab`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from coteach.data.sending import sent
from coteach.errors import InputError, OptionError
from coteach.losses.class_weights import check_class_weights
from coteach.losses.soft_cross_entropy import masked_mean
from coteach.selection.small_loss import select_small_loss

# no label is passed over: -100, torch's own choice, would have a loss of 0
_NEVER = torch.iinfo(torch.int64).min


def loss_coteaching(
    y_1: Float[Tensor, "n c"],
    y_2: Float[Tensor, "n c"],
    t: Int[Tensor, " n"],
    forget_rate: float | Tensor | np.ndarray,
    class_weights: Tensor | Sequence[float] | None = None,
    *,
    legacy_scaling: bool = False,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """What each network minimises on the items that the other finds easiest (Han et al. 2018, algorithm 1).

    The items are ranked by their plain cross-entropy; ``k = max(1, floor((1 − R)·n + 1e-6))`` of them are learned from.
    The loss is ``Σ w·l / Σ w`` over these, with the class weights ``w``. Scores of the others get no gradient, also where
    they are infinite or NaN.

    Args:
        y_1: ``(N, C)`` scores of network 1.
        y_2: ``(N, C)`` scores of network 2.
        t: ``(N,)`` the given labels, in [0, C).
        forget_rate: ``R`` in [0, 1), also as an array or tensor of one number.
        class_weights: one a class, >= 0; None weighs all alike.
        legacy_scaling: rank by the weighted loss, and divide the mean by ``k`` once more, as cleanlab does.

    Returns:
        The loss of network 1 and that of network 2.

    Raises:
        InputError: labels are no integers of shape ``(N,)``, or one is none of the classes, -100 included (looked at on the
            CPU; an accelerator has its own assertion).
        OptionError: ``forget_rate`` is no number in [0, 1), there is not one weight a class, or a weight is negative or no
            number (as for labels).
    """
    t = _checked_labels(t, y_1)
    weight = _item_weights(class_weights, t, y_1)
    factor = weight if legacy_scaling and weight is not None else 1
    with torch.no_grad():
        ranks = [_cross_entropy(scores, t) * factor for scores in (y_1, y_2)]
    rate = _as_number(forget_rate)
    by_1, by_2 = (select_small_loss(rank, rate) for rank in ranks)
    kept = by_1.count.clamp(min=1) if legacy_scaling else 1  # no items: 0 / 1
    loss_1, loss_2 = (
        # of what is left out not even the scores are looked at: the gradient of an infinite one is NaN, times 0, too
        masked_mean(_cross_entropy(torch.where(mask[:, None], own, 0), t), mask, weight, by="weights") / kept
        for own, mask in ((y_1, by_2.mask), (y_2, by_1.mask))
    )
    return loss_1, loss_2


def _cross_entropy(scores: Float[Tensor, "n c"], t: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    return F.cross_entropy(scores, t, reduction="none", ignore_index=_NEVER)


def _as_number(forget_rate: Any) -> float:
    value: Any = forget_rate
    if isinstance(value, Tensor | np.ndarray) and math.prod(value.shape) == 1:
        value = value.item()
    if not isinstance(value, bool) and isinstance(value, Real):
        return float(value)
    remedy = "give one number, such as forget_rate_schedule[epoch]"
    raise OptionError("forget_rate", f"is {type(value).__name__}", remedy)


def _checked_labels(t: Any, scores: Float[Tensor, "n c"]) -> Int[Tensor, " n"]:
    """As torch indexes by them: int64."""
    found = f"{t.dtype} of shape {tuple(t.shape)}" if isinstance(t, Tensor) else type(t).__name__
    if not isinstance(t, Tensor) or t.is_floating_point() or t.is_complex() or t.shape != scores.shape[:1]:
        remedy = f"give a tensor of integers of shape ({len(scores)},)"
        raise InputError("t", f"labels are {found}", remedy)
    labels: Tensor = t.long()
    num_classes = scores.shape[1]
    if labels.device.type == "cpu" and ((labels < 0) | (labels >= num_classes)).any():
        wrong = labels[(labels < 0) | (labels >= num_classes)][0].item()
        remedy = "leave such items out of the batch; labels are 0 to one less than there are scores"
        raise InputError("t", f"label {wrong}, with scores for {num_classes} classes", remedy)
    return labels


def _item_weights(
    class_weights: Any, t: Int[Tensor, " n"], scores: Float[Tensor, "n c"]
) -> Float[Tensor, " n"] | None:
    if class_weights is None:
        return None
    try:
        given = (
            class_weights.copy() if isinstance(class_weights, np.ndarray) else class_weights
        )  # torch takes no negative strides
        by_class = torch.as_tensor(given, dtype=scores.dtype)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        remedy = "give numbers >= 0, not all of them 0"
        raise OptionError("class_weights", f"{class_weights!r} are no weights", remedy) from error
    if by_class.shape != scores.shape[1:]:
        cause = f"shape {tuple(by_class.shape)} for {scores.shape[1]} classes"
        raise OptionError("class_weights", cause, "give one a class")
    if by_class.device.type == "cpu":
        check_class_weights(by_class.tolist())
    return sent(by_class, scores.device)[t]
