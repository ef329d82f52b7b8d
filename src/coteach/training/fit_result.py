"""What ``coteach.fit`` gives: trained networks, their history, and what they say of other images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from coteach.data.picture_list import find_pictures
from coteach.data.picture_reader import PictureReader
from coteach.data.sample import FULL_SCALE
from coteach.errors import OptionError
from coteach.methods.label_method import LabelMethod

_AT_ONCE = 256  # images that are predicted together


@dataclass(frozen=True)
class FitResult:
    """What training gave.

    Args:
        method: trained, in evaluation mode.
        history: name of a figure -> epoch, from 0 -> value: losses, rates, what was selected, and validation.
        output_dir: folder of the run; None if it was a temporary one.
        reader: reads pictures as the training set did; None if that was none of pictures.
    """

    method: LabelMethod
    history: Mapping[str, Mapping[int, float]]
    output_dir: Path | None
    reader: PictureReader | None = None

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Name -> trained network."""
        return dict(self.method.networks.items())

    def predict(
        self, images: Tensor | np.ndarray | str | Path | Sequence[str | Path]
    ) -> Float32[np.ndarray, "n c *s"]:
        """Class probabilities of images.

        Args:
            images: ``(N, bands, H, W)``: floats scaled as those of the training set, uint8 or uint16, which are divided by
                255 or 65535; or pictures, if that was a set of pictures: files, or a folder for all in it and below
                it, sorted by name.

        Returns:
            ``(N, C)``, by the method's own rule which networks predict.

        Raises:
            InputError: a picture cannot be read, or has another size than the others.
            OptionError: pictures are named that do not exist, the training set was none of pictures, or an array is of
                another type.
        """
        device = next(self.method.parameters()).device
        with torch.inference_mode():
            parts = [self.method.predict(part.to(device)).float().cpu() for part in self._parts(images)]
        return torch.cat(parts).numpy()

    def _parts(self, images: Tensor | np.ndarray | str | Path | Sequence[str | Path]) -> Iterator[Tensor]:
        if isinstance(images, (Tensor, np.ndarray)):
            dtype = str(images.dtype).removeprefix("torch.")
            if dtype not in FULL_SCALE:
                remedy = "give uint8, uint16, or floats scaled as those of the training set"
                raise OptionError("images", f"are {dtype}, which has no scale of its own", remedy)
            for start in range(0, len(images), _AT_ONCE):
                part = torch.as_tensor(images[start : start + _AT_ONCE]).to(torch.float32)
                yield part / FULL_SCALE[dtype]
            return
        if self.reader is None:
            cause = "are pictures, the training set was none of pictures"
            raise OptionError("images", cause, "give them as an array")
        given = [images] if isinstance(images, (str, Path)) else images
        paths = find_pictures([Path(one) for one in given])
        for start in range(0, len(paths), _AT_ONCE):
            yield torch.from_numpy(self.reader.read_all(paths[start : start + _AT_ONCE]))
