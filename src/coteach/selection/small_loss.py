"""Losses -> which items to learn from.

Items may have any shape: images ``(N,)``, pixels ``(B, H, W)``. They are ranked by their plain loss; weights
belong into the loss that is minimised, never into the ranking, or majority classes and high weights win.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from coteach.data.sending import sent
from coteach.errors import OptionError
from coteach.selection.ranking import take_smallest
from coteach.selection.schedules import check_share
from coteach.selection.whole_batch import gather_items
from coteach.types import Selection


def select_small_loss(
    losses: Float[Tensor, "*items"],
    forget_rate: float | Float[Tensor, " g"],
    *,
    group: Int[Tensor, "*items"] | None = None,
    num_groups: int | None = None,
    eligible: Bool[Tensor, "*items"] | None = None,
    seed: int = 0,
    step: int = 0,
    sync: bool = False,
) -> Selection:
    """Keep the ``1 - R`` share of items with the smallest loss, in each group by itself.

    Co-teaching ranks the whole batch (Han et al. 2018, algorithm 1: no ``group``); the class-balanced form
    takes the class as group (Xiao et al. 2026, eq. 9), so that rare and difficult classes keep their share.

    Args:
        losses: the plain loss of every item, any shape and float type; NaN ranks last.
        forget_rate: ``R`` in [0, 1), the share of each group that is left out; a tensor ``(G,)`` gives each group
            its own (its values are not checked: that would make the host wait for the device).
        group: the group of every item, integers in [0, G), shaped like ``losses``; None means one group.
        num_groups: ``G``; required with ``group``.
        eligible: bool, shaped like ``losses``: the items to choose from. Others are neither counted nor kept.
        seed: seed of the run, for ties.
        step: counter of the batch, for ties.
        sync: rank the items of all processes together (DDP), as one process on the whole batch would.

    Returns:
        The selection: exactly ``max(1, floor((1 - R) n + 1e-6))`` of the ``n`` eligible items of each group.

    Raises:
        OptionError: ``forget_rate`` is outside [0, 1), or ``group`` comes without ``num_groups``.

    Example:
        >>> select_small_loss(torch.tensor([0.2, 3.0, 0.1, 0.4]), 0.5).mask
        tensor([ True, False,  True, False])
    """
    if group is not None and num_groups is None:
        raise OptionError("num_groups", "missing although group is given", "give the number of groups")
    groups = num_groups or 1
    # 1e-6 undoes the rounding of 1 - R: (1 - 0.3)·10 must keep 7, not 6
    return choose_smallest(
        losses,
        item_slots(losses, group, groups, eligible),
        _kept_share(forget_rate, groups, losses.device),
        slack=1e-6,
        minimum=1,
        seed=seed,
        step=step,
        sync=sync,
    )


def _kept_share(
    forget_rate: float | Float[Tensor, " g"], groups: int, device: torch.device
) -> Float64[Tensor, " g"]:
    if isinstance(forget_rate, Tensor):
        if forget_rate.shape != (groups,):
            cause = f"has the shape {tuple(forget_rate.shape)} for {groups} groups"
            raise OptionError("forget_rate", cause, "give one rate a group")
        return 1 - sent(forget_rate, device).double()
    check_share("forget_rate", forget_rate, below_one=True)
    return torch.full((groups,), 1 - forget_rate, dtype=torch.float64, device=device)


def item_slots(
    items: Float[Tensor, "*items"],
    group: Int[Tensor, "*items"] | None,
    num_groups: int,
    eligible: Bool[Tensor, "*items"] | None,
) -> Int[Tensor, " n"]:
    """``(N,)`` int32: the group of every item, ``num_groups`` for those that take no part."""
    if group is None:
        slots = torch.zeros(items.shape, dtype=torch.int32, device=items.device)
    else:
        slots = group.to(torch.int32)
    if (
        eligible is not None
    ):  # arithmetic is several times faster than masked_fill where the mask is irregular
        slots = num_groups + (slots - num_groups) * eligible
    return slots.reshape(-1)


def choose_smallest(
    values: Float[Tensor, "*items"],
    slots: Int[Tensor, " n"],
    share: Float64[Tensor, " g"],
    *,
    slack: float,
    minimum: int,
    seed: int,
    step: int,
    sync: bool,
) -> Selection:
    """``take_smallest`` for items of any shape, over this process's batch or over that of all processes.

    Args:
        values: what to rank by, any shape.
        slots: ``(N,)`` the group of every item, G for none.
        share: ``(G,)`` which part of each group to take.
        slack: see ``take_smallest``.
        minimum: see ``take_smallest``.
        seed: see ``take_smallest``.
        step: see ``take_smallest``.
        sync: rank the items of all processes together.

    Returns:
        The selection of this process's items; the counts are of all items that were ranked.
    """
    flat, own = values.detach().reshape(-1), slice(None)
    if sync:
        (flat, slots), own = gather_items(flat, slots)
    mask, kept, size = take_smallest(flat, slots, share, slack=slack, minimum=minimum, seed=seed, step=step)
    return Selection(mask=mask[own].reshape(values.shape), count=kept.sum(), eligible=size.sum())
