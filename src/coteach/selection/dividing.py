"""The training set -> what is clean by the losses of one network."""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor

from coteach.selection.mixture import clean_probability, select_by_mixture


def divide(
    losses: Float[Tensor, " n"],
    label: Int[Tensor, " n"],
    valid: Bool[Tensor, " n"],
    *,
    num_classes: int,
    threshold: float,
    minimum_share: float,
    seed: int,
) -> tuple[Float[Tensor, " n"], Bool[Tensor, " n"]]:
    """How likely each label is right, and which are kept; all that have one, if none would be.

    Args:
        losses: of the whole training set.
        label: the class of each item.
        valid: which items have a label.
        num_classes: ``C``.
        threshold: on the probability, in [0, 1).
        minimum_share: of each class, the items of smallest loss that are kept in any case, in [0, 1).
        seed: for ties of that minimum.
    """
    found = select_by_mixture(
        losses,
        threshold,
        group=label,
        num_groups=num_classes,
        minimum_share=minimum_share,
        valid=valid,
        seed=seed,
    ).mask
    return clean_probability(losses, valid), found if found.any() else valid
