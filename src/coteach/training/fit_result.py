"""What ``coteach.fit`` gives: trained networks, their history, and what they say of other images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from coteach.data.image_set import other_extent
from coteach.data.picture_list import find_pictures
from coteach.data.picture_reader import PictureReader
from coteach.errors import InputError, OptionError
from coteach.methods.label_method import LabelMethod
from coteach.training.rehearsal import find_misfit

_AT_ONCE = 256  # images that are predicted together


@dataclass(frozen=True)
class FitResult:
    """What training gave.

    Args:
        method: trained, in evaluation mode.
        history: name of a figure -> epoch, from 0 -> value: losses, rates, what was selected, and validation.
        output_dir: folder of the run; None if it was a temporary one.
        reader: reads pictures as the training set did; None if that was none of pictures.
        num_bands: of the training set's images; None if it does not tell.
    """

    method: LabelMethod
    history: Mapping[str, Mapping[int, float]]
    output_dir: Path | None
    reader: PictureReader | None = None
    num_bands: int | None = None

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Name -> trained network."""
        return dict(self.method.networks.items())

    def predict(
        self, images: Tensor | np.ndarray | str | Path | Sequence[str | Path]
    ) -> Float32[np.ndarray, "n c *s"]:
        """Class probabilities of images.

        Args:
            images: ``(N, bands, H, W)``, of one band also ``(N, H, W)``, floats as the networks were shown them: uint8 / 255, uint16 / 65535 or by the set's
                ``image_scale``, then normalized if that was; or pictures, if the training set was one of pictures: files, a
                folder for all in it and below it, sorted by name, or a CSV with the column ``path``.

        Returns:
            ``(N, C)``, by the method's own rule which networks predict.

        Raises:
            InputError: a picture cannot be read, or has another size than the others; or images have another shape than
                those of the training set, which the networks cannot take.
            OptionError: pictures are named that do not exist, or none; the training set was none of pictures; or an array
                holds integers, of which it is not known how they are to be scaled.
            TableError: a CSV lacks the column, a path or all rows.
        """
        device = next(self.method.parameters()).device
        with torch.inference_mode():
            parts = [self._scores(part.to(device)).float().cpu() for part in self._parts(images)]
        if not parts:
            return np.zeros((0, self.method.num_classes), np.float32)
        return torch.cat(parts).numpy()

    def _scores(self, part: Tensor) -> Tensor:
        try:
            return self.method.predict(part)
        except (RuntimeError, ValueError) as error:
            if part.ndim < 2:
                raise
            found = find_misfit(self.method.predict, part[:1], self.method.num_classes, ())
            if found is None or found.about == "answer":  # of memory, say
                raise
            remedy = "give images like those of training"
            raise InputError("images", f"the network {found.cause}", remedy) from error

    def _with_bands(self, values: Tensor) -> Tensor:
        """``(N, bands, H, W)``, of what may be so."""
        bands = self.num_bands
        if bands is None:
            return values
        if values.ndim == 3 and bands == 1:
            return values[:, None]
        if values.ndim != 4 or values.shape[1] != bands:
            cause = f"shape {tuple(values.shape)} is not (N, {bands}, H, W)"
            raise InputError("images", cause, "give as many bands as in training, before the rows")
        return values

    def _parts(self, images: Tensor | np.ndarray | str | Path | Sequence[str | Path]) -> Iterator[Tensor]:
        if isinstance(images, (Tensor, np.ndarray)):
            values = torch.as_tensor(images)
            if not values.is_floating_point():
                remedy = "give floats as the networks were shown them: of uint8 images / 255"
                raise OptionError("images", f"are {str(values.dtype).removeprefix('torch.')}", remedy)
            yield from (part.float() for part in torch.split(self._with_bands(values), _AT_ONCE) if len(part))
            return
        if self.reader is None:
            cause = "are pictures, the training set was none of pictures"
            raise OptionError("images", cause, "give them as an array")
        given = [images] if isinstance(images, (str, Path)) else images
        paths = find_pictures([Path(one) for one in given])
        if not paths:
            raise OptionError("images", "name no picture", "give at least one")
        first: Sequence[int] | None = None
        for start in range(0, len(paths), _AT_ONCE):
            pictures = self.reader.read_all(paths[start : start + _AT_ONCE])
            first = first or pictures.shape[2:]
            if pictures.shape[2:] != first:
                raise other_extent(str(paths[start]), pictures.shape[2:], first)
            yield torch.from_numpy(pictures)
