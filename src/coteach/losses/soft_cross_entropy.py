"""Cross-entropy against a label distribution, an item at a time, and its weighted mean.

Shape legend: ``b`` samples, ``c`` classes, ``*s`` the item axes (none for images, ``h w`` for pixels).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from coteach.errors import InputError, OptionError
from coteach.losses.cross_entropy_blocks import cross_entropy_in_blocks
from coteach.losses.target import as_soft_target

Normalisation = Literal["items", "weights"]


def soft_cross_entropy(
    logits: Float[Tensor, "b c *s"], probs: Float[Tensor, "b c *s"]
) -> Float[Tensor, "b *s"]:
    """``l_i = −Σ_c P(i,c) log softmax(z_i)_c``, computed in float32 or better.

    Args:
        logits: ``(B, C, *S)`` unnormalised scores.
        probs: ``(B, C, *S)`` label distributions.

    Returns:
        ``(B, *S)`` the loss of every item, >= 0. Items with a NaN distribution have loss 0.
    """
    if logits.ndim == 2 or probs.requires_grad:  # few numbers, or labels that learn, too
        log_p = F.log_softmax(logits if logits.dtype == torch.float64 else logits.float(), dim=1)
        return -(torch.nan_to_num(probs) * log_p).sum(1)
    return cross_entropy_in_blocks(logits, probs)


def log_of(probs: Float[Tensor, "*items"]) -> Float[Tensor, "*items"]:
    """``log p``, of 0 that of the smallest normal number: what takes scores takes it.

    Args:
        probs: in [0, 1].

    Example:
        >>> log_of(torch.tensor([1.0, 0.0]))
        tensor([  0.0000, -87.3365])
    """
    return probs.clamp(min=torch.finfo(probs.dtype).tiny).log()


def masked_mean(
    losses: Float[Tensor, "*items"],
    mask: Bool[Tensor, "*items"],
    weight: Float[Tensor, "*items"] | None = None,
    *,
    by: Normalisation = "items",
    count: Tensor | None = None,
) -> Float[Tensor, ""]:
    """``Σ_mask W·l`` divided once, by the number of items in the mask or by the sum of their weights.

    With nothing in the mask it is a zero that still depends on every loss, so that each parameter gets a
    gradient (of zero) and distributed training does not wait for one.

    Args:
        losses: the loss of every item, any shape.
        mask: bool, shaped like ``losses``: the items that count.
        weight: >= 0, shaped like ``losses``; None means 1.
        by: ``items`` divides by how many items ``mask`` holds, ``weights`` by the sum of their weights.
        count: divide by this number instead of how many items ``mask`` holds.

    Returns:
        Scalar.

    Raises:
        OptionError: ``by`` is neither.
    """
    if by not in get_args(Normalisation):
        raise OptionError("by", f"{by!r} is not a normalisation", "use 'items' or 'weights'")
    total = torch.where(mask, losses if weight is None else losses * weight, 0.0).sum()
    if by == "items" or weight is None:
        divisor = mask.sum() if count is None else count
    else:
        divisor = torch.where(mask, weight, 0.0).sum()
    return total / torch.where(divisor > 0, divisor, 1).to(total.dtype)


class SoftLabelWeightedCELoss:
    """Soft-label cross-entropy weighted by confidence: the mean of ``W_conf·l`` (Xiao et al. 2026).

    Args:
        name: how the loss is called in logs.
        num_classes: ``C``.
        mask_key: key of the label distributions in the target.
        weight_key: key of the confidence in the target; a target without it weighs 1 everywhere.
        normalize_by: ``items`` divides by the number of labelled items, ``weights`` by the sum of weights.

    Example:
        >>> loss = SoftLabelWeightedCELoss("soft_ce", num_classes=2)
        >>> target = {"mask": torch.tensor([[[[0.5]], [[0.5]]]]), "w_conf": torch.tensor([[[[0.5]]]])}
        >>> round(loss.compute(torch.zeros(1, 2, 1, 1), target).item(), 4)  # 0.5 · log 2
        0.3466
    """

    def __init__(
        self,
        name: str,
        num_classes: int,
        mask_key: str = "mask",
        weight_key: str = "w_conf",
        *,
        normalize_by: Normalisation = "items",
    ) -> None:
        if normalize_by not in get_args(Normalisation):
            raise OptionError("normalize_by", f"{normalize_by!r} is unknown", "use 'items' or 'weights'")
        self.name = name
        self.num_classes = num_classes
        self.mask_key = mask_key
        self.weight_key = weight_key
        self.normalize_by = normalize_by

    def compute(self, logits: Tensor, target: Tensor | Mapping[str, Tensor]) -> Float[Tensor, ""]:
        """The loss of a batch.

        Args:
            logits: ``(B, C, *S)``.
            target: label distributions ``(B, C, *S)``, or a mapping that holds them and the confidence.

        Returns:
            Scalar; 0 with zero gradients if no item has a label.

        Raises:
            InputError: shapes do not fit.
        """
        soft = as_soft_target(target, self.num_classes, mask_key=self.mask_key, weight_key=self.weight_key)
        check_same_items(logits, soft.probs)
        return masked_mean(
            soft_cross_entropy(logits, soft.probs), soft.valid, soft.weight, by=self.normalize_by
        )

    __call__ = compute


def check_same_items(logits: Tensor, probs: Tensor) -> None:
    """Raise InputError unless the logits have exactly the shape of the label distributions."""
    if logits.shape != probs.shape:
        raise InputError(
            "logits",
            f"shape {tuple(logits.shape)} is not that of the labels {tuple(probs.shape)}",
            "the model must give one score a class and item at the labels' resolution",
        )
