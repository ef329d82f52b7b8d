"""Neighbourhood consistency: alike neighbours should be classified alike (Xiao et al. 2026, eq. 10).

``L_reg = Σ_i Σ_{j∈N(i)} max(0, S_ij)·KL(p_i‖p_j)`` over the 3x3 neighbourhood inside the image, S the cosine
of the features of i and j. S is symmetric, so an unordered pair contributes
``S_ij Σ_c (p_i − p_j)(log p_i − log p_j)`` and four of the eight neighbours suffice.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from coteach.errors import InputError, OptionError

# Right, below, below right, below left: each unordered pair of neighbours once.
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))


def _pair(x: Tensor, down: int, right: int) -> tuple[Tensor, Tensor]:
    """Views of ``(..., H, W)`` whose equal positions are neighbours: j lies ``down, right`` of i."""
    height, width = x.shape[-2:]
    left, shift = max(0, -right), max(0, right)
    here = x[..., : height - down, left : width - shift]
    there = x[..., down:, left + right : width - shift + right]
    return here, there


def neighborhood_consistency(
    logits: Float[Tensor, "b c h w"],
    features: Float[Tensor, "b f fh fw"],
    valid: Bool[Tensor, "b h w"] | None = None,
    *,
    reduction: Literal["mean", "sum"] = "mean",
) -> Float[Tensor, ""]:
    """Eq. 10 for a batch of maps.

    Args:
        logits: ``(B, C, H, W)`` unnormalised scores.
        features: ``(B, F, H, W)`` what similarity is judged by: the input image or embeddings; detached.
            A pixel whose features are all 0 is similar to nothing.
        valid: ``(B, H, W)`` bool; a pair with an invalid pixel is left out.
        reduction: ``sum`` is the equation as printed; ``mean`` divides it by the number of ordered valid
            pairs, so that it does not depend on image size.

    Returns:
        Scalar >= 0; 0 with zero gradients if there is no valid pair.

    Raises:
        InputError: features and logits differ in size.
        OptionError: unknown reduction.
    """
    if features.shape[-2:] != logits.shape[-2:]:
        raise InputError(
            "features",
            f"size {tuple(features.shape[-2:])} is not that of the logits {tuple(logits.shape[-2:])}",
            "resample the features to the logits",
        )
    if reduction not in ("mean", "sum"):
        raise OptionError("reduction", f"{reduction!r} is unknown", "use 'mean' or 'sum'")
    log_p = F.log_softmax(logits if logits.dtype == torch.float64 else logits.float(), dim=1)
    p = log_p.exp()
    unit = F.normalize(features.detach().to(log_p.dtype), dim=1)
    if valid is None:
        valid = torch.ones_like(log_p[:, 0], dtype=torch.bool)
    total, pairs = (log_p * 0.0).sum(), torch.zeros((), dtype=torch.int64, device=logits.device)
    for shift in _SHIFTS:
        unit_i, unit_j = _pair(unit, *shift)
        valid_i, valid_j = _pair(valid, *shift)
        similarity = torch.where(valid_i & valid_j, (unit_i * unit_j).sum(1).clamp(min=0.0), 0.0)
        (p_i, p_j), (log_i, log_j) = _pair(p, *shift), _pair(log_p, *shift)
        total = total + (similarity * ((p_i - p_j) * (log_i - log_j)).sum(1)).sum()
        pairs = pairs + 2 * (valid_i & valid_j).sum()
    return total if reduction == "sum" else total / pairs.clamp(min=1)
