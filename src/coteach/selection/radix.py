"""Radix select: the smallest items of every group without sorting them all. For the CPU: shapes depend on the data.

A histogram of the leading bits of the keys, one row a group, finds the bin in which each group's quota is reached.
Bins before it are taken whole, bins after it are left; only items of that bin are looked at again, by their further
bits, then by their hash. Few are left after the first pass, however many items there are, unless they are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int32, Int64, UInt8
from torch import Tensor

_SORT_AT_ONCE = 1 << 12  # items; fewer are sorted
_BINS = 1 << 18  # of all rows of a histogram: it stays in the processor's cache
_LEAVE, _TAKE, _LOOK_CLOSER = 0, 1, 2


def narrow_down(
    key: Int32[Tensor, " n"],
    slots: Int32[Tensor, " n"],
    quota: Int64[Tensor, " g"],
    ties: Callable[[Tensor], Tensor],
) -> Bool[Tensor, " n"]:
    """Mark the ``quota`` smallest of every group.

    Args:
        key: ``(N,)`` int32 to rank by.
        slots: ``(N,)`` int32, the group of every item, or G for none.
        quota: ``(G,)`` int64, at most as many as the group has.
        ties: positions of items -> non-negative int32 keys that rank items of equal ``key``; if these are equal too,
            the earlier position is the smaller.

    Returns:
        ``(N,)`` bool.
    """
    found, items, by_hash = torch.zeros(len(key), dtype=torch.bool), None, False
    while len(key) > _SORT_AT_ONCE:
        bins = _Bins.of(key, len(quota))
        verdict, quota = _judge(bins, key, slots, quota)
        if items is None:
            torch.eq(verdict, _TAKE, out=found)
        else:
            found[items[verdict == _TAKE]] = True
        closer = (verdict == _LOOK_CLOSER).nonzero()[:, 0]
        items = closer if items is None else items[closer]
        key, slots = key[closer], slots[closer]
        if bins.shift:
            key &= (1 << bins.shift) - 1
        elif by_hash:
            break  # equal hashes: positions decide
        else:
            key, by_hash = ties(items), True
    chosen = _untied_choice(key, slots, int(quota[0])) if len(quota) == 1 else None
    if items is None:
        items = torch.arange(len(key))
    if chosen is None:
        chosen = _sorted_choice(key, slots, quota, None if by_hash else ties(items))
    found[items[chosen]] = True
    return found


class _Bins(NamedTuple):
    """How keys are cut into bins: ``(key >> shift) - first`` in [0, width), one row of them a group."""

    shift: int
    first: int
    width: int

    @classmethod
    def of(cls, key: Int32[Tensor, " n"], groups: int) -> _Bins:
        """The finest bins whose rows are no more than ``_BINS`` together."""
        low, high = (int(end) for end in key.aminmax())
        shift = max(0, ((high - low) * (groups + 1) // _BINS).bit_length())
        return cls(shift, low >> shift, (high >> shift) - (low >> shift) + 1)


def _judge(
    bins: _Bins, key: Int32[Tensor, " n"], slots: Int32[Tensor, " n"], quota: Int64[Tensor, " g"]
) -> tuple[UInt8[Tensor, " n"], Int64[Tensor, " g"]]:
    """What becomes of every item; and how many of those to look closer at are still to be taken."""
    groups = len(quota)
    place = (key >> bins.shift).sub_(bins.first).add_(slots, alpha=bins.width)
    counts = torch.bincount(place, minlength=(groups + 1) * bins.width)
    counts = counts[: groups * bins.width].view(groups, bins.width)
    reached = counts.cumsum(1)
    edge = (reached < quota[:, None]).sum(1, keepdim=True)  # the bin in which the quota is reached
    there = counts.gather(1, edge)[:, 0]
    rest = quota - (reached.gather(1, edge)[:, 0] - there)
    verdict = torch.zeros((groups + 1) * bins.width, dtype=torch.uint8)
    rows = verdict[: groups * bins.width].view(groups, bins.width)
    rows.copy_(torch.arange(bins.width) < edge)
    whole, part = rest == there, (rest > 0) & (rest < there)
    rows.scatter_(1, edge, (whole * _TAKE + part * _LOOK_CLOSER).to(torch.uint8)[:, None])
    return verdict.index_select(0, place), rest * part


def _untied_choice(
    key: Int32[Tensor, " n"], slots: Int32[Tensor, " n"], quota: int
) -> Bool[Tensor, " n"] | None:
    """The same for few items of one group, if no tie is to be broken: a quarter of the time. Else None."""
    of_group = slots == 0
    if quota == 0:
        return torch.zeros_like(of_group)
    ranked = key[of_group].sort().values
    last = ranked[quota - 1]
    if quota < len(ranked) and bool(ranked[quota] == last):
        return None
    return of_group & (key <= last)


def _sorted_choice(
    key: Int32[Tensor, " n"],
    slots: Int32[Tensor, " n"],
    quota: Int64[Tensor, " g"],
    ties: Int32[Tensor, " n"] | None,
) -> Bool[Tensor, " n"]:
    """The same for few items, by sorting them."""
    order = torch.arange(len(key)) if ties is None else torch.argsort(ties, stable=True)
    order = order[torch.argsort(key[order], stable=True)]
    order = order[torch.argsort(slots[order], stable=True)]
    groups = len(quota)
    of_group = slots[order].long()
    size = torch.bincount(of_group, minlength=groups + 1)
    rank = torch.arange(len(order)) - (size.cumsum(0) - size)[of_group]
    chosen = torch.zeros(len(key), dtype=torch.bool)
    chosen[order] = rank < torch.cat([quota, quota.new_zeros(1)])[of_group]
    return chosen
