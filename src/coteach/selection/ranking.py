"""The smallest items of every group: exactly as many as asked for, ties broken without bias.

One operator, ``coteach::take_smallest``, with two implementations that take the same items. On accelerators all
items are sorted by one packed key: the shapes do not depend on the data, so the host never waits. On the CPU
``selection.radix`` needs a few passes only.

``N`` is the number of items, ``G`` the number of groups. Group ``G`` is the place of items that take no part.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from torch import Tensor

from coteach.selection.radix import narrow_down
from coteach.selection.ties import tie_order

_VALUE_BITS = 32  # of a float32
_SCHEMA = (
    "(Tensor values, Tensor slots, Tensor share, float slack, int minimum, int seed, int step)"
    " -> (Tensor, Tensor, Tensor)"
)


def take_smallest(
    values: Float[Tensor, " n"],
    slots: Int[Tensor, " n"],
    share: Float64[Tensor, " g"],
    *,
    slack: float,
    minimum: int,
    seed: int,
    step: int,
) -> tuple[Bool[Tensor, " n"], Int64[Tensor, " g"], Int64[Tensor, " g"]]:
    """The ``k`` items of smallest value in every group of ``n``: ``k = max(minimum, floor(share·n + slack))``.

    Args:
        values: ``(N,)`` what to rank by; NaN ranks last. Half precision is ranked as float32.
        slots: ``(N,)`` integer, the group of every item in [0, G), or G for items that take no part.
        share: ``(G,)`` float64, which part of each group to take.
        slack: added before rounding down: 0.5 rounds to the nearest, 1e-6 undoes the rounding of the share.
        minimum: taken at least, as far as there are as many.
        seed: seed of the run, for ties.
        step: counter of the batch, for ties.

    Returns:
        ``(N,)`` bool, True for what was taken; ``(G,)`` int64 each, ``k`` and ``n`` of every group.
    """
    if values.dtype != torch.float64:
        values = values.float()
    chosen: tuple[Tensor, Tensor, Tensor] = _take_smallest(
        values.detach(), slots.int(), share, slack, minimum, seed, step
    )
    return chosen


def by_sorting(
    values: Tensor, slots: Tensor, share: Tensor, slack: float, minimum: int, seed: int, step: int
) -> tuple[Tensor, Tensor, Tensor]:
    """All items in order of (group, value, hash, position); for any device and float type."""
    groups = len(share)
    order = _order(values, slots, groups, seed, step)
    of_group = slots[order].long()
    start = torch.searchsorted(of_group, torch.arange(groups + 1, device=values.device))
    size = start.diff()
    quota = _quota(size, share, slack, minimum)
    rank = torch.arange(len(order), device=values.device) - start[of_group]
    taken = rank < torch.cat([quota, torch.zeros_like(start[:1])])[of_group]
    return torch.empty_like(taken).scatter_(0, order, taken), quota, size


def by_radix(
    values: Tensor, slots: Tensor, share: Tensor, slack: float, minimum: int, seed: int, step: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The same for the CPU."""
    if values.dtype == torch.float64:  # twice as many bits: for checks of gradients, not for speed
        return by_sorting(values, slots, share, slack, minimum, seed, step)
    groups = len(share)
    size = torch.bincount(slots, minlength=groups + 1)[:groups]
    quota = _quota(size, share, slack, minimum)
    bits = _hash_bits(groups)
    found = narrow_down(
        _ordered_bits(values), slots, quota, lambda items: tie_order(items, seed, step, bits).int()
    )
    return found, quota, size


def _shapes(values: Tensor, slots: Tensor, share: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG001 -- as the others
    count = torch.empty_like(share, dtype=torch.int64)
    return torch.empty_like(values, dtype=torch.bool), count, torch.empty_like(count)


_take_smallest = torch.library.custom_op(
    "coteach::take_smallest", by_sorting, mutates_args=(), schema=_SCHEMA
)
_take_smallest.register_kernel("cpu")(by_radix)
_take_smallest.register_fake(_shapes)


def _quota(
    size: Int64[Tensor, " g"], share: Float64[Tensor, " g"], slack: float, minimum: int
) -> Int64[Tensor, " g"]:
    wanted = torch.floor(share * size.double() + slack).long().clamp(min=minimum)
    return torch.minimum(wanted, size)


def _ordered_bits(values: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
    """float32 -> int32 of the same order; NaN last, -0.0 equal to 0.0."""
    bits = values.contiguous().view(torch.int32)
    if bits.device.type == "cpu" and (not len(bits) or int(bits.amin()) >= 0):
        return bits  # neither negative, nor -0.0, nor a NaN with a sign: the bits are in order as they are
    bits = torch.where(
        bits < 0, bits ^ 0x7FFFFFFF, bits
    )  # of negative floats the larger magnitude is the smaller
    bits = torch.where(values == 0, 0, bits)
    return torch.where(values.isnan(), 0x7FFFFFFF, bits)


def _hash_bits(num_groups: int) -> int:
    """What remains of a key of 63 bits beside the group and the value."""
    return 63 - _VALUE_BITS - num_groups.bit_length()


def _order(values: Tensor, slots: Tensor, groups: int, seed: int, step: int) -> Int64[Tensor, " n"]:
    bits = _hash_bits(groups)
    ties = tie_order(torch.arange(len(values), device=values.device), seed, step, bits)
    if values.dtype == torch.float64:  # does not fit into one key beside the others
        order = torch.argsort(ties, stable=True)
        order = order[torch.argsort(values[order], stable=True)]
        return order[torch.argsort(slots[order], stable=True)]
    key = _ordered_bits(values).long() + (1 << (_VALUE_BITS - 1))
    return torch.argsort((((slots.long() << _VALUE_BITS) | key) << bits) | ties, stable=True)
