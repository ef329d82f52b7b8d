"""The batch that all processes see together (DDP): one decision for all, the same as one process would make."""

from __future__ import annotations

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor


def is_shared() -> bool:
    """Whether several processes train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gather_items(*items: Shaped[Tensor, "n ..."]) -> tuple[list[Shaped[Tensor, "total ..."]], slice]:
    """The items of all processes in order of their ranks, and where this one's are.

    The processes may have differently many items; how many they have is exchanged first, for which the host waits.

    Args:
        *items: vectors ``(n,)``, or rows ``(n, ...)``, of one length.

    Returns:
        The same ``(total, ...)``, and the slice of them that this process gave.
    """
    if not is_shared():
        return list(items), slice(0, len(items[0]))
    rank, world = dist.get_rank(), dist.get_world_size()
    own = torch.tensor([len(items[0])], device=items[0].device)
    sizes = [torch.empty_like(own) for _ in range(world)]
    dist.all_gather(sizes, own)
    counts = [int(size) for size in sizes]
    start = sum(counts[:rank])
    return [_gather(vector, counts) for vector in items], slice(start, start + counts[rank])


def _gather(vector: Tensor, counts: list[int]) -> Tensor:
    padded = vector.new_zeros(max(counts), *vector.shape[1:])
    padded[: len(vector)] = vector
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def max_over_processes(values: Shaped[Tensor, "*any"]) -> Shaped[Tensor, "*any"]:
    """The largest of what all processes have, entry by entry; any shape and dtype, the same in all of them."""
    if not is_shared():
        return values
    largest = values.clone()
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return largest


def as_in_first(*values: Shaped[Tensor, "..."]) -> list[Shaped[Tensor, "..."]]:
    """What the first process has, in all of them; written into the tensors themselves, which are contiguous."""
    if is_shared():
        for value in values:
            dist.broadcast(value, src=0)
    return list(values)


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a number over all processes, as float64.

    What a process divides its own sum by, so that the gradients, which DDP averages, are those of one process on
    the whole batch.
    """
    mean = value.double()
    if is_shared():
        mean = mean.clone()
        dist.all_reduce(mean)
        mean /= dist.get_world_size()
    return mean
