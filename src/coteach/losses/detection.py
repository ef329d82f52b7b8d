"""Losses of regions of interest that have a pseudo label, each with a weight of its own.

Shape legend: ``N`` regions, ``C`` classes; label 0 is the background, so there are ``C + 1`` scores a region.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

_BETA = 1 / 9  # where torchvision's smooth L1 becomes linear


def background_weights(
    teacher_background: Float[Tensor, " n"], is_background: Bool[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """How much each region counts (Xu et al. 2021, eq. 5 and 6): background as far as the teacher agrees.

    A region outside all pseudo boxes may hold an object that the teacher did not dare to name.

    Args:
        teacher_background: ``(N,)`` in [0, 1], the teacher's score of the background.
        is_background: ``(N,)``, whether the region counts as background.

    Returns:
        ``(N,)``: 1 for foreground, the teacher's score else; no gradient.

    Example:
        >>> background_weights(torch.tensor([0.2, 0.7]), torch.tensor([False, True]))
        tensor([1.0000, 0.7000])
    """
    return torch.where(is_background, teacher_background.detach(), 1.0)


def weighted_classification(
    logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"], weights: Float[Tensor, " n"]
) -> Float[Tensor, ""]:
    """``Σ w·CE / max(Σ w, 1)``: few sure regions do not count as many.

    Args:
        logits: ``(N, C + 1)``.
        labels: ``(N,)`` in ``0..C``.
        weights: ``(N,)``, >= 0.
    """
    losses = F.cross_entropy(logits.float(), labels, reduction="none")
    return (weights * losses).sum() / weights.sum().clamp(min=1)


def focal_classification(
    logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"], gamma: float = 1.5
) -> Float[Tensor, ""]:
    """``mean (1 − p_y)^gamma · CE``: what is known already counts less (Lin et al., ICCV 2017), over softmax.

    Args:
        logits: ``(N, C + 1)``.
        labels: ``(N,)`` in ``0..C``.
        gamma: >= 0; 0 is the plain mean of the cross-entropy.

    Returns:
        The mean; 0 without a region.
    """
    losses = F.cross_entropy(logits.float(), labels, reduction="none")
    unsure = (1 - (-losses).exp()).clamp(min=1e-8)  # a power below 1 has no gradient at 0
    return (unsure**gamma * losses).sum() / max(1, len(labels))


def box_regression(
    deltas: Float[Tensor, "n coordinates"], labels: Int[Tensor, " n"], targets: Float[Tensor, "n 4"]
) -> Float[Tensor, ""]:
    """Smooth L1 of the foreground regions' offsets, divided by the number of all regions, as torchvision does.

    Args:
        deltas: ``(N, (C + 1)·4)``, offsets a class.
        labels: ``(N,)`` in ``0..C``.
        targets: ``(N, 4)``, the offsets to learn.
    """
    rows = (labels > 0).nonzero()[:, 0]
    own = deltas.reshape(len(labels), deltas.shape[1] // 4, 4)[rows, labels[rows]]
    loss = F.smooth_l1_loss(own.float(), targets[rows].float(), beta=_BETA, reduction="sum")
    return loss / max(1, len(labels))


def zero_of(network: nn.Module) -> Float[Tensor, ""]:
    """A loss of 0 that gives every trained weight of a network a gradient, of zeros."""
    terms = [weight.sum() * 0 for weight in network.parameters() if weight.requires_grad]
    return torch.stack(terms).sum()
