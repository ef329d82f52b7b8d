"""Each network learns from what the other chose (Han et al. 2018, algorithm 1; Xiao et al. 2026, eq. 11)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from coteach.losses.soft_cross_entropy import masked_mean
from coteach.selection.whole_batch import mean_over_processes
from coteach.types import Selection


def cross_update(
    losses_a: Float[Tensor, "*items"],
    losses_b: Float[Tensor, "*items"],
    weight: Float[Tensor, "*items"],
    chosen_by_a: Selection,
    chosen_by_b: Selection,
    *,
    sync: bool = False,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Each network's weighted loss on what the other chose (eq. 11), divided once by the number chosen.

    Args:
        losses_a: the plain losses of network A, any shape.
        losses_b: those of network B.
        weight: W_conf in [0, 1].
        chosen_by_a: J_A.
        chosen_by_b: J_B.
        sync: the choices were made over all processes (DDP); divide by their mean number per process, so that the
            averaged gradients are those of one process on the whole batch.

    Returns:
        The scalars that A and B minimise.
    """
    counts = [mean_over_processes(j.mask.sum()) if sync else None for j in (chosen_by_a, chosen_by_b)]
    return (
        masked_mean(losses_a, chosen_by_b.mask, weight, count=counts[1]),
        masked_mean(losses_b, chosen_by_a.mask, weight, count=counts[0]),
    )
