"""Exact ranks within groups, ties broken without bias. The one place that sorts.

``N`` is the number of items, ``G`` the number of groups. All of it runs without a host synchronisation.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int64, Shaped
from torch import Tensor

# Multipliers of the SplitMix64 finaliser (Steele, Lea & Flood 2014) as signed 64-bit integers.
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MASK_63 = (1 << 63) - 1


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64: ``>>`` alone would copy the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift_right(x, 30)) * _MIX_1
    x = (x ^ _shift_right(x, 27)) * _MIX_2
    return x ^ _shift_right(x, 31)


def tie_order(items: Int64[Tensor, " n"], seed: int, step: int) -> Int64[Tensor, " n"]:
    """Pseudo-random, reproducible order of items for breaking ties: a hash of (seed, step, item).

    Args:
        items: ``(N,)`` int64, the identity of each item.
        seed: seed of the run.
        step: counter of the batch; another batch breaks the same tie another way.

    Returns:
        ``(N,)`` int64 in [0, 2^63), distinct for distinct items up to hash collisions.
    """
    key = torch.full((), (seed * 1_000_003 + step) & _MASK_63, dtype=torch.int64, device=items.device)
    return _mix(_mix(key) + items * _GOLDEN) & _MASK_63


def rank_in_group(
    values: Shaped[Tensor, " n"],
    group: Int64[Tensor, " n"],
    num_groups: int,
    eligible: Bool[Tensor, " n"],
    ties: Int64[Tensor, " n"],
) -> tuple[Int64[Tensor, " n"], Int64[Tensor, " g"]]:
    """Position of every eligible item among the eligible items of its group, smallest value first.

    Args:
        values: ``(N,)`` what to rank by; NaN ranks last.
        group: ``(N,)`` int64 in [0, G).
        num_groups: ``G``.
        eligible: ``(N,)`` bool; other items take no part.
        ties: ``(N,)`` int64, decides between equal values: the smaller first.

    Returns:
        ``rank`` ``(N,)`` int64, counted from 0, meaningful where ``eligible``, and ``size`` ``(G,)`` int64,
        the number of eligible items of each group.
    """
    # Ineligible items form one more group behind all others, so the shapes do not depend on the data.
    group = torch.where(eligible, group, num_groups)
    order = torch.argsort(ties)
    order = order[torch.argsort(values[order], stable=True)]
    order = order[torch.argsort(group[order], stable=True)]
    # Ineligible items are counted in their own slot too: starts must cover them.
    counts = torch.zeros(num_groups + 1, dtype=torch.int64, device=values.device)
    counts.scatter_add_(0, group, torch.ones_like(group))
    start = counts.cumsum(0) - counts
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=values.device) - start[group[order]]
    return rank, counts[:num_groups]
