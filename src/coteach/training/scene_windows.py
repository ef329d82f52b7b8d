"""Windows of a scene, read and shown to a method's networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from coteach.data.scene import SceneImage
from coteach.errors import RasterError
from coteach.methods.base import Method
from coteach.methods.label_method import LabelMethod
from coteach.rasters.grid import Window
from coteach.training.rehearsal import find_misfit
from coteach.training.tta import Tta, mean_over_views


class ShownWindow(NamedTuple):
    """A window of the image.

    Args:
        top: its first row.
        left: its first column.
        image: ``(bands, window, window)``, what a network is shown.
        valid: ``(h, w)``, where the image has data; without what sticks out of the scene.
    """

    top: int
    left: int
    image: Float32[Tensor, "bands window window"]
    valid: Bool[np.ndarray, "h w"]


@dataclass(frozen=True)
class SceneWindows:
    """Predicts windows of one scene.

    Args:
        method: trained, in evaluation mode.
        image: the scene.
        num_classes: ``C``.
        compared: networks whose probabilities are wanted one by one; empty for the method's prediction.
        window: side of a window in pixels.
        batch_size: windows at once.
        device: where the networks are.
        tta: views of each window that are predicted and averaged.
    """

    method: Method
    image: SceneImage
    num_classes: int
    compared: Sequence[str]
    window: int
    batch_size: int
    device: torch.device
    tta: Tta = "none"

    def predicted(
        self, corners: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[ShownWindow, Float32[np.ndarray, "planes window window"] | None]]:
        """Windows with their probabilities, in order.

        Args:
            corners: first row and first column of each.

        Yields:
            The window, and the ``C`` probabilities of its pixels, for each compared network after the other; None
            where all is NoData, which no network needs to see.

        Raises:
            RasterError: the image is damaged, or does not fit the network.
        """
        for start in range(0, len(corners), self.batch_size):
            batch = [self._read(top, left) for top, left in corners[start : start + self.batch_size]]
            with_data = [shown.image for shown in batch if shown.valid.any()]
            probs = iter(self._probs(torch.stack(with_data)) if with_data else ())
            for shown in batch:
                yield shown, next(probs) if shown.valid.any() else None

    def _read(self, top: int, left: int) -> ShownWindow:
        """A window; a scene that is smaller is mirrored at its far edges."""
        grid = self.image.grid
        height, width = min(self.window, grid.height - top), min(self.window, grid.width - left)
        image, valid = self.image.read(Window(top, left, height, width))
        if (height, width) != (self.window, self.window):
            rows, cols = (
                torch.from_numpy(np.pad(np.arange(n), (0, self.window - n), mode="reflect"))
                for n in (height, width)
            )
            image = image[:, rows][:, :, cols]
        return ShownWindow(top, left, image, valid)

    def _probs(
        self, images: Float32[Tensor, "b bands window window"]
    ) -> Float32[np.ndarray, "b planes window window"]:
        planes = self.num_classes * max(len(self.compared), 1)
        try:
            with torch.inference_mode():
                probs = mean_over_views(self._predict, images.to(self.device), self.tta).float().cpu().numpy()
        except torch.cuda.OutOfMemoryError as error:
            cause = f"{len(images)} windows of {self.window} pixels do not fit into the GPU's memory"
            raise RasterError(
                str(self.image.path), cause, "try a smaller --batch-size or --window"
            ) from error
        except Exception as error:  # networks come from anywhere
            raise self._misfit(images) from error
        if probs.shape != (len(images), planes, self.window, self.window):
            raise self._misfit(images)
        result: Float32[np.ndarray, "b planes window window"] = probs
        return result

    def _predict(self, images: Tensor) -> Tensor:
        if self.compared and isinstance(self.method, LabelMethod):
            return self.method.network_probs(images, self.compared).movedim(0, 1).flatten(1, 2)
        probs = self.method.predict(images)
        assert isinstance(probs, Tensor)
        return probs

    def _misfit(self, images: Tensor) -> RasterError:
        """What the network does not like about these images, found out with the first of them."""
        extent = images.shape[2:]
        found = find_misfit(self.method.predict, images[:1].to(self.device), self.num_classes, extent)
        cause = f"fails on {len(images)} windows at once, not on one" if found is None else found.cause
        remedy = "give images of the kind that it was trained on, or try another --window or --batch-size"
        if found is not None and found.about == "bands":  # no window changes that
            remedy = f"give images of {found.has} bands, like those that it was trained on"
        return RasterError(str(self.image.path), f"the model {cause}", remedy)
