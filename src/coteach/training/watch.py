"""Looks at the networks during validation: have two become one, or has one learned a single class?

Co-teaching rests on two networks that err differently. Once they are the same they only confirm each other, and the
losses do not show it; nor do they show at once that a network calls every pixel the most common class.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from itertools import combinations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from coteach.errors import CoteachWarning
from coteach.losses.target import as_soft_target, hard_label
from coteach.methods.base import Method
from coteach.methods.label_method import LabelMethod
from coteach.types import Batch

BATCHES = 8  # looked at in each validation: enough to see it, and cheap
SAME = 1e-3  # mean distance of two networks' probabilities below which they are one
IN_A_ROW = 5  # validations; at the beginning of a run either may well happen


class NetworkWatch:
    """Counts what the networks predict, and warns once of each thing that has lasted.

    Args:
        method: that is trained; only methods of labels are watched.
    """

    def __init__(self, method: Method) -> None:
        self._method = method if isinstance(method, LabelMethod) else None
        self._lasting: dict[str, int] = {}
        self._told: set[str] = set()
        self._pairs = list(combinations(self._method.trained, 2)) if self._method else []
        self._counts: Tensor | None = None
        self._distances: Tensor | None = None

    def _start(self, method: LabelMethod) -> tuple[Tensor, Tensor]:
        """Nothing counted: how often each network (and at last the label) has each class; the pairs' distances."""
        device = next(method.parameters()).device
        counts = torch.zeros(len(method.trained) + 1, method.num_classes, dtype=torch.int64, device=device)
        return counts, torch.zeros(len(self._pairs), device=device)

    def look(self, batch: Batch, batch_idx: int) -> None:
        """Predict a batch by every trained network; after some batches nothing more is done.

        Args:
            batch: of the validation set.
            batch_idx: its position.
        """
        if self._method is None or batch_idx >= BATCHES:
            return
        if self._counts is None or self._distances is None:
            self._counts, self._distances = self._start(self._method)
        probs = self._method.network_probs(batch.inputs, self._method.trained)
        target = as_soft_target(batch.target, self._method.num_classes)
        rows = [hard_label(one) for one in (*probs, target.probs)]
        self._counts += torch.stack([_count(row, target.valid, self._method.num_classes) for row in rows])
        if self._pairs:
            self._distances += _distances(probs, target.valid)

    def conclude(self, add_up: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """End a validation: warn of what has lasted, and forget the counts.

        Args:
            add_up: a tensor of this process -> its sum over all processes.

        Returns:
            ``disagreement``, the mean total variation distance of the networks' probabilities in [0, 1], of methods
            with several networks.
        """
        counts, distances = self._counts, self._distances
        self._counts = self._distances = None
        if self._method is None:
            return {}
        if counts is None or distances is None:  # this process has none, but adds up with the others
            counts, distances = self._start(self._method)
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

    def state_dict(self) -> dict[str, int]:
        """For how many validations each thing has lasted: what a checkpoint keeps."""
        return dict(self._lasting)

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on counting; what has been told is not told again."""
        self._lasting = dict(state)
        self._told = {what for what, lasting in state.items() if lasting >= IN_A_ROW}

    def _tell(self, what: str, remedy: str, *, lasting: bool) -> None:
        self._lasting[what] = self._lasting.get(what, 0) + 1 if lasting else 0
        if self._lasting[what] >= IN_A_ROW and what not in self._told:
            self._told.add(what)
            warnings.warn(f"{what}, {IN_A_ROW} validations in a row; {remedy}", CoteachWarning, stacklevel=2)


def _count(classes: Int[Tensor, "b *s"], valid: Bool[Tensor, "b *s"], num_classes: int) -> Int[Tensor, " c"]:
    return torch.stack([((classes == code) & valid).sum() for code in range(num_classes)])


def _distances(probs: Float[Tensor, "n b c *s"], valid: Bool[Tensor, "b *s"]) -> Float[Tensor, " pairs"]:
    """``½ Σ_c |p_a − p_b|`` of each pair of networks, summed over the labelled items."""
    sums = [torch.where(valid, (a - b).abs().sum(1) / 2, 0.0).sum() for a, b in combinations(probs, 2)]
    return torch.stack(sums)
