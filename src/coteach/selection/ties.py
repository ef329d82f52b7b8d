"""Which of equal items comes first: nobody's choice, and the same in every repetition."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

# Multipliers of the SplitMix64 finaliser (Steele, Lea & Flood 2014) as signed 64-bit integers.
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MASK_63 = (1 << 63) - 1


def tie_order(items: Int64[Tensor, " n"], seed: int, step: int, bits: int = 63) -> Int64[Tensor, " n"]:
    """Pseudo-random, reproducible order of items for breaking ties: a hash of (seed, step, item).

    Args:
        items: ``(N,)`` int64, the identity of each item.
        seed: seed of the run.
        step: counter of the batch; another batch breaks the same tie another way.
        bits: length of the hash, 1 to 63.

    Returns:
        ``(N,)`` int64 in [0, 2^bits), distinct for distinct items up to hash collisions.
    """
    key = torch.full((), (seed * 1_000_003 + step) & _MASK_63, dtype=torch.int64, device=items.device)
    return _shift_right(_mix(_mix(key) + items * _GOLDEN), 64 - bits)


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64: ``>>`` alone would copy the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift_right(x, 30)) * _MIX_1
    x = (x ^ _shift_right(x, 27)) * _MIX_2
    return x ^ _shift_right(x, 31)
