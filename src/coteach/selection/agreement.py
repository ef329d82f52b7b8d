"""What two networks say of an item -> whether it may be learned from."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from coteach.selection.whole_batch import mean_over_processes

Agreement = Literal["agree", "disagree"]


def restrict_to(
    which: Agreement,
    labels_a: Int[Tensor, "*items"],
    labels_b: Int[Tensor, "*items"],
    eligible: Bool[Tensor, "*items"] | None = None,
    *,
    sync: bool = False,
) -> Bool[Tensor, "*items"]:
    """The eligible items on which two networks agree, or disagree; all eligible ones if there is none.

    Co-teaching+ (Yu et al. 2019) lets the networks choose among the items they disagree on, which keeps them from
    becoming one; it falls back to the whole batch where they agree on everything. JoCoR (Wei et al. 2020) goes the
    other way: what both say is believed.

    Args:
        which: ``agree`` or ``disagree``.
        labels_a: the class that network A predicts, any shape.
        labels_b: the class that network B predicts.
        eligible: bool; None means all.
        sync: "none" is said of all processes together (DDP).

    Returns:
        Bool, shaped like the labels; to be given to ``select_small_loss`` as ``eligible``.
    """
    same = labels_a == labels_b
    wanted = same if which == "agree" else ~same
    if eligible is None:
        eligible = torch.ones_like(wanted)
    wanted = wanted & eligible
    found = mean_over_processes(wanted.sum()) > 0 if sync else wanted.any()
    return torch.where(found, wanted, eligible)
