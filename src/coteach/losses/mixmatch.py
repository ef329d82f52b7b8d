"""The parts of MixMatch (Berthelot et al. 2019) as DivideMix uses them (Li et al. 2020, section 3.2).

Shape legend: ``b`` images, ``c`` classes.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from coteach.losses.soft_cross_entropy import log_of


def sharpened(probs: Float[Tensor, "b c"], temperature: float) -> Float[Tensor, "b c"]:
    """``p^{1/T} / Σ p^{1/T}``.

    Args:
        probs: distributions.
        temperature: ``T`` > 0; below 1 makes them more certain.

    Example:
        >>> sharpened(torch.tensor([[0.75, 0.25]]), 0.5)
        tensor([[0.9000, 0.1000]])
    """
    return (log_of(probs) / temperature).softmax(1)


def refined(
    label: Float[Tensor, "b c"], guess: Float[Tensor, "b c"], clean: Float[Tensor, " b"], temperature: float
) -> Float[Tensor, "b c"]:
    """Label co-refinement: ``sharpen(w·y + (1 − w)·p̄)``.

    Args:
        label: ``y``, label distributions.
        guess: ``p̄``, the network's mean prediction over the views.
        clean: ``w``, how likely the other network holds the label for right, in [0, 1].
        temperature: ``T``.
    """
    weight = clean[:, None]
    return sharpened(weight * label + (1 - weight) * guess, temperature)


def squared_error(logits: Float[Tensor, "b c"], target: Float[Tensor, "b c"]) -> Float[Tensor, " b"]:
    """``‖q_i − p_i‖² / C``, which an item of wrong guess harms less than cross-entropy."""
    return (logits.float().softmax(1) - target).square().mean(1)


def prior_penalty(logits: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """``Σ_c π_c log(π_c / p̄_c)`` with ``π_c = 1/C``: against one class for everything.

    Args:
        logits: of all items of the batch; ``p̄`` is their mean prediction.
    """
    mean = logits.float().softmax(1).mean(0)
    prior = 1 / mean.shape[0]
    return (prior * (prior / mean.clamp(min=torch.finfo(mean.dtype).tiny)).log()).sum()


def confidence(logits: Float[Tensor, "b c *s"]) -> Float[Tensor, "b *s"]:
    """``Σ_c p log p``, the negative entropy (section 3.1): a penalty on being sure of asymmetric noise early."""
    log_p = logits.float().log_softmax(1)
    return (log_p.exp() * log_p).sum(1)
