"""How many labels are wrong, estimated from the losses that training sees anyway: nothing has to be scanned.

The losses of an epoch are kept as they pass (a bounded sample of them where items are pixels). When the next epoch
begins, the mixture of :mod:`coteach.selection.mixture` says how likely each is that of a wrong label; their mean is
the noise rate, of all items and of each class.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from coteach.selection.mixture import clean_probability
from coteach.selection.ties import tie_order
from coteach.selection.whole_batch import gather_items

_LEAST = 32  # losses; fewer say nothing
_HIGHEST = 0.9  # rate: something has to be left to learn from
# A label that the network gives more than half of its probability is not wrong in its eyes, whichever of the two
# normal distributions its loss belongs to: of labels that are all right, one half is always fitted less well.
_BELIEVED = math.log(2)


class NoiseRate(nn.Module):
    """Running estimate of the share of wrong labels; all of it is in the ``state_dict``.

    Args:
        num_classes: ``C``.
        capacity: losses that are remembered, the latest ones.
        per_batch: at most as many are taken from a batch.

    Attributes:
        overall: ``(1,)`` float64, the share of wrong labels; 0 until an epoch has been seen.
        by_class: ``(C,)`` the share among the items labelled with each class.
    """

    overall: Tensor
    by_class: Tensor
    losses: Tensor
    labels: Tensor
    seen: Tensor
    epoch: Tensor

    def __init__(self, num_classes: int, *, capacity: int = 1 << 16, per_batch: int = 1024) -> None:
        super().__init__()
        self.per_batch = min(per_batch, capacity)
        self.register_buffer("overall", torch.zeros(1, dtype=torch.float64))
        self.register_buffer("by_class", torch.zeros(num_classes, dtype=torch.float64))
        self.register_buffer("losses", torch.full((capacity,), torch.nan))
        self.register_buffer("labels", torch.zeros(capacity, dtype=torch.int64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))

    def observe(
        self,
        losses: Float[Tensor, "*items"],
        label: Int[Tensor, "*items"],
        valid: Bool[Tensor, "*items"],
        *,
        seed: int = 0,
        step: int = 0,
    ) -> None:
        """Remember the losses of a batch; with one process the host does not wait for the device.

        Args:
            losses: plain losses, any shape; of two networks, their mean.
            label: class of every item.
            valid: which items have a label.
            seed: seed of the run, for which items are taken of a large batch.
            step: counter of the batch, for the same.
        """
        flat = torch.where(valid, losses.detach().float(), torch.nan).reshape(-1)
        codes = label.reshape(-1).long()
        if len(flat) > self.per_batch:
            drawn = torch.arange(self.per_batch, device=flat.device)
            drawn = tie_order(drawn, seed, step) % len(flat)
            flat, codes = flat[drawn], codes[drawn]
        (flat, codes), _ = gather_items(flat, codes)  # buffers are the same in all processes
        place = (self.seen + torch.arange(len(flat), device=flat.device)) % len(self.losses)
        self.losses[place] = flat
        self.labels[place] = codes
        self.seen += len(flat)

    def begin_epoch(self, epoch: int) -> None:
        """Estimate from the epoch before, and forget its losses.

        Called again for the same epoch, as when a run is resumed within it, nothing changes.

        Args:
            epoch: that begins, >= 0.
        """
        if int(self.epoch) == epoch:
            return
        self.epoch.fill_(epoch)
        known = ~self.losses.isnan()
        if int(known.sum()) >= _LEAST:
            self._estimate(self.losses[known], self.labels[known])
        self.losses.fill_(torch.nan)
        self.seen.zero_()

    def _estimate(self, losses: Float[Tensor, " n"], labels: Int[Tensor, " n"]) -> None:
        wrong = torch.where(losses > _BELIEVED, 1 - clean_probability(losses), 0.0).double()
        self.overall.fill_(wrong.mean()).clamp_(max=_HIGHEST)
        total = torch.zeros_like(self.by_class).index_add_(0, labels, wrong)
        count = torch.zeros_like(self.by_class).index_add_(0, labels, torch.ones_like(wrong))
        self.by_class.copy_(torch.where(count > 0, total / count.clamp(min=1), self.overall)).clamp_(
            max=_HIGHEST
        )
