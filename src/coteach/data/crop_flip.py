"""Random crops and flips of a whole batch at once, where it lies: on the CPU or an accelerator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional as F

from coteach.data.sending import sent
from coteach.errors import OptionError

_ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))


def draws(seeds: Sequence[int], count: int, limit: int) -> Int64[np.ndarray, "b count"]:
    """Whole numbers in [0, ``limit``) that depend on the seed of their row alone (SplitMix64, Steele et al. 2014).

    Args:
        seeds: one a row, in [0, 2^64).
        count: columns.
        limit: >= 1, far below 2^32.
    """
    state = np.asarray(seeds, np.uint64)[:, None] + _ODD * np.arange(1, count + 1, dtype=np.uint64)
    for shift, factor in _MIX:
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    drawn: np.ndarray = ((state >> np.uint64(32)) * np.uint64(limit) >> np.uint64(32)).astype(np.int64)
    return drawn


class BatchAugmentation(ABC):
    """Changes the images of a batch at once, each by a seed of its own: the base of users' own ones."""

    @abstractmethod
    def __call__(
        self, images: Float32[Tensor, "b bands h w"], seeds: Sequence[int]
    ) -> Float32[Tensor, "b bands h2 w2"]:
        """The images, changed.

        Args:
            images: ``(B, bands, H, W)``.
            seeds: one an image, in [0, 2^63); the same seed changes an image in the same way in any batch.

        Returns:
            ``(B, bands, H', W')``.
        """


class RandomCropFlip(BatchAugmentation):
    """The usual augmentation of small photographs (He et al. 2016, section 4.2), for batches.

    Each image is padded with zeros, cut at a random place to its own size again, and flipped left to right in half of the cases.

    Args:
        padding: pixels at each side, >= 0.
        flip: whether images are flipped.

    Raises:
        OptionError: ``padding`` is negative.

    Example:
        >>> RandomCropFlip(1)(torch.zeros(2, 3, 8, 8), [1, 2]).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(self, padding: int = 4, *, flip: bool = True) -> None:
        if padding < 0:
            raise OptionError("padding", f"{padding} is negative", "use 0 to leave the crop out")
        self.padding = padding
        self.flip = flip

    def __repr__(self) -> str:
        return f"RandomCropFlip(padding={self.padding}, flip={self.flip})"

    def __call__(
        self, images: Float32[Tensor, "b bands h w"], seeds: Sequence[int]
    ) -> Float32[Tensor, "b bands h w"]:
        """The images, moved and flipped.

        Args:
            images: ``(B, bands, H, W)``.
            seeds: one an image; the same seed gives the same crop in any batch and on any device.
        """
        height, width = images.shape[-2:]
        down, right, flipped = self._drawn(seeds, images.device)
        rows = torch.arange(height, device=images.device) + down[:, None]
        columns = torch.arange(width, device=images.device).expand(len(images), -1)
        columns = torch.where(flipped[:, None], width - 1 - columns, columns) + right[:, None]
        padded = F.pad(images, [self.padding] * 4)
        image = torch.arange(len(images), device=images.device)[:, None, None, None]
        band = torch.arange(images.shape[1], device=images.device)[None, :, None, None]
        return padded[image, band, rows[:, None, :, None], columns[:, None, None, :]]

    def _drawn(self, seeds: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Where each crop begins, and whether it is flipped, ``(B,)`` each."""
        corner = draws(seeds, 3, 2 * self.padding + 1)
        flipped = draws(seeds, 3, 2)[:, 2].astype(bool) & self.flip
        drawn = np.stack([*corner.T[:2], flipped.astype(np.int64)])
        down, right, flips = sent(torch.from_numpy(drawn), device)
        return down, right, flips.bool()
