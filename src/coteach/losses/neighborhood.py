"""Neighbourhood consistency: alike neighbours should be classified alike (Xiao et al. 2026, eq. 10).

``L_reg = Σ_i Σ_{j∈N(i)} max(0, S_ij)·KL(p_i‖p_j)`` over the 3x3 neighbourhood inside the image, S the cosine
of the features of i and j. S is symmetric, so four of the eight neighbours suffice to know all of it.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from coteach.errors import InputError, OptionError
from coteach.losses.neighborhood_sum import SHIFTS, neighborhood_sum, pair
from coteach.selection.whole_batch import mean_over_processes

_SMALLEST_NORM = 1e-12


def neighborhood_consistency(
    logits: Float[Tensor, "b c h w"],
    features: Float[Tensor, "b f fh fw"],
    valid: Bool[Tensor, "b h w"] | None = None,
    *,
    reduction: Literal["mean", "sum"] = "mean",
) -> Float[Tensor, ""]:
    """Eq. 10 for a batch of maps, one network.

    Args:
        logits: ``(B, C, H, W)`` unnormalised scores; half precision is computed in float32.
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
    return mean_consistency([logits], features, valid, reduction=reduction)


def mean_consistency(
    logits: list[Tensor],
    features: Float[Tensor, "b f fh fw"],
    valid: Bool[Tensor, "b h w"] | None = None,
    *,
    reduction: Literal["mean", "sum"] = "mean",
    sync: bool = False,
) -> Float[Tensor, ""]:
    """Eq. 10 averaged over networks that see the same images; the similarities are computed once.

    Args:
        logits: of each network, ``(B, C, H, W)``.
        features: as above.
        valid: as above.
        reduction: as above.
        sync: divide by the mean number of pairs of all processes (DDP), as one process on the whole batch would.

    Returns:
        Scalar >= 0.

    Raises:
        InputError: as above.
        OptionError: as above.
    """
    for scores in logits:
        if features.shape[-2:] != scores.shape[-2:]:
            raise InputError(
                "features",
                f"size {tuple(features.shape[-2:])} is not that of the logits {tuple(scores.shape[-2:])}",
                "resample the features to the logits",
            )
    if reduction not in ("mean", "sum"):
        raise OptionError("reduction", f"{reduction!r} is unknown", "use 'mean' or 'sum'")
    double = any(scores.dtype == torch.float64 for scores in logits)
    similarity = neighbor_similarity(features.double() if double else features.float(), valid)
    sums = [neighborhood_sum(scores, similarity) for scores in logits]
    total = sum(sums[1:], start=sums[0]) / len(sums)
    if reduction == "sum":
        return total
    pairs = count_pairs(features, valid)
    divisor = mean_over_processes(pairs) if sync else pairs
    return total / torch.where(divisor > 0, divisor, 1).to(total.dtype)


def neighbor_similarity(
    features: Float[Tensor, "b f h w"], valid: Bool[Tensor, "b h w"] | None = None
) -> Float[Tensor, "b 4 h w"]:
    """``max(0, S_ij)``: the cosine of the features of each pixel and four of its neighbours.

    Args:
        features: ``(B, F, H, W)``; detached.
        valid: ``(B, H, W)`` bool; None means everywhere.

    Returns:
        ``(B, 4, H, W)``, for the neighbours in ``SHIFTS``; 0 where one of the two is invalid or outside.
    """
    features = features.detach()
    if valid is not None:  # a vector of zeros is similar to nothing
        features = torch.where(valid[:, None], features, 0.0)
    scale = features.square().sum(1).sqrt_().clamp_(min=_SMALLEST_NORM).reciprocal_()
    similarity = features.new_zeros(len(features), len(SHIFTS), *features.shape[-2:])
    for image, own_scale, target in zip(features, scale, similarity, strict=True):  # one image fits the cache
        for shift, plane in zip(SHIFTS, target, strict=True):
            here, there = pair(image, *shift)
            out, _ = pair(plane, *shift)
            for band_here, band_there in zip(here, there, strict=True):
                out.addcmul_(band_here, band_there)
            scale_here, scale_there = pair(own_scale, *shift)
            out.mul_(scale_here).mul_(scale_there).clamp_(min=0)
    return similarity


def count_pairs(features: Tensor, valid: Bool[Tensor, "b h w"] | None) -> Int64[Tensor, ""]:
    """How many ordered pairs of valid neighbours there are, as a 0-d int64 tensor."""
    if valid is None:
        valid = torch.ones((), dtype=torch.bool, device=features.device).expand(features[:, 0].shape)
    views = (pair(valid, *shift) for shift in SHIFTS)
    return 2 * torch.stack([(here & there).sum() for here, there in views]).sum()
