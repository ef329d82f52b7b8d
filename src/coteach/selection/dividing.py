"""The training set -> what each of several networks believes: by a mixture (DivideMix, Li et al., ICLR 2020, 3.1) or by rank."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from coteach.selection.mixture import clean_probability, select_by_mixture
from coteach.selection.small_loss import select_small_loss


def divide(
    losses: Float[Tensor, "k n"],
    label: Int[Tensor, " n"],
    valid: Bool[Tensor, "*rows n"],
    *,
    num_classes: int,
    threshold: float,
    minimum_share: float,
    seed: int,
) -> tuple[Float[Tensor, "k n"], Bool[Tensor, "k n"]]:
    """How likely each label is right, and which are kept; all that have one, if none would be.

    The ``k`` networks are divided by themselves: a mixture of two normal distributions is fitted to each one's losses.

    Args:
        losses: ``(k, n)`` float, of each network for the whole training set.
        label: ``(n,)`` the class of each item, 0 to ``num_classes - 1``, also of one without a label.
        valid: ``(n,)`` or ``(k, n)``, which items have a label, or a label and a loss of this network.
        num_classes: ``C``.
        threshold: on the probability, in [0, 1).
        minimum_share: of each class, the items of smallest loss that are kept in any case, in [0, 1).
        seed: for ties of that minimum.

    Returns:
        Both ``(k, n)``: the probabilities in [0, 1], in the dtype of the losses; and bool, what is kept.
    """
    clean, kept = [], []
    for own, known in zip(losses, valid.expand(losses.shape), strict=True):
        probability = clean_probability(own, known)
        found = select_by_mixture(
            own,
            probability,
            threshold,
            group=label,
            num_groups=num_classes,
            minimum_share=minimum_share,
            valid=known,
            seed=seed,
        ).mask
        clean.append(probability)
        kept.append(found if found.any() else known)
    return torch.stack(clean), torch.stack(kept)


def divide_by_rank(
    losses: Float[Tensor, "k n"],
    label: Int[Tensor, " n"],
    known: Bool[Tensor, "k n"],
    rates: float | Float[Tensor, " c"],
    *,
    num_classes: int,
    seed: int,
    step: int,
) -> Bool[Tensor, "k n"]:
    """Of each class, the labels of smallest loss are kept, for each network by its own losses.

    Args:
        losses: ``(k, n)``, or any other doubt of a label; NaN where not known.
        label: ``(n,)`` the class of each item, 0 to ``num_classes - 1``, also of one without a label.
        known: ``(k, n)``, which to choose from.
        rates: the share that is refused, in [0, 1); of all classes or of each.
        num_classes: ``C``.
        seed: for ties.
        step: for ties.

    Returns:
        ``(k, n)`` what is kept.
    """
    chosen = [
        select_small_loss(
            own, rates, group=label, num_groups=num_classes, eligible=there, seed=seed, step=step
        ).mask
        for own, there in zip(losses, known, strict=True)
    ]
    return torch.stack(chosen)
