"""How many labels are wrong, estimated during training from labels that nobody learns from.

Networks learn wrong labels by heart, so what they say of a label they have learned tells little of it. A tenth of the images,
the same all the time, is therefore held out at first; what the networks say of them as they pass is kept (a bounded sample of it,
also where items are pixels), and before each epoch :mod:`coteach.labels.noise_model` estimates the noise, of all items
and of each class. Later the held out images are learned like all others, and the last estimate stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor, nn

from coteach.labels.noise_model import noise_model
from coteach.selection.noise_trust import enough, warn_of_doubt
from coteach.selection.ties import tie_order
from coteach.selection.whole_batch import as_in_first, gather_items

HELD_OUT = 0.1  # of the images
HIGHEST = 0.9  # rate: something has to be left to learn from
_EARLIEST = 3  # epochs before which networks know too little
_NUMBERS = 1 << 22  # probabilities that an estimate is made of, at most: fewer rows of many classes
_ROWS = 1 << 14
_DRAW = 0x48454C44  # a step that no batch has


def held_out(ids: Int64[Tensor, " b"], seed: int, share: float = HELD_OUT) -> Bool[Tensor, " b"]:
    """Which images are held out, by hash of their ids; those of a smaller share are among those of a larger one.

    Args:
        ids: of the images in the training set.
        seed: of the run.
        share: of all, in [0, 1].
    """
    bits = 20
    return tie_order(ids, seed, _DRAW, bits) < round(share * (1 << bits))


def most_rows(num_classes: int) -> int:
    """How many rows of class probabilities an estimate is made of, at most: what memory and time allow."""
    return min(_ROWS, _NUMBERS // num_classes)


class _Latest(nn.Module):
    """The latest rows of class probabilities with their labels, as many as there is room for."""

    said: Tensor
    labels: Tensor
    seen: Tensor

    def __init__(self, rows: int, num_classes: int) -> None:
        super().__init__()
        self.rows = rows
        # one row more, for what is not to be remembered
        self.register_buffer("said", torch.full((rows + 1, num_classes), torch.nan))
        self.register_buffer("labels", torch.zeros(rows + 1, dtype=torch.int64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def remember(
        self, rows: Float[Tensor, "m c"], codes: Int64[Tensor, " m"], here: Bool[Tensor, " m"]
    ) -> None:
        """Those that are ``here``, each over the oldest; of more than there is room for the last."""
        rank = here.cumsum(0)
        written = here & (rank > rank[-1:] - self.rows)
        place = torch.where(written, (self.seen + rank - 1) % self.rows, self.rows)
        self.said[place] = rows
        self.labels[place] = codes
        self.said[-1], self.labels[-1] = torch.nan, 0
        self.seen += here.sum()

    def known(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and labels."""
        count = min(int(self.seen), self.rows)
        return self.said[:count].cpu().numpy(), self.labels[:count].cpu().numpy()

    def forget(self) -> None:
        """All of them."""
        self.said.fill_(torch.nan)
        self.seen.zero_()


class NoiseRate(nn.Module):
    """Running estimate of the share of wrong labels; all of it is in the ``state_dict``.

    Args:
        num_classes: ``C``.
        until: images are held out before this epoch, or before epoch 3 if that is later.
        capacity: items that are remembered, the latest ones, of those held out and as many others; None fits the memory.
        per_batch: at most as many are taken from a batch.

    Attributes:
        overall: ``(1,)`` float64, the share of wrong labels; 0 until an epoch has been seen.
        by_class: ``(C,)`` the share among the items labelled with each class.
    """

    overall: Tensor
    by_class: Tensor
    epoch: Tensor

    def __init__(
        self, num_classes: int, *, until: float = 0, capacity: int | None = None, per_batch: int = 1024
    ) -> None:
        super().__init__()
        self.until = max(_EARLIEST, math.ceil(until))
        rows = capacity or most_rows(num_classes)
        self.per_batch = min(per_batch, rows)
        self.register_buffer("overall", torch.zeros(1, dtype=torch.float64))
        self.register_buffer("by_class", torch.zeros(num_classes, dtype=torch.float64))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))
        self.held = _Latest(rows, num_classes)
        self.others = _Latest(rows, num_classes)  # whose labels are learned: for the clusters only

    def holds_out(self, ids: Int64[Tensor, " b"], *, epoch: float, seed: int) -> Bool[Tensor, " b"]:
        """Which images are not to be learned from in this epoch.

        Args:
            ids: of the images in the training set.
            epoch: current epoch.
            seed: of the run.
        """
        return held_out(ids, seed) if epoch < self.until else torch.zeros_like(ids, dtype=torch.bool)

    def observe(
        self,
        scores: Sequence[Float[Tensor, "b c *s"]],
        label: Int[Tensor, "b *s"],
        held: Bool[Tensor, "b *s"],
        others: Bool[Tensor, "b *s"] | None = None,
        *,
        seed: int = 0,
        step: int = 0,
    ) -> None:
        """Remember what the networks say of a batch; with one process the host does not wait for the device.

        Args:
            scores: before the softmax, of one network or of several, whose mean probabilities are taken.
            label: class of every item.
            held: which items have a label and are held out.
            others: which have one that is learned; None for none.
            seed: seed of the run, for which items are taken of a large batch.
            step: counter of the batch, for the same.
        """
        drawn = torch.arange(min(self.per_batch, label.numel()), device=label.device)
        if len(drawn) < label.numel():
            drawn = tie_order(drawn, seed, step) % label.numel()
        rows = torch.stack([_rows(one, drawn).softmax(1) for one in scores]).mean(0)
        codes = label.reshape(-1)[drawn].long()
        # one that is no number would spoil the estimate; the loss of an item held out stops no run
        finite = rows.isfinite().all(1)
        parts = [
            finite & part.reshape(-1)[drawn]
            for part in (held, torch.zeros_like(held) if others is None else others)
        ]
        # buffers are the same in all processes
        (rows, codes, *parts), _ = gather_items(rows, codes, *parts)
        for latest, here in zip((self.held, self.others), parts, strict=True):
            latest.remember(rows, codes, here)

    def begin_epoch(self, epoch: int) -> None:
        """Estimate from the epoch before, and forget what was said in it.

        Called again for the same epoch, as when a run is resumed within it, nothing changes.

        Args:
            epoch: that begins, >= 0.
        """
        if int(self.epoch) == epoch:
            return
        self.epoch.fill_(epoch)
        said, labels = self.held.known()
        if epoch <= self.until and enough(len(labels)):
            beside = self.others.known()
            found = noise_model(said, labels, beside=beside if len(beside[1]) else None)
            self.overall.fill_(found.overall).clamp_(max=HIGHEST)
            self.by_class.copy_(torch.from_numpy(found.by_class)).clamp_(max=HIGHEST)
            as_in_first(self.overall, self.by_class)  # processors may round differently
            if epoch == self.until:  # the one that stays
                warn_of_doubt(found, len(labels), "e_warm")
        self.held.forget()
        self.others.forget()


def _rows(scores: Float[Tensor, "b c *s"], items: Int64[Tensor, " m"]) -> Float[Tensor, "m c"]:
    """Of these items, counted over samples and places; a map of all of them is not copied."""
    flat = scores.detach().flatten(2) if scores.ndim > 2 else scores.detach()[:, :, None]
    places = flat.shape[2]
    return flat[items // places, :, items % places].float()
