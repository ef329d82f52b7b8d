"""Losses of networks that have learned labels by heart."""

import torch


def losses_by_heart(judge):
    """What a judge is told of them: 1 of each label that is learned, 3 of each that is held out; and which are learned."""
    apart = judge.held_out()
    losses = torch.where(apart, 3.0, 1.0).expand(2, -1)
    return losses, (~apart).expand(2, -1)
