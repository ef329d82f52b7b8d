"""Albumentations on an image and its soft label together, reproducible sample by sample."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from coteach.errors import MissingExtraError, OptionError


class JointAugmentation:
    """Applies one list of transforms to image, P_soft and W_conf alike.

    The label is moved as one mask of ``C + 1`` channels, by nearest neighbour unless a transform is told
    otherwise. What enters from outside the image gets the transform's ``fill_mask``, by default 0: no vote.
    ``ToTensorV2`` is left out, as the data sets make tensors themselves.

    Args:
        transforms: albumentations transforms. They see a float32 image whose values are those of the data set
            (in [0, 1] if scaled so): a ``Normalize`` needs ``max_pixel_value=1.0``.

    Raises:
        MissingExtraError: albumentations is not installed.
    """

    def __init__(self, transforms: Sequence[Any]) -> None:
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or its import asks the network for news
        try:
            import albumentations
        except ModuleNotFoundError as error:
            remedy = "pip install 'coteach[training]'"
            raise MissingExtraError("augmentation_list", f"{error.name} is not installed", remedy) from error
        kept = [transform for transform in transforms if type(transform).__name__ != "ToTensorV2"]
        self._compose = albumentations.Compose(kept)
        self._next_seed: int | None = None

    def reseed(self, seed: int) -> None:
        """Fix what the next call draws; calls after it draw from torch's generator again."""
        self._next_seed = seed

    def __call__(
        self,
        image: Float32[np.ndarray, "bands h w"],
        p_soft: Float32[np.ndarray, "c h w"],
        w_conf: Float32[np.ndarray, "h w"],
    ) -> tuple[
        Float32[np.ndarray, "bands h2 w2"], Float32[np.ndarray, "c h2 w2"], Float32[np.ndarray, "h2 w2"]
    ]:
        """Augment one sample.

        Args:
            image: ``(bands, H, W)`` float32.
            p_soft: ``(C, H, W)`` float32, 0 in every class where there is no vote.
            w_conf: ``(H, W)`` float32.

        Returns:
            The three, moved alike; crops and resizes change ``H`` and ``W``.

        Raises:
            OptionError: a transform refuses the sample.
        """
        self._seed()
        label = np.concatenate([p_soft, w_conf[None]])
        try:
            done = self._compose(image=_channels_last(image), mask=_channels_last(label))
        except Exception as error:
            cause = (
                f"fails on an image of {image.shape[0]} bands and {image.shape[1]} x {image.shape[2]} pixels"
            )
            remedy = "change the transform that the message speaks of"
            raise OptionError("augmentation_list", f"{cause} ({error})", remedy) from error
        moved = _channels_first(done["mask"])
        return _channels_first(done["image"]), moved[:-1], moved[-1]

    def _seed(self) -> None:
        """Give all transforms one fresh pair of generators.

        Not ``Compose.set_random_seed``: it starts every transform from the same state, so that two flips of
        probability 0.5 happen always together. Workers differ, as torch seeds each of them.
        """
        seed, self._next_seed = self._next_seed, None
        if seed is None:
            seed = int(torch.randint(2**62, ()))
        self._compose.set_random_state(np.random.default_rng(seed), random.Random(seed))


def warn_of_normalize(transforms: Sequence[Any], stacklevel: int) -> None:
    """Warn of a ``Normalize`` that takes images in [0, 1] for images in 0..255."""
    for transform in _leaves(transforms):
        top = getattr(transform, "max_pixel_value", None)
        if (
            type(transform).__name__ == "Normalize"
            and transform.normalization == "standard"
            and top not in {None, 1}
        ):
            warnings.warn(
                f"augmentation_list: Normalize has max_pixel_value {top:g}, but images are scaled to [0, 1] before it; "
                "give max_pixel_value=1.0",
                stacklevel=stacklevel + 1,
            )


def _leaves(transforms: Sequence[Any]) -> Iterator[Any]:
    """All transforms, those within OneOf, Sequential and the like too."""
    for transform in transforms:
        inner = getattr(transform, "transforms", None)
        if inner is None:
            yield transform
        else:
            yield from _leaves(inner)


def _channels_last(array: Float32[np.ndarray, "c h w"]) -> Float32[np.ndarray, "h w c"]:
    return np.ascontiguousarray(array.transpose(1, 2, 0))


def _channels_first(array: np.ndarray) -> Float32[np.ndarray, "c h w"]:
    return np.ascontiguousarray(np.atleast_3d(array).transpose(2, 0, 1), dtype=np.float32)
