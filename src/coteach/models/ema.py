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
from torch.nn.modules.batchnorm import _NormBase


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
            become the network's. False leaves those of batch normalisation to :func:`watched_probs`; other
            buffers become the network's.
    """
    for weight, other in zip(follower.parameters(), network.parameters(), strict=True):
        weight.lerp_(other, 1 - decay)
    for part, other_part in zip(follower.modules(), network.modules(), strict=True):
        if not average_statistics and isinstance(part, _NormBase):
            continue
        for own, now in zip(part.buffers(recurse=False), other_part.buffers(recurse=False), strict=True):
            if average_statistics and own.is_floating_point():
                own.lerp_(now, 1 - decay)
            else:
                own.copy_(now)


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

    It normalises by the statistics of this batch, as in training; all else, such as dropout, is as in evaluation.

    Args:
        followers: whose running statistics are their own.
        inputs: ``(B, ...)``.

    Returns:
        ``(N, B, C, *S)`` float32.
    """
    with evaluating(followers):
        for follower in followers:
            for part in follower.modules():
                if isinstance(part, _NormBase):
                    part.train()
        return torch.stack([follower(inputs).float().softmax(1) for follower in followers])
