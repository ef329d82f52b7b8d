"""A network that follows another one: the moving average of its weights, and predictions that disturb nothing.

Batch normalisation divides by running statistics, and those of the network that is trained do not fit the averaged weights: the more,
the longer the average and the faster the network moves. A follower that is shown each batch anyway gathers its own
(:func:`watched_probs`), as in the code of Mean Teacher (Tarvainen & Valpola 2017).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from coteach.models.batch_norm import is_counting


def follower_of(network: nn.Module) -> nn.Module:
    """A copy without gradients, to be moved by :func:`follow`."""
    return deepcopy(network).requires_grad_(False)


@torch.no_grad()
def follow(
    follower: nn.Module, network: nn.Module, decay: float, *, average_statistics: bool = False
) -> None:
    """Move the follower's weights to ``decay·θ' + (1 − decay)·θ``.

    Args:
        follower: of :func:`follower_of`.
        network: that is trained.
        decay: in [0, 1).
        average_statistics: buffers of real numbers (running means and variances) are moved as weights are, counters
            become the network's. False leaves those of batch normalisation in training mode to :func:`watched_probs`,
            which then has to be called for each batch; other buffers become the network's.
    """
    for weight, other in zip(follower.parameters(), network.parameters(), strict=True):
        weight.lerp_(other, 1 - decay)
    for part, other_part in zip(follower.modules(), network.modules(), strict=True):
        if not average_statistics and is_counting(part):
            continue
        for own, now in zip(part.buffers(recurse=False), other_part.buffers(recurse=False), strict=True):
            if average_statistics and own.is_floating_point():
                own.lerp_(now, 1 - decay)
            else:
                own.copy_(now)


def early_decay(decay: float, update: int) -> float:
    """``min(a, (1 + t) / (10 + t))``: an average forgets its first, random weights, and lags a ninth of the steps behind at most.

    With ``1 − 1/(t+1)`` (Tarvainen & Valpola 2017) it is the mean of all weights so far until ``t`` is ``1 / (1 − a)``: half of the steps
    behind, which is much where it judges labels in the first epochs.

    Args:
        decay: ``a``, in [0, 1).
        update: ``t``, how often the average has been moved before.

    Example:
        >>> [early_decay(0.6, update) for update in (0, 8, 90)]
        [0.1, 0.5, 0.6]
    """
    return min(decay, (1 + update) / (10 + update))


@contextmanager
def evaluating(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Inside the block the networks are in evaluation mode; afterwards each of their parts is in its own again."""
    modes = [(part, part.training) for network in networks for part in network.modules()]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@torch.no_grad()
def mean_probs(networks: Sequence[nn.Module], views: Sequence[Any]) -> Float[Tensor, "b c *s"]:
    """Class probabilities, the mean over networks and views; in evaluation mode, without gradients.

    Args:
        networks: one or several.
        views: inputs of the same samples, ``(B, ...)`` each.

    Returns:
        ``(B, C, *S)`` float32.
    """
    with evaluating(networks):
        probs = [network(view).float().softmax(1) for network in networks for view in views]
    return torch.stack(probs).mean(0)


@torch.no_grad()
def watched_probs(followers: Sequence[nn.Module], inputs: Any) -> Float[Tensor, "n b c *s"]:
    """Class probabilities of each of several followers, without gradients; their batch normalisation counts the batch.

    It normalises by the statistics of this batch, as in training; all else, such as dropout, is as in evaluation. What was in
    evaluation mode before, as frozen layers are, stays so.

    Args:
        followers: in training mode; their running statistics are their own.
        inputs: ``(B, ...)`` of any dtype that they take.

    Returns:
        ``(N, B, C, *S)`` float32.

    Raises:
        ValueError: torch's, where batch normalisation has one number a channel, as with ``B`` of 1.

    Example:
        >>> follower = follower_of(nn.BatchNorm1d(2))
        >>> watched_probs([follower], torch.tensor([[0.0, 2.0], [4.0, 2.0]])).shape
        torch.Size([1, 2, 2])
        >>> follower.running_mean
        tensor([0.2000, 0.2000])
    """
    counting = [part for follower in followers for part in follower.modules() if is_counting(part)]
    with evaluating(followers):
        for part in counting:
            part.train()
        return torch.stack([follower(inputs).float().softmax(1) for follower in followers])
