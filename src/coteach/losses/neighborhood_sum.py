"""``Σ_i Σ_{j∈N(i)} S_ij·KL(p_i‖p_j)`` and its gradient, from weighted sums over the neighbours.

With ``A_i = Σ_j S_ij``, ``L_ik = Σ_j S_ij log p_jk`` and ``Q_ik = Σ_j S_ij p_jk`` over the eight neighbours of i

    K_i = Σ_j S_ij KL(p_i‖p_j) = Σ_k p_ik (A_i log p_ik − L_ik)
    ∂(Σ_i K_i)/∂z_ik = p_ik (A_i log p_ik − L_ik − K_i + A_i) − Q_ik

where p is the softmax of z: both come from the same sums, so the gradient is made in the forward pass, and nothing
but it is kept. The sums are made for a few rows at a time, which fit into the processor's cache. In a block every
row has a column of zeros at both ends: a neighbour is then a fixed distance away in memory, and all of it is done
with a few long vectors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Right, below left, below, below right: each unordered pair of neighbours once.
SHIFTS = ((0, 1), (1, -1), (1, 0), (1, 1))
_BLOCK_BYTES = 3 << 20  # of the two working arrays of a block on the CPU


def pair(x: Tensor, down: int, right: int) -> tuple[Tensor, Tensor]:
    """Views of ``(..., H, W)`` whose equal positions are neighbours: j lies ``down, right`` of i."""
    height, width = x.shape[-2:]
    left, shift = max(0, -right), max(0, right)
    here = x[..., : height - down, left : width - shift]
    there = x[..., down:, left + right : width - shift + right]
    return here, there


def neighborhood_sum(logits: Tensor, similarity: Tensor) -> Tensor:
    """The sum over all ordered pairs of neighbours, differentiable once by the logits.

    Args:
        logits: ``(B, C, H, W)``; half precision is computed in float32.
        similarity: ``(B, 4, H, W)`` float32 (float64 for logits of float64), from ``neighbor_similarity``.

    Returns:
        Scalar of the similarity's dtype.
    """
    total: Tensor = _NeighborhoodSum.apply(logits, similarity)
    return total


class OwnGradient:
    """The gradient by the logits that a forward pass has made, to be written over by the backward pass.

    It is as large as the logits, and fresh memory of that size costs more time than what is computed in it. Where
    the graph is kept and walked through again, the gradient is made again.

    Args:
        gradient: shaped like the logits.
    """

    def __init__(self, gradient: Tensor) -> None:
        self._gradient: Tensor | None = gradient

    def take(self, logits: Tensor, similarity: Tensor) -> Tensor:
        """The gradient, the caller's own.

        Args:
            logits: as in the forward pass.
            similarity: as in the forward pass.
        """
        gradient = self._gradient
        if gradient is None:
            _, again = neighborhood_sum_op(logits, similarity, True)
            assert isinstance(again, Tensor)
            return again
        if torch.compiler.is_compiling():  # a compiled graph may not note that it is gone
            return gradient.clone()
        self._gradient = None
        return gradient


class _NeighborhoodSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, similarity: Tensor) -> Tensor:
        total: Tensor
        total, gradient = neighborhood_sum_op(logits, similarity, ctx.needs_input_grad[0])
        ctx.save_for_backward(logits, similarity)
        ctx.own = OwnGradient(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        return ctx.own.take(*ctx.saved_tensors).mul_(upstream), None


@torch.library.custom_op(
    "coteach::neighborhood_sum",
    mutates_args=(),
    schema="(Tensor logits, Tensor similarity, bool with_gradient) -> (Tensor, Tensor)",
)
def neighborhood_sum_op(logits: Tensor, similarity: Tensor, with_gradient: bool) -> tuple[Tensor, Tensor]:
    """The sum, and its gradient by the logits; empty unless asked for."""
    batch, classes, height, width = logits.shape
    at_once, rows = batch, height
    if logits.device.type == "cpu":
        row_bytes = 4 * classes * (width + 2) * similarity.element_size()
        at_once, rows = 1, max(1, min(height, _BLOCK_BYTES // row_bytes))
    total = similarity.new_zeros((), dtype=torch.float64)
    # contiguous, whatever the logits are: others write into it flattened
    gradient = logits.new_empty(logits.shape if with_gradient else 0)
    block = _Block(at_once, classes, rows, width, similarity)
    for image in range(0, batch, at_once):
        images = slice(image, image + at_once)
        for top in range(0, height, rows):
            block.load(logits[images], similarity[images], top)
            total += block.sum(gradient[images] if with_gradient else None)
    return total.to(similarity.dtype), gradient


@neighborhood_sum_op.register_fake
def _shapes(logits: Tensor, similarity: Tensor, with_gradient: bool) -> tuple[Tensor, Tensor]:
    return similarity.new_empty(()), logits.new_empty(logits.shape if with_gradient else 0)


class _Block:
    """Working arrays for some rows of some images, with a row and a column of zeros or neighbours on each side.

    Args:
        images: how many.
        classes: ``C``.
        rows: at most.
        width: ``W``.
        like: gives dtype and device.
    """

    def __init__(self, images: int, classes: int, rows: int, width: int, like: Tensor) -> None:
        self.pitch = width + 2
        self.length = rows * self.pitch
        self.start = self.pitch + 1  # of the block's own rows; one value more at both ends for the corners
        whole = self.length + 2 * self.start
        self.shares = like.new_zeros(images, 2, classes, whole)  # log p, then p
        self.sums = like.new_empty(images, 2, classes, self.length)  # L, then Q
        self.similarity = like.new_zeros(images, len(SHIFTS), whole)
        self.top = self.count = self.height = 0

    def load(self, logits: Tensor, similarity: Tensor, top: int) -> None:
        """Fetch the rows from ``top`` on, with the row above and the row below."""
        self.height = logits.shape[-2]
        rows = self.length // self.pitch
        self.top, self.count = top, min(rows, self.height - top)
        first, last = max(top - 1, 0), min(top + self.count + 1, self.height)
        log_p = torch.log_softmax(logits[..., first:last, :], 1, dtype=self.shares.dtype)
        place = slice(first - (top - 1), last - (top - 1))
        own = self._rows(self.shares)
        own[:, 0, :, place].copy_(log_p)
        torch.exp(log_p, out=own[:, 1, :, place])
        mine = self._rows(self.similarity)
        mine[:, :, place].copy_(similarity[..., first:last, :])
        if first == top:  # no row above
            mine[:, :, 0] = 0

    def _rows(self, flat: Tensor) -> Tensor:
        """The part of a flat array that holds pixels, as rows."""
        inner = flat[..., 1:-1]
        return inner.view(*inner.shape[:-1], -1, self.pitch)[..., 1:-1]

    def sum(self, gradient: Tensor | None) -> Tensor:
        """The sum over the block's own rows; writes its gradient by the logits into theirs."""
        length, here = self.count * self.pitch, slice(self.start, self.start + self.count * self.pitch)
        sums = self.sums[..., :length]
        degree = self.similarity.new_zeros(len(sums), 1, length)
        for number, (down, right) in enumerate(SHIFTS):
            offset = down * self.pitch + right
            after = slice(here.start + offset, here.stop + offset)
            before = slice(here.start - offset, here.stop - offset)
            to_after = self.similarity[:, number, None, here]
            to_before = self.similarity[:, number, None, before]
            if number == 0:
                torch.mul(to_after[:, None], self.shares[..., after], out=sums)
            else:
                sums.addcmul_(to_after[:, None], self.shares[..., after])
            sums.addcmul_(to_before[:, None], self.shares[..., before])
            degree += to_after
            degree += to_before
        log_p, p = self.shares[:, 0, :, here], self.shares[:, 1, :, here]
        gain = torch.mul(log_p, degree).sub_(sums[:, 0])
        divergence = (gain * p).sum(1, keepdim=True)
        if gradient is not None:
            gain.add_(degree - divergence).mul_(p).sub_(sums[:, 1])
            rows = gain.view(*gain.shape[:-1], self.count, self.pitch)[..., 1:-1]
            gradient[..., self.top : self.top + self.count, :].copy_(rows)
        return divergence.sum(dtype=torch.float64)
