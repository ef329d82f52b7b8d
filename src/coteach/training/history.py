"""What the networks thought of each training image while they learned, for the audit of its label.

Everything is summed up as the batches pass, in memory that does not grow with the epochs. The scores are those of
training: of an augmented view, in training mode, *before* the step that learns from the batch. In the first epoch they
are therefore out of sample.

Networks that learn labels by heart say most of them early; the averages of ``peer_ensemble`` know little then, and
hardly learn wrong labels by heart. There each epoch weighs as much as its number.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from coteach.losses.target import as_soft_target, hard_label
from coteach.types import Batch

_UNSEEN = -1


class LabelHistory:
    """Sums over the epochs, of every item and network.

    Shape legend: ``N`` items, ``M`` networks, ``C`` classes.

    Args:
        networks: their names, in the order of the first axis of what is kept.
        num_items: ``N``; ids are 0 to ``N - 1``.
        num_classes: ``C``.
        rising: an epoch weighs its number, from 1; else each weighs 1.

    Attributes:
        values: name -> tensor, on the device of the scores. ``seen (M, N)`` int32, how often the network scored the
            item; ``weight (M, N)`` float32, sum of the epochs' weights; ``probs (M, N, C)`` float32, weighted sum of its
            class probabilities; ``loss (M, N)`` float32, that of the cross-entropy of the given label in nats;
            ``margin (M, N)`` float32, that of the given label's score less the highest other one (Pleiss et al. 2020);
            ``forgotten (M, N)`` int32, how often the prediction went from
            the given label to another (Toneva et al. 2019); ``predicted (M, N)`` int32, the last prediction, -1
            before; ``epoch (M, N)`` int32, when that was; ``label (N,)`` int32, the given label, -1 without one;
            ``agreed`` and ``compared (N,)`` int32, how often two networks predicted the same class in the same
            epoch, of how many times.
    """

    def __init__(
        self, networks: tuple[str, ...], num_items: int, num_classes: int, *, rising: bool = False
    ) -> None:
        self.networks = networks
        self.num_items = num_items
        self.num_classes = num_classes
        self.rising = rising
        self.values: dict[str, Tensor] = {}
        self._labelled: tuple[Any, Tensor] | None = None  # the target that was seen last, and its classes

    def __len__(self) -> int:
        """How many probabilities are kept."""
        return len(self.networks) * self.num_items * self.num_classes

    def _start(self, device: torch.device) -> None:
        size = (len(self.networks), self.num_items)
        self.values = {name: torch.zeros(size, device=device) for name in ("weight", "loss", "margin")}
        for name in ("seen", "forgotten"):
            self.values[name] = torch.zeros(size, dtype=torch.int32, device=device)
        self.values["probs"] = torch.zeros(*size, self.num_classes, device=device)
        for name in ("predicted", "epoch"):
            self.values[name] = torch.full(size, _UNSEEN, dtype=torch.int32, device=device)
        self.values["label"] = torch.full(size[1:], _UNSEEN, dtype=torch.int32, device=device)
        for name in ("agreed", "compared"):
            self.values[name] = torch.zeros(size[1:], dtype=torch.int32, device=device)

    @torch.no_grad()
    def see(self, network: str, batch: Batch, scores: Float[Tensor, "b c *s"], epoch: int) -> None:
        """Add a batch; maps of pixels, and networks that are not recorded, are passed over.

        Args:
            network: whose scores these are.
            batch: what was scored; its target is the given label.
            scores: before the softmax.
            epoch: counted from 0.
        """
        if scores.ndim != 2 or network not in self.networks or batch.target is None:
            return
        if not self.values or self.values["probs"].device != scores.device:
            self._place(scores.device)
        if self._labelled is None or self._labelled[0] is not batch.target:  # once for all networks
            target = as_soft_target(batch.target, self.num_classes)
            self._labelled = batch.target, torch.where(target.valid, hard_label(target.probs), _UNSEEN)
        label = self._labelled[1]
        self._add(self.networks.index(network), batch.ids, scores.detach().float(), label, epoch)

    def let_go(self) -> None:
        """Of the last batch."""
        self._labelled = None

    def _place(self, device: torch.device) -> None:
        """Make the tensors, or bring those of a checkpoint to where the scores are."""
        if not self.values:
            self._start(device)
        self.values = {name: value.to(device) for name, value in self.values.items()}

    def _add(
        self,
        k: int,
        ids: Int[Tensor, " b"],
        scores: Float[Tensor, "b c"],
        label: Int[Tensor, " b"],
        epoch: int,
    ) -> None:
        values, labelled = self.values, label >= 0
        weight = float(epoch + 1) if self.rising else 1.0
        index = label.clamp(min=0).long()[:, None]
        log_probs = scores.log_softmax(1)
        own = scores.gather(1, index)[:, 0]
        other = scores.scatter(1, index, -torch.inf).amax(1)
        predicted = hard_label(scores)
        was = values["predicted"][k, ids]
        forgotten = labelled & (was == label) & (predicted != label)
        values["seen"][k].index_add_(0, ids, torch.ones_like(label))
        values["weight"][k].index_add_(0, ids, torch.full_like(own, weight))
        values["probs"][k].index_add_(0, ids, log_probs.exp(), alpha=weight)
        loss = torch.where(labelled, -log_probs.gather(1, index)[:, 0], 0.0)
        values["loss"][k].index_add_(0, ids, loss, alpha=weight)
        values["margin"][k].index_add_(0, ids, torch.where(labelled, own - other, 0.0), alpha=weight)
        values["forgotten"][k].index_add_(0, ids, forgotten.int())
        values["predicted"][k, ids] = predicted
        values["epoch"][k, ids] = epoch
        values["label"][ids] = label
        self._compare(k, ids, epoch)

    def _compare(self, k: int, ids: Int[Tensor, " b"], epoch: int) -> None:
        """Count the agreement with the networks that have scored these items in this epoch already."""
        values = self.values
        for first, second in combinations(range(len(self.networks)), 2):
            if k not in (first, second):
                continue
            other = first if k == second else second
            both = values["epoch"][other, ids] == epoch
            same = both & (values["predicted"][other, ids] == values["predicted"][k, ids])
            values["compared"].index_add_(0, ids, both.int())
            values["agreed"].index_add_(0, ids, same.int())
