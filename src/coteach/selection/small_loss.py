"""Losses -> which items to learn from.

Items may have any shape: images ``(N,)``, pixels ``(B, H, W)``. They are ranked by their plain loss; weights
belong into the loss that is minimised, never into the ranking, or majority classes and high weights win.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from coteach.errors import OptionError
from coteach.selection.ranking import rank_in_group, tie_order
from coteach.selection.schedules import check_share
from coteach.types import Selection


def kept_count(size: Int[Tensor, " g"], forget_rate: float) -> Int[Tensor, " g"]:
    """How many items of each group are kept: ``k = max(1, floor((1 - R) n + 1e-6))``, 0 for an empty group.

    The 1e-6 undoes the rounding of ``1 - R``: (1 - 0.3)·10 must keep 7, not 6.

    Args:
        size: ``(G,)`` integer, items in each group.
        forget_rate: ``R`` in [0, 1].

    Returns:
        ``(G,)`` int64.
    """
    kept = torch.floor((1 - forget_rate) * size.double() + 1e-6).long()
    return torch.where(size > 0, kept.clamp(min=1), 0)


def select_small_loss(
    losses: Float[Tensor, "*items"],
    forget_rate: float,
    *,
    group: Int[Tensor, "*items"] | None = None,
    num_groups: int | None = None,
    eligible: Bool[Tensor, "*items"] | None = None,
    seed: int = 0,
    step: int = 0,
) -> Selection:
    """Keep the ``1 - R`` share of items with the smallest loss, in each group by itself.

    Co-teaching ranks the whole batch (Han et al. 2018, algorithm 1: no ``group``); the class-balanced form
    takes the class as group (Xiao et al. 2026, eq. 9), so that rare and difficult classes keep their share.

    Args:
        losses: the plain loss of every item, any shape; NaN ranks last.
        forget_rate: ``R`` in [0, 1), the share of each group that is left out.
        group: the group of every item, integers in [0, G), shaped like ``losses``; None means one group.
        num_groups: ``G``; required with ``group``.
        eligible: bool, shaped like ``losses``: the items to choose from. Others are neither counted nor kept.
        seed: seed of the run, for ties.
        step: counter of the batch, for ties.

    Returns:
        The selection: exactly ``max(1, floor((1 - R) n + 1e-6))`` of the ``n`` eligible items of each group.

    Raises:
        OptionError: ``forget_rate`` is outside [0, 1), or ``group`` comes without ``num_groups``.

    Example:
        >>> select_small_loss(torch.tensor([0.2, 3.0, 0.1, 0.4]), 0.5).mask
        tensor([ True, False,  True, False])
    """
    check_share("forget_rate", forget_rate, below_one=True)
    if group is not None and num_groups is None:
        raise OptionError("num_groups", "missing although group is given", "give the number of groups")
    flat = losses.detach().reshape(-1)
    everybody = torch.ones_like(flat, dtype=torch.bool) if eligible is None else eligible.reshape(-1)
    groups = torch.zeros_like(flat, dtype=torch.int64) if group is None else group.reshape(-1).long()
    ties = tie_order(torch.arange(len(flat), device=flat.device), seed, step)
    rank, size = rank_in_group(flat, groups, num_groups or 1, everybody, ties)
    kept = kept_count(size, forget_rate)
    mask = everybody & (rank < kept[groups])
    return Selection(mask=mask.reshape(losses.shape), count=kept.sum(), eligible=size.sum())
