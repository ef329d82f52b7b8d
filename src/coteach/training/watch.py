"""Looks at the networks during validation: have two become one, or has one learned a single class?

Co-teaching rests on two networks that err differently. Once they are the same they only confirm each other, and the
losses do not show it; nor do they show at once that a network calls every pixel the most common class.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from coteach.losses.target import as_soft_target, hard_label
from coteach.methods.base import Method
from coteach.methods.label_method import LabelMethod
from coteach.training.alarms import Watch
from coteach.types import Batch

BATCHES = 8  # looked at in each validation: enough to see it, and cheap
SAME = 1e-3  # mean distance of two networks' probabilities below which they are one


class NetworkWatch(Watch):
    """Counts what the networks predict.

    Args:
        method: that is trained.
    """

    def __init__(self, method: LabelMethod) -> None:
        super().__init__()
        self._method = method
        self._pairs = list(combinations(method.trained, 2))
        self._counts: Tensor | None = None
        self._distances: Tensor | None = None
        self._probs: Tensor | None = None  # of the batch that is looked at next

    def _start(self) -> tuple[Tensor, Tensor]:
        """Nothing counted: how often each network (and at last the label) has each class; the pairs' distances."""
        method, device = self._method, next(self._method.parameters()).device
        counts = torch.zeros(len(method.trained) + 1, method.num_classes, dtype=torch.int64, device=device)
        return counts, torch.zeros(len(self._pairs), device=device)

    def predicted(self, method: Method, batch: Batch, batch_idx: int) -> Any:
        """The same prediction; of a batch that is looked at, every network is computed once for both."""
        if batch_idx >= BATCHES:
            return method.predict(batch.inputs)
        prediction, self._probs = self._method.predict_beside(batch.inputs, self._method.trained)
        return prediction

    def look(self, batch: Batch, batch_idx: int, prediction: Any = None) -> None:  # noqa: ARG002
        """Predict a batch by every trained network; after some batches nothing more is done."""
        if batch_idx >= BATCHES:
            return
        if self._counts is None or self._distances is None:
            self._counts, self._distances = self._start()
        probs, self._probs = self._probs, None
        if probs is None:
            probs = self._method.network_probs(batch.inputs, self._method.trained)
        target = as_soft_target(batch.target, self._method.num_classes)
        rows = [hard_label(one) for one in (*probs, target.probs)]
        self._counts += torch.stack([_count(row, target.valid, self._method.num_classes) for row in rows])
        if self._pairs:
            self._distances += _distances(probs, target.valid)

    def conclude(self, add_up: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Warn of what has lasted, and forget the counts.

        Returns:
            ``disagreement``, the mean total variation distance of the networks' probabilities in [0, 1], of methods
            with several networks.
        """
        counts, distances = self._counts, self._distances
        self._counts = self._distances = None
        if counts is None or distances is None:  # this process has none, but adds up with the others
            counts, distances = self._start()
        counts, distances = add_up(counts), add_up(distances)
        *predicted, labelled = counts.tolist()
        total = sum(labelled)
        if total == 0:
            return {}
        for name, row in zip(self._method.trained, predicted, strict=True):
            self._tell(
                f"network {name} predicts class {row.index(max(row))} only",
                "lower the learning rate, or give class_weights",
                lasting=sum(n > 0 for n in row) == 1 and sum(n > 0 for n in labelled) > 1,
            )
        means = distances / total
        for (a, b), mean in zip(self._pairs, means.tolist(), strict=True):
            self._tell(
                f"networks {a} and {b} have become one (mean distance of their probabilities below {SAME})",
                "start again with another seed or more dropout, or train one network (method soft_label)",
                lasting=mean < SAME,
            )
        return {"disagreement": means.mean()} if self._pairs else {}


def _count(classes: Int[Tensor, "b *s"], valid: Bool[Tensor, "b *s"], num_classes: int) -> Int[Tensor, " c"]:
    return torch.stack([((classes == code) & valid).sum() for code in range(num_classes)])


def _distances(probs: Float[Tensor, "n b c *s"], valid: Bool[Tensor, "b *s"]) -> Float[Tensor, " pairs"]:
    """``½ Σ_c |p_a − p_b|`` of each pair of networks, summed over the labelled items."""
    sums = [torch.where(valid, (a - b).abs().sum(1) / 2, 0.0).sum() for a, b in combinations(probs, 2)]
    return torch.stack(sums)
