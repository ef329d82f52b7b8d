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

from coteach.data.sample import Sample
from coteach.errors import CoteachWarning, MissingExtraError, OptionError


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
        self._all = albumentations.Compose(kept)
        self._fixed = albumentations.Compose([t for t in kept if _is_normalize(t) and t.p == 1])
        self._next_seed: int | None = None

    def reseed(self, seed: int) -> None:
        """Fix what the next call draws; calls after it draw from torch's generator again."""
        self._next_seed = seed

    def __call__(self, sample: Sample) -> Sample:
        """Augment one sample; crops and resizes change its height and width.

        Raises:
            OptionError: a transform refuses the sample.
        """
        # Not Compose.set_random_seed: it starts every transform from the same state, so that two flips of
        # probability 0.5 happen always together. torch seeds each worker differently.
        seed, self._next_seed = self._next_seed, None
        if seed is None:
            seed = int(torch.randint(2**62, ()))
        self._all.set_random_state(np.random.default_rng(seed), random.Random(seed))
        return _apply(self._all, sample)

    def normalize(self, sample: Sample) -> Sample:
        """Apply only the ``Normalize`` that every image goes through."""
        return _apply(self._fixed, sample)

    def normalized(self, image: Float32[np.ndarray, "bands h w"]) -> Float32[np.ndarray, "bands h w"]:
        """An image without a label, as :meth:`normalize` gives it."""
        shape = image.shape[1:]  # transforms move a label along; a normalized image needs none
        return self.normalize(
            Sample(image, np.zeros((1, *shape), np.float32), np.zeros(shape, np.float32))
        ).image


def _apply(compose: Any, sample: Sample) -> Sample:
    label = np.concatenate([sample.p_soft, sample.w_conf[None]])
    try:
        done = compose(image=_channels_last(sample.image), mask=_channels_last(label))
    except Exception as error:
        bands, height, width = sample.image.shape
        cause = f"fails on an image of {bands} bands and {height} x {width} pixels ({error})"
        remedy = "change the transform that the message speaks of"
        raise OptionError("augmentation_list", cause, remedy) from error
    moved = _channels_first(done["mask"])
    return Sample(_channels_first(done["image"]), moved[:-1], moved[-1])


def check_normalize(transforms: Sequence[Any], num_bands: int, *, scaled: bool) -> None:
    """Look for a ``Normalize`` that does not fit the images; albumentations takes some of them without a word.

    Args:
        transforms: of the data set.
        num_bands: of its images.
        scaled: whether its images are in [0, 1]; then a ``max_pixel_value`` other than 1 is warned of.

    Raises:
        OptionError: it has means or deviations for another number of bands.
    """
    for transform in _leaves(transforms):
        if not _is_normalize(transform) or transform.normalization != "standard":
            continue
        for name in ("mean", "std"):
            values = np.atleast_1d(getattr(transform, name))
            if len(values) not in {1, num_bands}:
                cause = f"Normalize has {len(values)} values in {name}, the images have {num_bands} bands"
                raise OptionError("augmentation_list", cause, "give one value a band")
        if scaled and transform.max_pixel_value != 1:
            warnings.warn(
                f"augmentation_list: Normalize has max_pixel_value {transform.max_pixel_value:g}, but images are "
                "in [0, 1] when they reach it; give max_pixel_value=1.0",
                CoteachWarning,
                stacklevel=3,
            )


def _is_normalize(transform: Any) -> bool:
    return type(transform).__name__ == "Normalize"


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
