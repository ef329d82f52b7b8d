"""A trained method -> class maps, window by window, one tile in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from coteach.losses.target import as_soft_target, hard_label
from coteach.methods.base import Method
from coteach.rasters.grid import Window


@runtime_checkable
class WindowedDataset(Protocol):
    """What prediction needs of a data set: samples, and where each one lies."""

    num_classes: int

    def __len__(self) -> int: ...
    def plain(self, index: int) -> Mapping[str, Any]:
        """The sample without augmentation."""

    def location(self, index: int) -> tuple[Path, Window]:
        """Image file and the window of it that the sample shows."""


@dataclass(frozen=True)
class TilePrediction:
    """Class probabilities of one image.

    Args:
        image: file.
        window: the part of the image that holds all windows.
        probs: ``(C, H, W)`` float32, the mean over the windows that show a pixel; 0 where none does.
        covered: ``(H, W)`` bool, where any window lies.
        labels: ``(H, W)`` int64, argmax of the data set's P_soft; -1 where it has no label.
    """

    image: Path
    window: Window
    probs: Float32[np.ndarray, "c h w"]
    covered: Bool[np.ndarray, "h w"]
    labels: Int64[np.ndarray, "h w"]

    @property
    def classes(self) -> Int64[np.ndarray, "h w"]:
        """Most probable class; ties go to the lowest code."""
        codes: Int64[np.ndarray, "h w"] = self.probs.argmax(0)
        return codes


def _silent(samples: int) -> None:
    """Nobody follows the progress."""


def predict_tiles(
    method: Method,
    dataset: WindowedDataset,
    *,
    batch_size: int = 8,
    device: torch.device | None = None,
    advance: Callable[[int], None] = _silent,
) -> Iterator[TilePrediction]:
    """Predict every sample of a data set and put the windows of an image together.

    Args:
        method: trained.
        dataset: its samples' windows.
        batch_size: samples at once.
        device: where to compute; None means where the method's weights are.
        advance: called with the number of samples that are done.

    Yields:
        One prediction an image, in order of their paths.
    """
    device = device or next(method.parameters()).device
    places = sorted((*dataset.location(i), i) for i in range(len(dataset)))
    for image, members in groupby(places, key=lambda place: place[0]):
        listed = list(members)
        windows = [window for _, window, _ in listed]
        whole = _hull(windows)
        total = np.zeros((dataset.num_classes, whole.height, whole.width), np.float32)
        count = np.zeros((whole.height, whole.width), np.int32)
        labels = np.full(count.shape, -1, np.int64)
        for start in range(0, len(listed), batch_size):
            part = listed[start : start + batch_size]
            samples = [dataset.plain(i) for _, _, i in part]
            probs = _predict(method, [sample["image"] for sample in samples], device)
            for (_, window, _), sample, one in zip(part, samples, probs, strict=True):
                place = window._replace(
                    row_off=window.row_off - whole.row_off, col_off=window.col_off - whole.col_off
                )
                place.cut(total)[...] += one
                place.cut(count)[...] += 1
                place.cut(labels)[...] = _labels(sample["mask"])
            advance(len(part))
        total /= np.maximum(count, 1)
        yield TilePrediction(image, whole, total, count > 0, labels)


def _labels(mask: Mapping[str, Tensor]) -> Int64[np.ndarray, "h w"]:
    probs = mask["mask"]
    target = as_soft_target({key: value[None] for key, value in mask.items()}, len(probs))
    codes: Int64[np.ndarray, "h w"] = (
        torch.where(target.valid, hard_label(target.probs), -1)[0].long().numpy()
    )
    return codes


def _predict(
    method: Method, images: Sequence[Tensor], device: torch.device
) -> Float32[np.ndarray, "b c h w"]:
    method.eval()
    with torch.inference_mode():
        probs = method.predict(torch.stack(list(images)).to(device))
    result: Float32[np.ndarray, "b c h w"] = probs.float().cpu().numpy()
    return result


def _hull(windows: Sequence[Window]) -> Window:
    top, left = min(w.row_off for w in windows), min(w.col_off for w in windows)
    bottom = max(w.row_off + w.height for w in windows)
    right = max(w.col_off + w.width for w in windows)
    return Window(top, left, bottom - top, right - left)
