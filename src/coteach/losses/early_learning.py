"""Early-learning regularisation (ELR, Liu et al. 2020): what the network said early holds it back from wrong labels."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_LEAST = 1e-4  # probabilities are kept this far from 0 and 1, as published


def remembered(
    before: Float[Tensor, "b c"], probs: Float[Tensor, "b c"], beta: float
) -> Float[Tensor, "b c"]:
    """The new memory of some items: ``t ← β·t + (1 − β)·p / Σ p``.

    Args:
        before: ``t``, ``(B, C)``; zeros for items never seen.
        probs: ``p``, the network's predictions.
        beta: in [0, 1).
    """
    bounded = probs.detach().float().clamp(_LEAST, 1 - _LEAST)
    return beta * before + (1 - beta) * bounded / bounded.sum(1, keepdim=True)


def early_learning(logits: Float[Tensor, "b c"], memory: Float[Tensor, "b c"]) -> Float[Tensor, " b"]:
    """``log(1 − ⟨p_i, t_i⟩)``, <= 0: smallest where the prediction is the remembered one.

    Args:
        logits: ``(B, C)`` scores.
        memory: ``t``; no gradient flows into it.
    """
    probs = logits.float().softmax(1).clamp(_LEAST, 1 - _LEAST)
    return torch.log(1 - (probs * memory).sum(1))
