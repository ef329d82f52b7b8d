"""Several processes, one network: the running statistics of its batch normalisation, which each process gathers of its own images.

Torch's wrapper gives the first process's to the others at each forward pass, but not where Lightning leaves the
optimisation to the method, as it does here. Then a teacher, or a validation, would be another network in every process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from coteach.models.batch_norm import is_counting


@torch.no_grad()
def share_statistics(
    networks: Sequence[nn.Module], add_up: Callable[[Tensor], Tensor], processes: int
) -> None:
    """Set running means and variances to their mean over the processes.

    Args:
        networks: trained by all processes.
        add_up: a tensor of this process -> its sum over all processes.
        processes: how many there are.
    """
    if processes == 1:
        return
    layers = [part for network in networks for part in network.modules() if is_counting(part)]
    own = [
        value for layer in layers for value in (layer.running_mean, layer.running_var) if value is not None
    ]
    if not own:
        return
    together = add_up(torch.cat([value.flatten().float() for value in own])) / processes
    for value, mean in zip(own, torch.split(together, [value.numel() for value in own]), strict=True):
        value.copy_(mean.view_as(value))
