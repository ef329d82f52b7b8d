"""Images and labels in arrays: in memory, or in .npy, .npz and idx files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from coteach.data.array_files import Source, load_array, named
from coteach.data.crop_flip import BatchAugmentation
from coteach.data.image_labels import ImageLabels
from coteach.data.image_set import ImageItem, ImageSet, digest
from coteach.data.sample import scale_divisor
from coteach.data.sending import sent
from coteach.errors import InputError, OptionError, RasterError

Layout = Literal["auto", "NHW", "NHWC", "NCHW"]
_AXES = {"NHW": (0, 1, 2), "NHWC": (0, 3, 1, 2), "NCHW": (0, 1, 2, 3)}
_CHUNK = 1 << 24  # values looked at together


class ArrayDataset(ImageSet):
    """Images in one array, labels in another.

    Args:
        images: ``(N, H, W)``, ``(N, H, W, bands)`` or ``(N, bands, H, W)``, integers or floats: an array, a tensor, or
            the path of a .npy, .npz or idx file (also gzipped). A .npy file is not read into memory.
        labels: ``(N,)`` integer classes (-1: no label) or ``(N, C)`` float shares, given as the images are; None takes
            them from the .npz file of the images.
        augmentation_list: albumentations transforms.
        layout: order of the axes; ``auto`` takes the one of at most 4 for the bands.
        weights: ``(N,)`` confidence in the labels, in [0, 1]; None means 1.
        clean_labels: ``(N,)`` true classes where they are known, -1 where not, given as the labels are. Nothing learns
            from them: training records which share of the selected labels is right.
        class_names: names by code, or None.
        num_classes: ``C``; None means as many as have names, or else as occur.
        image_scale: divides the images; None goes by the dtype: uint8 / 255, uint16 / 65535, floats as they are.
        images_key: name of the array in a .npz file.
        labels_key: name of the array in a .npz file.
        clean_labels_key: name of the array in a .npz file.
        start: first item that is used.
        stop: the item behind the last one; None means the end, negative numbers count from there.
        batch_augmentation: changes whole batches, such as
            :class:`~coteach.data.crop_flip.RandomCropFlip`; instead of ``augmentation_list``.
        device: keep all images there (``cuda``), as they are stored; batches are then made there, without loader workers.

    Attributes:
        positions: range in 0 to ``total`` - 1: for each item, which image of the array it is.
        total: int, images in the array, also those that are not used.
        stacks: whether batches are made at once, by :meth:`stacked`; with an ``augmentation_list`` they are not.

    Raises:
        InputError: shapes or types do not fit, or the images hold NaN.
        OptionError: the layout is ambiguous, the scale unknown, or both kinds of augmentation are given.

    Example:
        >>> from coteach import ArrayDataset
        >>> train = ArrayDataset(np.zeros((10, 28, 28), np.uint8), np.arange(10) % 2)
        >>> train[0]["image"].shape, train[3]["mask"]
        (torch.Size([1, 28, 28]), tensor(1))
    """

    def __init__(
        self,
        images: np.ndarray | Tensor | str | os.PathLike[str],
        labels: np.ndarray | Tensor | Sequence[Any] | str | os.PathLike[str] | None = None,
        augmentation_list: Sequence[Any] | None = None,
        *,
        layout: Layout = "auto",
        weights: Source | None = None,
        clean_labels: Source | None = None,
        class_names: Sequence[str] | None = None,
        num_classes: int | None = None,
        image_scale: float | int | None = None,  # noqa: PYI041 -- checked at run time, where an int is no float
        images_key: str = "images",
        labels_key: str = "labels",
        clean_labels_key: str = "clean_labels",
        start: int = 0,
        stop: int | None = None,
        batch_augmentation: BatchAugmentation | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        if augmentation_list and batch_augmentation is not None:
            raise OptionError(
                "batch_augmentation", "there is an augmentation_list as well", "give one of them"
            )
        part = slice(start, stop)
        stored = load_array(images, images_key, "images")
        self._name = named(images)
        if labels is None and not named(images).endswith(".npz"):
            raise OptionError("labels", "are missing", "give them, or a .npz file that holds them as well")
        values = load_array(images if labels is None else labels, labels_key, "labels")
        self.total = len(stored)
        self.positions = range(self.total)[part]
        self._images = _arranged(stored, layout)[part]
        self._divisor = np.float32(_divisor(str(stored.dtype), image_scale, self._name))
        _check_finite(self._images, self.place)
        trusted = None if weights is None else load_array(weights, "weights", "weights")
        true = None if clean_labels is None else load_array(clean_labels, clean_labels_key, "clean labels")
        super().__init__(
            ImageLabels(
                _cut("labels", values, len(stored), part),
                None if trusted is None else _cut("weights", trusted, len(stored), part),
                class_names=class_names,
                num_classes=num_classes,
                clean=None if true is None else _cut("clean_labels", true, len(stored), part),
            ),
            augmentation_list,
            scaled=float(self._divisor) != 1,
        )
        self._batch_augmentation = batch_augmentation
        self._seed = 0
        self._kept = None if device is None else _on_device(self._images, device)
        self.stacks = not augmentation_list

    def __getitem__(self, index: int) -> ImageItem:
        """An image, augmented, and its label."""
        if self._batch_augmentation is None:
            return super().__getitem__(index)
        item = super().plain(index)
        return item | {"image": self._batch_augmentation(item["image"][None], [self._seed])[0]}

    def reseed(self, seed: int) -> None:
        """Fix what augmentation draws for the next image."""
        super().reseed(seed)
        self._seed = seed

    def stacked(
        self, items: Int64[np.ndarray, " b"], seeds: Sequence[int] | None
    ) -> tuple[Float32[Tensor, "b bands h w"], Tensor | dict[str, Tensor]]:
        """Images ``(B, bands, H, W)`` and labels of a batch, on the device of the images.

        Args:
            items: ``(B,)`` positions.
            seeds: what augmentation draws from, one an item; None augments nothing.
        """
        if self._kept is None:
            images = torch.from_numpy(np.ascontiguousarray(self._images[items], np.float32))
        else:
            images = self._kept[sent(torch.from_numpy(items), self._kept.device)].float()
        images /= float(self._divisor)
        if seeds is not None and self._batch_augmentation is not None:
            images = self._batch_augmentation(images, seeds)
        return images, self.labels.targets(items)

    def __getstate__(self) -> dict[str, Any]:
        if self._kept is not None and self._kept.device.type != "cpu":
            cause = f"the images lie on {self._kept.device}, and loader workers are asked for"
            raise OptionError("num_workers", cause, "set it to 0, or leave out the data set's device")
        return self.__dict__

    def read(self, index: int) -> Float32[np.ndarray, "bands h w"]:
        """The image, scaled."""
        return np.ascontiguousarray(self._images[index], np.float32) / self._divisor

    def place(self, index: int) -> str:
        """Its position in the array."""
        return f"{self._name}, item {self.positions[index]}"

    def fingerprint(self) -> str:
        """Of images, labels and weights, as they are."""
        weights = b"" if self.labels.weights is None else self.labels.weights.tobytes()
        chunks = [digest(np.ascontiguousarray(chunk).tobytes()) for chunk in _chunks(self._images)]
        return digest("".join(chunks).encode(), self.labels.values.tobytes(), weights)


def _divisor(dtype: str, image_scale: float | int | None, name: str) -> float:  # noqa: PYI041 -- as above
    try:
        return scale_divisor(dtype, image_scale, Path(name))
    except RasterError as error:
        example = f"coteach.ArrayDataset(images, labels, image_scale={1 if dtype == 'bool' else 255})"
        raise InputError(error.thing, error.cause, f"{error.remedy}, as in {example}") from error


def _on_device(images: np.ndarray, device: str | torch.device) -> Tensor:
    """All images, copied; uint16 widened, since torch does little with it."""
    wide = images.astype(np.int32) if images.dtype == np.uint16 else images
    return torch.tensor(np.ascontiguousarray(wide), device=device)


def _cut(name: str, values: np.ndarray, count: int, part: slice) -> np.ndarray:
    """The values of the images that are used.

    Raises:
        InputError: there is not one for each image, also of those that are not used.
    """
    if len(values) != count:
        raise InputError(name, f"{len(values)} for {count} images", "give one an image")
    return values[part]


def _arranged(images: np.ndarray, layout: Layout) -> np.ndarray:
    """A view ``(N, bands, H, W)``."""
    if layout not in (*_AXES, "auto"):
        raise OptionError("layout", f"{layout!r} is unknown", f"use auto or one of {', '.join(_AXES)}")
    axes = _guessed(images.shape) if layout == "auto" else _AXES[layout]
    if images.ndim != len(axes):
        expected = "three or four axes" if layout == "auto" else f"{layout}"
        raise InputError(
            "images", f"shape {images.shape} is not {expected}", "give (N, H, W) or one more axis"
        )
    return images[:, None] if images.ndim == 3 else images.transpose(axes)


def _guessed(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) != 4:
        return _AXES["NHW"]
    found = [name for name, axis in (("NCHW", 1), ("NHWC", 3)) if shape[axis] <= 4]
    if len(found) != 1:
        remedy = "give the layout, as in coteach.ArrayDataset(images, labels, layout='NHWC')"
        raise OptionError("layout", f"shape {shape} does not tell which axis holds the bands", remedy)
    return _AXES[found[0]]


def _chunks(images: np.ndarray) -> list[np.ndarray]:
    """Views of some items each, so that a file on disk is never read at once."""
    step = max(1, _CHUNK // max(1, int(np.prod(images.shape[1:]))))
    return [images[begin : begin + step] for begin in range(0, len(images), step)]


def _check_finite(images: np.ndarray, place: Any) -> None:
    if not np.issubdtype(images.dtype, np.floating):
        return
    for number, chunk in enumerate(_chunks(images)):
        bad = np.flatnonzero(~np.isfinite(chunk).all((1, 2, 3)))
        if bad.size:
            first = number * len(_chunks(images)[0]) + int(bad[0])
            raise InputError(place(first), "holds NaN or infinity", "replace the image or leave it out")
