"""A trained method -> the class of every image of a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64

from coteach.data.image_set import ImageSet
from coteach.methods.base import Method

_BATCH = 64


@dataclass(frozen=True)
class ImagePredictions:
    """Of ``N`` images.

    Args:
        probs: ``(N, C)`` float32, probabilities of the classes.
        labels: ``(N,)`` int64, the given class, that of the largest share for soft labels; -1 for images without one
            and for those that could not be read.
    """

    probs: Float32[np.ndarray, "n c"]
    labels: Int64[np.ndarray, " n"]

    @property
    def classes(self) -> Int64[np.ndarray, " n"]:
        """Most probable class; ties go to the lowest code."""
        codes: Int64[np.ndarray, " n"] = self.probs.argmax(1)
        return codes


def _silent(images: int) -> None:
    """Nobody follows the progress."""


def predict_images(
    method: Method,
    dataset: ImageSet,
    *,
    items: Int64[np.ndarray, " n"] | None = None,
    batch_size: int = _BATCH,
    advance: Callable[[int], None] = _silent,
) -> ImagePredictions:
    """Predict every image of a data set, without augmentation, where the method's weights are.

    Args:
        method: trained; it is put into evaluation mode.
        dataset: images and labels.
        items: ``(N,)`` positions of those that are predicted; None predicts all.
        batch_size: images at once.
        advance: called with the number of images that are done.
    """
    device = next(method.parameters()).device
    method.eval()
    probs = []
    chosen = np.arange(len(dataset)) if items is None else items
    for start in range(0, len(chosen), batch_size):
        images = [dataset.plain(i)["image"] for i in chosen[start : start + batch_size].tolist()]
        with torch.inference_mode():
            probs.append(method.predict(torch.stack(images).to(device)).float().cpu().numpy())
        advance(len(images))
    labels = dataset.labels.hard().copy()
    labels[list(dataset.skipped)] = -1
    return ImagePredictions(np.concatenate(probs), labels[chosen])
