"""How far two networks are apart, item by item (JoCoR's contrastive term, Wei et al. 2020, eq. 3)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def symmetric_divergence(
    logits_a: Float[Tensor, "b c *s"], logits_b: Float[Tensor, "b c *s"]
) -> Float[Tensor, "b *s"]:
    """``KL(p_a‖p_b) + KL(p_b‖p_a) = Σ_c (p_a − p_b)(log p_a − log p_b)``, computed in float32 or better.

    Args:
        logits_a: ``(B, C, *S)`` scores of network A.
        logits_b: those of network B.

    Returns:
        ``(B, *S)``, >= 0; gradients flow into both networks.
    """
    log_a, log_b = ((z if z.element_size() == 8 else z.float()).log_softmax(1) for z in (logits_a, logits_b))
    return ((log_a.exp() - log_b.exp()) * (log_a - log_b)).sum(1)
