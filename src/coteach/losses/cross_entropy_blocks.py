"""Soft cross-entropy of every item and its gradient, in blocks that fit the processor's cache.

With ``l_i = −Σ_c P_ic log p_ic`` and p the softmax of z, ``∂l_i/∂z_ik = p_ik Σ_c P_ic − P_ik``. Composed of torch's
functions this makes five arrays of the logits' size, and on the CPU most of the time goes into fresh memory for them.
Here p is computed again in the backward pass, and the only large array is the gradient itself.

The neighbourhood term's gradient, made in its forward pass, is added to in place, so that the logits receive one
gradient instead of two and their sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from coteach.losses.neighborhood_sum import OwnGradient, neighborhood_sum_op

_BLOCK_BYTES = 3 << 20  # of a block's three working arrays on the CPU


def cross_entropy_in_blocks(logits: Tensor, probs: Tensor) -> Tensor:
    """The loss of every item, differentiable once by the logits.

    Args:
        logits: ``(B, C, *S)``; half precision is computed in float32.
        probs: ``(B, C, *S)``, constants; NaN counts as 0.

    Returns:
        ``(B, *S)`` float32, or float64 for logits of float64.
    """
    losses: Tensor = _CrossEntropy.apply(logits, probs)
    return losses


def cross_entropy_and_neighborhood(
    logits: Tensor, probs: Tensor, similarity: Tensor
) -> tuple[Tensor, Tensor]:
    """``cross_entropy_in_blocks`` and ``neighborhood_sum`` of the same logits, with one gradient for both.

    Args:
        logits: ``(B, C, H, W)``.
        probs: ``(B, C, H, W)``, constants; NaN counts as 0.
        similarity: ``(B, 4, H, W)``, see ``neighborhood_sum``.

    Returns:
        ``(B, H, W)`` losses and the scalar sum.
    """
    losses: Tensor
    total: Tensor
    losses, total = _BothTerms.apply(logits, probs, similarity)
    return losses, total


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, probs: Tensor) -> Tensor:
        ctx.save_for_backward(logits, probs)
        losses: Tensor = _forward(logits.flatten(2), probs.flatten(2))
        return losses.view(logits.shape[:1] + logits.shape[2:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        logits, probs = ctx.saved_tensors
        gradient = logits.new_empty(
            logits.shape
        )  # contiguous, whatever the logits are: flattened it stays itself
        _add_gradient(gradient.flatten(2), logits.flatten(2), probs.flatten(2), upstream.flatten(1), None)
        return gradient, None


class _BothTerms(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, probs: Tensor, similarity: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(logits, probs, similarity)
        losses: Tensor = _forward(logits.flatten(2), probs.flatten(2))
        total, gradient = neighborhood_sum_op(logits, similarity, ctx.needs_input_grad[0])
        ctx.own = OwnGradient(gradient)
        return losses.view(logits.shape[:1] + logits.shape[2:]), total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, of_total: Tensor) -> tuple[Tensor, None, None]:
        logits, probs, similarity = ctx.saved_tensors
        gradient = ctx.own.take(logits, similarity)
        _add_gradient(gradient.flatten(2), logits.flatten(2), probs.flatten(2), upstream.flatten(1), of_total)
        return gradient, None, None


def _wide(logits: Tensor) -> torch.dtype:
    return torch.float64 if logits.dtype == torch.float64 else torch.float32


def _blocks(like: Tensor) -> Iterator[tuple[slice, slice]]:
    """Images and positions of every block of a ``(B, C, N)`` tensor; on accelerators all of it at once."""
    batch, classes, count = like.shape
    if like.device.type != "cpu":
        yield slice(None), slice(None)
        return
    length = max(1, _BLOCK_BYTES // (3 * max(1, classes) * 4))
    for image in range(batch):
        for start in range(0, count, length):
            yield slice(image, image + 1), slice(start, start + length)


@torch.library.custom_op(
    "coteach::soft_cross_entropy", mutates_args=(), schema="(Tensor logits, Tensor probs) -> Tensor"
)
def _forward(logits: Tensor, probs: Tensor) -> Tensor:
    losses = torch.empty_like(logits[:, 0], dtype=_wide(logits))
    for images, part in _blocks(logits):
        log_p = torch.log_softmax(logits[images, :, part], 1, dtype=losses.dtype)
        log_p *= probs[images, :, part].nan_to_num()
        losses[images, part] = -log_p.sum(1)
    return losses


@_forward.register_fake
def _forward_shape(logits: Tensor, probs: Tensor) -> Tensor:  # noqa: ARG001
    return torch.empty_like(logits[:, 0], dtype=_wide(logits))


@torch.library.custom_op(
    "coteach::soft_cross_entropy_gradient",
    mutates_args=("gradient",),
    schema="(Tensor(a!) gradient, Tensor logits, Tensor probs, Tensor upstream, Tensor? scale) -> ()",
)
def _add_gradient(
    gradient: Tensor, logits: Tensor, probs: Tensor, upstream: Tensor, scale: Tensor | None
) -> None:
    """``gradient = scale · gradient + ∂(Σ upstream · l)/∂z``; without a scale what it holds is overwritten."""
    for images, part in _blocks(logits):
        labels = probs[images, :, part].nan_to_num().to(_wide(logits))
        own = torch.softmax(logits[images, :, part], 1, dtype=labels.dtype)
        own *= labels.sum(1, keepdim=True)
        own -= labels
        own *= upstream[images, None, part]
        if scale is not None:
            own += gradient[images, :, part] * scale
        gradient[images, :, part] = own
