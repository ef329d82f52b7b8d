"""Losses of a batch -> which items to learn from, judged class by class against the losses of many batches, not of one.

Of 128 images some 13 are of one class, and how many of their labels are wrong varies from batch to batch. The share of a class *of the
batch* (:mod:`coteach.selection.small_loss`) is therefore too many once and too few the next time; the share of the whole
batch is not, but drops the classes that are few or difficult. Here each class has a window on its latest losses, and an item is kept
if its loss is among the small ones of the window: the share holds over some batches, not within each. Losses fall while networks
learn, so a window never reaches back further than one epoch: a small class is judged by its items' last losses.

Shape legend: ``N`` items of a batch, ``C`` classes, ``M`` losses that a window holds.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from torch import Tensor, nn

from coteach.data.sending import sent
from coteach.selection.ties import tie_order
from coteach.selection.whole_batch import gather_items
from coteach.types import Selection

WINDOW = 256  # losses of each class
_DRAW_BITS = 53  # what a double holds


class RecentLosses(nn.Module):
    """The latest losses of each class by one network; all of it is in the ``state_dict``.

    Several processes together have one: the items of all of them are remembered.

    Args:
        num_classes: ``C``.
        size: ``M``.

    Attributes:
        losses: ``(C, M)`` float32; infinite where there is none yet.
        noted: ``(C, M)`` int64, the batch that each is of.
        place: ``(C,)`` int64 in [0, M), where the next loss of a class goes.
        begun: ``(2,)`` int64, the first batch of this epoch and of the one before; -1 where there was none.
        epoch: 0-d int64, the epoch of the last batch.
    """

    losses: Tensor
    noted: Tensor
    place: Tensor
    begun: Tensor
    epoch: Tensor

    def __init__(self, num_classes: int, size: int = WINDOW) -> None:
        super().__init__()
        self.register_buffer("losses", torch.full((num_classes, size), torch.inf))
        self.register_buffer("noted", torch.zeros(num_classes, size, dtype=torch.int64))
        self.register_buffer("place", torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("begun", torch.full((2,), -1))
        self.register_buffer("epoch", torch.tensor(-1))

    def select(
        self,
        losses: Float[Tensor, " n"],
        label: Int[Tensor, " n"],
        forget_rate: float | Float[Tensor, " c"],
        *,
        eligible: Bool[Tensor, " n"],
        epoch: float,
        step: int,
        seed: int = 0,
    ) -> Selection:
        """Remember the batch, and keep its items whose loss is among the smallest that are remembered of their class.

        Of ``n`` remembered these are ``max(1, floor((1 - R) n + 1e-6))``. Which of equal losses belong to them is drawn by a hash
        of (seed, step, item), so that of a class of equal losses the share is kept as well.

        Args:
            losses: plain losses; one that is no finite number is neither remembered nor kept.
            label: class of every item, 0 to ``C - 1``.
            forget_rate: ``R`` in [0, 1), of all classes or of each.
            eligible: the items to choose from; others are neither remembered nor kept.
            epoch: current epoch.
            step: counter of the batch, over all epochs.
            seed: seed of the run.

        Returns:
            The selection of this process's items: of a batch any share, over many ``1 - R`` of each class.
        """
        (flat, group, there), own = gather_items(losses.detach().float(), label.long(), eligible)
        there = there & flat.isfinite()
        self._remember(flat, group, there, step)
        window = torch.where(self._lately(int(epoch), step), self.losses, torch.inf)[group]
        smaller = (window < flat[:, None]).sum(1)
        equal = (window == flat[:, None]).sum(1)
        known = window.isfinite().sum(1)
        item = torch.arange(len(flat), device=flat.device)
        draw = tie_order(item, seed, step, _DRAW_BITS).double() / (1 << _DRAW_BITS)
        # as many as select_small_loss takes
        wanted = (self._kept_share(forget_rate)[group] * known + 1e-6).floor().clamp(min=1)
        mask = there & (smaller + draw * equal < wanted)
        return Selection(mask=mask[own], count=mask.sum(), eligible=there.sum())

    def _kept_share(self, forget_rate: float | Float[Tensor, " c"]) -> Float64[Tensor, " c"]:
        if isinstance(forget_rate, Tensor):
            return 1 - sent(forget_rate, self.losses.device).double().expand(len(self.losses))
        return self.losses.new_full((len(self.losses),), 1 - forget_rate, dtype=torch.float64)

    def _lately(self, epoch: int, step: int) -> Bool[Tensor, "c m"]:
        """Which losses are no older than an epoch is long, as far as one has passed."""
        first = torch.stack([torch.full_like(self.epoch, step), self.begun[0]])
        self.begun.copy_(torch.where(self.epoch == epoch, self.begun, first))
        self.epoch.fill_(epoch)
        earliest = step - (self.begun[0] - self.begun[1])
        return (self.noted > earliest) | (self.begun[1] < 0)

    def _remember(
        self, losses: Float[Tensor, " n"], label: Int64[Tensor, " n"], there: Bool[Tensor, " n"], step: int
    ) -> None:
        """Write each loss over the oldest of its class; of a class with more than ``M`` the last ``M``."""
        classes, size = self.losses.shape
        slot = torch.where(there, label, classes)
        order = slot.argsort(stable=True)
        count = torch.zeros(classes + 1, dtype=torch.int64, device=slot.device)
        count.scatter_add_(0, slot, torch.ones_like(slot))
        group = slot[order]
        rank = torch.arange(len(slot), device=slot.device) - (count.cumsum(0) - count)[group]
        written = (group < classes) & (rank >= count[group] - size)
        place = torch.cat([self.place, self.place.new_zeros(1)])
        target = torch.where(written, group * size + (place[group] + rank) % size, classes * size)
        for table, new in ((self.losses, losses[order]), (self.noted, torch.full_like(slot, step))):
            longer = torch.cat([table.flatten(), table.new_zeros(1)]).scatter_(0, target, new)
            table.copy_(longer[:-1].view(classes, size))
        self.place.copy_((self.place + count[:-1]) % size)
