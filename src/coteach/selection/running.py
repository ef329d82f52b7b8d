"""Confidence -> which items may be used, judged by the whole training set instead of one batch."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from coteach.selection.schedules import check_share
from coteach.selection.ties import tie_order
from coteach.selection.whole_batch import mean_over_processes
from coteach.types import Selection

_DRAW_BITS = 53  # what a double holds


class RunningConfidence(nn.Module):
    """Admits items against the distribution of confidence in the whole training set, estimated as batches pass.

    A batch of cloudy tiles then gives fewer items than one of clear tiles. The estimate is a histogram that
    remembers older batches with a weight of ``momentum``; it is part of the ``state_dict``.

    Args:
        momentum: weight of what was known before, in [0, 1); the first batch counts whole.
        bins: of the histogram over [0, 1].

    Raises:
        OptionError: ``momentum`` is no such share.
    """

    histogram: Tensor

    def __init__(self, momentum: float = 0.99, bins: int = 1024) -> None:
        super().__init__()
        self.momentum = check_share("momentum", momentum, below_one=True)
        self.bins = bins
        self.register_buffer("histogram", torch.zeros(bins, dtype=torch.float64))

    def admit(
        self,
        confidence: Float[Tensor, "*items"],
        share: float,
        *,
        valid: Bool[Tensor, "*items"] | None = None,
        seed: int = 0,
        step: int = 0,
        sync: bool = False,
    ) -> Selection:
        """Count the batch into the estimate, and keep its items that belong to the set's ``share`` of highest confidence.

        Of the bin in which the threshold lies the right part is kept, by a hash of (seed, step, item).

        Args:
            confidence: in [0, 1], any shape. Items of confidence 0 are neither counted nor kept.
            share: ``P_e`` in [0, 1].
            valid: bool; other items are neither counted nor kept.
            seed: seed of the run.
            step: counter of the batch.
            sync: count the batches of all processes.

        Returns:
            The selection; its share of this batch may be anything, over the set it is ``share``.

        Raises:
            OptionError: ``share`` is outside [0, 1].
        """
        check_share("share", share)
        flat = confidence.detach().reshape(-1).float()
        eligible = flat > 0 if valid is None else (flat > 0) & valid.reshape(-1)
        place = (flat * self.bins).long().clamp(0, self.bins - 1)
        self._count(place, eligible, sync=sync)
        above = self.histogram.flip(0).cumsum(0).flip(0) - self.histogram  # of the bins over each
        wanted = share * self.histogram.sum()
        part = ((wanted - above) / self.histogram.clamp(min=1e-12)).clamp(0, 1)  # of each bin: 1, a part, 0
        items = torch.arange(len(flat), device=flat.device)
        draw = tie_order(items, seed, step, _DRAW_BITS).double() / (1 << _DRAW_BITS)
        mask = eligible & (draw < part[place])
        return Selection(mask=mask.reshape(confidence.shape), count=mask.sum(), eligible=eligible.sum())

    def _count(self, place: Int64[Tensor, " n"], eligible: Bool[Tensor, " n"], *, sync: bool) -> None:
        batch = torch.zeros_like(self.histogram).scatter_add_(0, place, eligible.double())
        if sync:
            batch = mean_over_processes(batch)
        share = batch / batch.sum().clamp(min=1e-12)
        known, any_new = self.histogram.sum() > 0, batch.sum() > 0
        kept = torch.where(known, self.momentum, 0.0) * self.histogram
        update = kept + torch.where(known, 1 - self.momentum, 1.0) * share
        self.histogram.copy_(torch.where(any_new, update, self.histogram))
