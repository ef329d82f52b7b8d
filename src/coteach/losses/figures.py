"""Figures for the log of a run in which two networks teach each other: what was learned from, and do they agree."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from coteach.losses.target import hard_label
from coteach.types import Share

_AT_ONCE = 2**20  # items that are counted: their indices take eight bytes each


def selection_figures(
    label: Int[Tensor, "*items"],
    valid: Bool[Tensor, "*items"],
    num_classes: int,
    admitted: Bool[Tensor, "*items"],
    chosen_by_a: Bool[Tensor, "*items"],
    chosen_by_b: Bool[Tensor, "*items"],
) -> dict[str, Share]:
    """How much of a batch was learned from, by class too.

    Args:
        label: class of every item.
        valid: which items have a label.
        num_classes: ``C``.
        admitted: by the curriculum.
        chosen_by_a: J_A.
        chosen_by_b: J_B.

    Returns:
        Name -> share, all but the overlap of the labelled items: ``admitted_share``,
        ``selected_share`` (by A), ``selected_share/c`` and ``labelled_share/c`` (of class c), and
        ``selection_overlap``, the share of what either network chose that both did.
    """
    count = valid.sum()
    both, either = (chosen_by_a & chosen_by_b).sum(), (chosen_by_a | chosen_by_b).sum()
    figures = {
        "admitted_share": Share(admitted.sum(), count),
        "selected_share": Share(chosen_by_a.sum(), count),
        "selection_overlap": Share(both, either),
    }
    for name, items in (("selected_share", chosen_by_a), ("labelled_share", valid)):
        counts = _count_by_class(label, items, num_classes)
        figures |= {f"{name}/{code}": Share(part, count) for code, part in enumerate(counts.unbind())}
    return figures


def _count_by_class(
    label: Int[Tensor, "*items"], chosen: Bool[Tensor, "*items"], num_classes: int
) -> Float[Tensor, " c"]:
    """How many items of each class are chosen; without a host synchronisation, unlike ``bincount``."""
    counts = torch.zeros(num_classes, dtype=torch.int64, device=label.device)
    parts = (torch.split(items.flatten(), _AT_ONCE) for items in (label, chosen))
    for own_label, own_chosen in zip(*parts, strict=True):
        counts.scatter_add_(0, own_label.long(), own_chosen.long())
    return counts.float()


def agreement(
    logits_a: Float[Tensor, "b c *s"], logits_b: Float[Tensor, "b c *s"], valid: Bool[Tensor, "b *s"]
) -> Share:
    """Share of the labelled items that both networks put into the same class."""
    same = hard_label(logits_a.detach()) == hard_label(logits_b.detach())
    return Share((same & valid).sum(), valid.sum())
