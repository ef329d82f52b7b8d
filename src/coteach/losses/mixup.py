"""Mixup (Zhang et al. 2018): each item learns to be a little of another one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from coteach.data.keyed import stable_seed
from coteach.selection.ties import tie_order


class Mixing(NamedTuple):
    """Which items are mixed, and how.

    Args:
        partner: ``(B,)`` int64, the position of each item's other one.
        share: of the item itself, in [0.5, 1].
    """

    partner: Tensor
    share: float

    def of(self, values: Shaped[Tensor, "b ..."]) -> Shaped[Tensor, "b ..."]:
        """``l·x_i + (1 − l)·x_partner(i)``."""
        return self.share * values + (1 - self.share) * values[self.partner]


def draw_mixing(
    items: Int64[Tensor, " b"], alpha: float, *, seed: int, step: int, stream: str = ""
) -> Mixing:
    """Who is mixed with whom, and in which shares, keyed on (seed, stream, step, item).

    The items are put in an order by hash and each is mixed with the next one: no item with itself, and the pairs do
    not depend on the order of the batch. ``l = max(l', 1 − l')`` with ``l'`` from Beta(alpha, alpha) (MixMatch, Berthelot et
    al. 2019), so that an item stays more itself than the other.

    Args:
        items: ``(B,)`` identity of each item.
        alpha: > 0; 0 mixes nothing.
        seed: seed of the run.
        step: counter of the batch.
        stream: tells apart several draws of one step.
    """
    key = stable_seed(seed, "mixup", stream)
    order = torch.argsort(tie_order(items, key, step), stable=True)
    partner = torch.empty_like(order)
    partner[order] = order.roll(-1)
    if alpha == 0:
        return Mixing(partner, 1.0)
    share = np.random.default_rng(stable_seed(key, step)).beta(alpha, alpha)
    return Mixing(partner, float(max(share, 1 - share)))
