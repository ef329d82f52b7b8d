"""Soft Dice for label distributions: the overlap of prediction and label, class by class.

With hard labels it is the usual soft Dice. With soft labels the usual one is not smallest where the prediction equals
the label; the form of Wang et al. (*Dice Semimetric Losses*, MICCAI 2023) is: as ``x + y − |x − y| = 2 min(x, y)``,

    ``D = 1 − mean over c of 2 Σ_i w_i min(p_ic, P_ic) / (Σ_i w_i p_ic + Σ_i w_i P_ic)``
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from coteach.losses.soft_cross_entropy import check_same_items


def soft_dice(
    logits: Float[Tensor, "b c *s"],
    probs: Float[Tensor, "b c *s"],
    mask: Bool[Tensor, "b *s"],
    weight: Float[Tensor, "b *s"] | None = None,
) -> Float[Tensor, ""]:
    """One minus the mean Dice of the classes that the batch's labels hold; all its items together.

    Args:
        logits: ``(B, C, *S)`` unnormalised scores.
        probs: ``(B, C, *S)`` label distributions.
        mask: ``(B, *S)`` the items that count.
        weight: ``(B, *S)`` >= 0, how much each counts; None means 1.

    Returns:
        Scalar in [0, 1]; 0, with zero gradients, if no item counts.

    Raises:
        InputError: the logits have another shape than the labels.

    Example:
        >>> probs = torch.tensor([[0.75, 0.25]])
        >>> soft_dice(probs.log(), probs, torch.tensor([True])).item()  # prediction equals label
        0.0
    """
    check_same_items(logits, probs)
    scale = mask.float() if weight is None else torch.where(mask, weight, 0.0).float()
    predicted = logits.float().softmax(1)
    label = torch.nan_to_num(probs)
    axes = [0, *range(2, logits.ndim)]
    weights = scale[:, None]
    overlap = 2 * (weights * torch.minimum(predicted, label)).sum(axes)
    mass = (weights * label).sum(axes)
    total = (weights * predicted).sum(axes) + mass
    present = mass > 0
    dice = torch.where(present, overlap / torch.where(present, total, 1), 0)
    classes = present.sum()
    loss: Tensor = torch.where(classes > 0, 1 - dice.sum() / classes.clamp(min=1), 0 * total.sum())
    return loss
