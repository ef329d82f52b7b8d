"""A network that follows another one: the moving average of its weights, and predictions that disturb nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


def follower_of(network: nn.Module) -> nn.Module:
    """A copy without gradients, to be moved by :func:`follow`."""
    return deepcopy(network).requires_grad_(False)


@torch.no_grad()
def follow(
    follower: nn.Module, network: nn.Module, decay: float, *, average_statistics: bool = False
) -> None:
    """Move the follower's weights to ``decay·θ' + (1 − decay)·θ``; its buffers (BatchNorm's) become the network's.

    Args:
        follower: of :func:`follower_of`.
        network: that is trained.
        decay: in [0, 1).
        average_statistics: buffers of real numbers (running means and variances) are moved as weights are; only
            counters become the network's.
    """
    for weight, other in zip(follower.parameters(), network.parameters(), strict=True):
        weight.lerp_(other, 1 - decay)
    for own, now in zip(follower.buffers(), network.buffers(), strict=True):
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
