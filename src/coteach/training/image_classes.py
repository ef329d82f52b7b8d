"""A trained method -> the class of an image, how probable each class is, and how far its networks are apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from coteach.errors import InputError, OptionError
from coteach.methods.base import Method
from coteach.methods.label_method import LabelMethod
from coteach.training.network_distance import mean_distance
from coteach.training.rehearsal import find_misfit


@dataclass(frozen=True)
class ImageClasses:
    """Of ``B`` images.

    Args:
        probs: ``(B, C)`` float32, what the method predicts.
        disagreement: ``(B,)`` float32 in [0, 1], the total variation distance of its networks, of more than two the
            mean over all pairs; None of a method with one network.
    """

    probs: Float32[np.ndarray, "b c"]
    disagreement: Float32[np.ndarray, " b"] | None

    @property
    def classes(self) -> Int64[np.ndarray, " b"]:
        """Most probable class; ties go to the lowest code."""
        codes: Int64[np.ndarray, " b"] = self.probs.argmax(1)
        return codes


class ImageClassifier:
    """Asks each network of a method once a batch.

    Args:
        method: trained; it is put into evaluation mode and stays where it is.
        num_classes: ``C``.

    Attributes:
        compared: the networks that are compared: those that predict, if they are several, else all that were trained;
            none where there is one.
    """

    def __init__(self, method: Method, num_classes: int) -> None:
        self.compared: tuple[str, ...] = ()
        if isinstance(method, LabelMethod):
            compared = method.predicting if len(method.predicting) > 1 else method.trained
            self.compared = tuple(compared) if len(compared) > 1 else ()
        self._method = method.eval()
        self._classes = num_classes
        self._device = next(method.parameters()).device

    def check(self, image: Float32[np.ndarray, "bands h w"], place: str) -> None:
        """Try an image; those of its size need not be tried any more.

        Args:
            image: as the network is to be shown it.
            place: how messages name it.

        Raises:
            InputError: the network does not take it.
        """
        sample = torch.from_numpy(image)[None].to(self._device)
        found = find_misfit(self._method.predict, sample, self._classes, ())
        if found is not None:
            remedy = "give images like those that it was trained on"
            raise InputError(place, f"the model {found.cause}", remedy)

    def __call__(self, images: Float32[np.ndarray, "b bands h w"]) -> ImageClasses:
        """Predict a batch.

        Raises:
            OptionError: it does not fit into the GPU's memory.
        """
        try:
            with torch.inference_mode():
                return self._predict(torch.from_numpy(images).to(self._device))
        except torch.cuda.OutOfMemoryError as error:
            count, _, height, width = images.shape
            cause = f"{count} images of {height} x {width} pixels do not fit into the GPU's memory"
            raise OptionError("--batch-size", cause, "give a smaller one") from error

    def _predict(self, images: Tensor) -> ImageClasses:
        method = self._method
        if not self.compared or not isinstance(method, LabelMethod):
            return ImageClasses(method.predict(images).float().cpu().numpy(), None)
        probs, compared = method.predict_beside(images, self.compared)
        distance = mean_distance(compared.movedim(1, 2).cpu().numpy())
        return ImageClasses(probs.float().cpu().numpy(), distance)
