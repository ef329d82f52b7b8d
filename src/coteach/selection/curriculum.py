"""Confidence -> which items may be used at this epoch (Xiao et al. 2026, eq. 6-8)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from coteach.errors import OptionError
from coteach.selection.schedules import check_share, ramp
from coteach.selection.small_loss import choose_smallest, item_slots
from coteach.types import Selection


def retain_most_confident(
    confidence: Float[Tensor, "*items"],
    share: float,
    *,
    valid: Bool[Tensor, "*items"] | None = None,
    per_image: bool = False,
    seed: int = 0,
    step: int = 0,
    sync: bool = False,
) -> Selection:
    """Keep the ``share`` of items with the highest confidence, however many of them are equal.

    A threshold at a percentile keeps nothing, or everything, where confidences tie; here the count is exact
    and a tie at the border is broken by a hash of (seed, step, item).

    Args:
        confidence: the items' confidence (W_conf), any shape, >= 0. Items of confidence 0 are never kept.
        share: ``P_e`` in [0, 1] of the valid items of positive confidence.
        valid: bool, shaped like ``confidence``; other items are neither counted nor kept.
        per_image: keep the share of each image, the entries along the first axis, by itself.
        seed: seed of the run, for ties.
        step: counter of the batch, for ties.
        sync: rank the items of all processes together (DDP), as one process on the whole batch would.

    Returns:
        The selection; its count is within half an item of ``share`` times the eligible items (of each image).

    Raises:
        OptionError: ``share`` is outside [0, 1], or ``sync`` comes with ``per_image``, which needs no exchange.
    """
    check_share("share", share)
    if sync and per_image:
        raise OptionError("sync", "has no meaning within single images", "leave one of the two out")
    confidence = confidence.detach()
    eligible = confidence > 0 if valid is None else (confidence > 0) & valid
    groups, image = 1, None
    if per_image:
        groups = len(confidence)
        image = torch.arange(groups, device=confidence.device, dtype=torch.int32)
        image = image.view(-1, *[1] * (confidence.ndim - 1)).expand(confidence.shape)
    return choose_smallest(
        -confidence,
        item_slots(confidence, image, groups, eligible),
        torch.full((groups,), share, dtype=torch.float64, device=confidence.device),
        slack=0.5,
        minimum=0,
        seed=seed,
        step=step,
        sync=sync,
    )


class CurriculumScheduler:
    """The epoch's retention and forget rates, and the mask that follows from a confidence map.

    ``P_e = min(P_start + e / E_warm · (P_end − P_start), P_end)`` (eq. 6); the forget rate rises from 0 to
    ``forget_end`` over the same epochs.

    Args:
        e_warm: epochs until both rates reach their end, >= 0.
        p_start: share of the items admitted at epoch 0, in [0, 1].
        p_end: share admitted from epoch ``e_warm`` on, in [0, 1].
        forget_end: forget rate from epoch ``e_warm`` on, in [0, 1).
        seed: decides between items of equal confidence.

    Raises:
        OptionError: a rate is no share, or ``e_warm`` is negative.

    Example:
        >>> round(CurriculumScheduler().retention_rate(10), 3)
        0.725
    """

    def __init__(
        self,
        e_warm: float = 20,
        p_start: float = 0.5,
        p_end: float = 0.95,
        *,
        forget_end: float = 0.3,
        seed: int = 0,
    ) -> None:
        self.e_warm = e_warm
        self.p_start = check_share("p_start", p_start)
        self.p_end = check_share("p_end", p_end)
        self.forget_end = check_share("forget_end", forget_end, below_one=True)
        self.seed = seed
        ramp(0, e_warm, p_start, p_end)  # refuses a negative e_warm now, not at the first epoch

    def retention_rate(self, epoch: float) -> float:
        """``P_e``, the share of items admitted at ``epoch`` (eq. 6)."""
        return ramp(epoch, self.e_warm, self.p_start, self.p_end)

    def forget_rate(self, epoch: float) -> float:
        """``R_e``, the share of the admitted items of each class that is left out at ``epoch``."""
        return ramp(epoch, self.e_warm, 0.0, self.forget_end)

    def curriculum_mask(
        self, w_conf: Float[Tensor, "*items"], epoch: float, *, step: int = 0
    ) -> Float[Tensor, "*items"]:
        """1 for the ``P_e`` share of items with the highest confidence, 0 for the others (eq. 7).

        Args:
            w_conf: confidence, usually ``(B, 1, H, W)``, in [0, 1]; 0 means never.
            epoch: current epoch, >= 0.
            step: counter of the batch, for ties.

        Returns:
            Float mask, shaped and typed like ``w_conf``.
        """
        chosen = retain_most_confident(w_conf, self.retention_rate(epoch), seed=self.seed, step=step)
        return chosen.mask.to(w_conf.dtype)
