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
    if reduction not in ("mean", "sum"):
        raise OptionError("reduction", f"{reduction!r} is unknown", "use 'mean' or 'sum'")
    total = neighborhood_sum(logits, neighbor_similarity(features_for(logits, features), valid))
    return total if reduction == "sum" else per_pair(total, features, valid)


def features_for(logits: Float[Tensor, "b c h w"], features: Tensor) -> Tensor:
    """The features in the precision that the logits need.

    Raises:
        InputError: they differ in size from the logits.
    """
    if features.shape[-2:] != logits.shape[-2:]:
        raise InputError(
            "features",
            f"size {tuple(features.shape[-2:])} is not that of the logits {tuple(logits.shape[-2:])}",
            "resample the features to the logits",
        )
    return features.double() if logits.dtype == torch.float64 else features.float()


def per_pair(
    total: Float[Tensor, ""], features: Tensor, valid: Tensor | None, *, sync: bool = False
) -> Float[Tensor, ""]:
    """A sum over ordered pairs of neighbours -> their mean; 0 if there is no pair.

    Args:
        total: the sum.
        features: of the images, for their size.
        valid: which pixels count; None means all.
        sync: divide by the mean number of pairs of all processes (DDP), as one process on the whole batch would.
    """
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
    similarity = features.new_zeros(len(features), len(SHIFTS), *features.shape[-2:])
    for number, target in enumerate(similarity):  # image by image: one fits the processor's cache
        image = features[number]
        if valid is not None:  # a vector of zeros is similar to nothing
            image = torch.where(valid[number], image, 0.0)
        own_scale = image.square().sum(0).sqrt_().clamp_(min=_SMALLEST_NORM).reciprocal_()
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
