"""Images with boxes, as a torch data set: what all formats have in common."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32
from torch.utils.data import Dataset

from coteach.data.box_geometry import apply_affine_boxes
from coteach.data.detection_boxes import AnnotatedImage, Annotations
from coteach.data.detection_options import WeakOptions, options_from
from coteach.data.detection_views import weak_view
from coteach.data.image_files import read_picture
from coteach.data.image_set import digest
from coteach.errors import CoteachWarning, InputError, OptionError
from coteach.rasters.fingerprint import stamps
from coteach.types import Batch

OnMissing = Literal["raise", "skip"]
DetectionSample = dict[str, Any]


class DetectionDataset(Dataset[DetectionSample]):
    """Images of any size, each with its boxes. The index of an image is its id in a run.

    A sample is a dict: ``image`` ``(3, H, W)`` float32 in [0, 1]; ``mask``, the target as torchvision's detectors
    take it: ``boxes`` ``(N, 4)`` float32 x1, y1, x2, y2 in pixels of ``image`` and ``labels`` ``(N,)`` int64 from 1, or None
    without labels; ``image_id``, ``file_name`` and ``size``, the (H, W) of the file; ``matrix`` ``(3, 3)``, from
    coordinates of the file to those of ``image``; ``ignore`` ``(I, 4)``, regions that evaluation leaves out. Where boxes are
    withheld, ``truth`` is what ``mask`` would be: for figures, never for training.

    Args:
        annotations: images and boxes.
        labelled: False withholds the boxes; if there are any, figures of pseudo boxes are held against them.
        weak: each draw is a weak view, as these options say; None gives images as they are.
        on_missing: an image without its file stops the work (``raise``), or is left out (``skip``) with a warning.

    Attributes:
        annotations: as given, without the images that were left out.
        class_names: of labels 1, 2, ...
        num_classes: without the background, which is 0.

    Raises:
        InputError: there are no images, or image files are missing.
        OptionError: ``on_missing`` is unknown.
    """

    def __init__(
        self,
        annotations: Annotations,
        *,
        labelled: bool = True,
        weak: WeakOptions | Mapping[str, Any] | None = None,
        on_missing: OnMissing = "raise",
    ) -> None:
        self.annotations = _present(annotations, on_missing)
        self.labelled = labelled
        self.weak = None if weak is None else options_from(WeakOptions, weak, "weak")
        self.class_names = self.annotations.class_names
        self.num_classes = len(self.class_names)
        self._generator: torch.Generator | None = None
        boxes = any(len(image.boxes) for image in self.annotations.images)
        self._withheld = boxes and not labelled

    def __len__(self) -> int:
        return len(self.annotations.images)

    def __getitem__(self, index: int) -> DetectionSample:
        """An image, in a weak view if there are options of one, and its boxes."""
        sample = self.plain(index)
        if self.weak is None:
            return sample
        generator = self._generator or torch.default_generator
        view = weak_view(sample["image"], generator, self.weak)
        sample |= {"image": view.image, "matrix": view.matrix}
        sample["ignore"], _ = apply_affine_boxes(sample["ignore"], view.matrix, size=view.size)
        for key in ("mask", "truth"):
            if sample.get(key) is not None:
                boxes, kept = apply_affine_boxes(sample[key]["boxes"], view.matrix, size=view.size)
                sample[key] = {"boxes": boxes, "labels": sample[key]["labels"][kept]}
        return sample

    def plain(self, index: int) -> DetectionSample:
        """An image as it is, and its boxes."""
        entry = self.annotations.images[index]
        image = torch.from_numpy(self.read(index))
        target = {
            "boxes": torch.from_numpy(entry.boxes).clone(),
            "labels": torch.from_numpy(entry.labels).clone(),
        }
        return ({"truth": target} if self._withheld else {}) | {
            "image": image,
            "mask": target if self.labelled else None,
            "image_id": entry.image_id,
            "file_name": str(entry.path),
            "size": (image.shape[1], image.shape[2]),
            "matrix": torch.eye(3, dtype=torch.float64),
            "ignore": torch.from_numpy(entry.ignore).clone(),
        }

    def read(self, index: int) -> Float32[np.ndarray, "3 h w"]:
        """An image, decoded.

        Raises:
            InputError: it is damaged, or its size is not what the annotations say.
        """
        return read_annotated(self.annotations.images[index], self.annotations.source)

    def reseed(self, seed: int) -> None:
        """Fix what the next weak view draws; without it torch's generator decides."""
        self._generator = torch.Generator().manual_seed(seed)

    def fingerprint(self) -> str:
        """What tells this data from other data: of the images' names, sizes and times, and the boxes."""
        images = self.annotations.images
        stamped = stamps([image.path for image in images])
        told = [f"{image.image_id} {image.path.name} {stamped[str(image.path)]}" for image in images]
        boxes = [part.tobytes() for image in images for part in (image.boxes, image.labels, image.ignore)]
        return digest("\n".join((*told, *self.class_names)).encode(), bytes([self.labelled]), *boxes)

    @staticmethod
    def collate(samples: Sequence[Mapping[str, Any]]) -> Batch:
        """Drawn samples as one batch: images stay a tuple, for their sizes differ, and so do targets.

        Args:
            samples: as :class:`coteach.data.keyed.KeyedDataset` draws them.

        Returns:
            Of each view a tuple of images and a tuple of targets, None if no image has one; ``extra`` holds tuples.
        """
        targets = [tuple(view) for view in zip(*(sample["targets"] for sample in samples), strict=True)]
        extra = [sample["extra"] for sample in samples]
        return Batch(
            ids=torch.tensor([sample["id"] for sample in samples]),
            views=tuple(zip(*(sample["views"] for sample in samples), strict=True)),
            targets=tuple(None if all(one is None for one in view) else view for view in targets),
            extra={key: tuple(one[key] for one in extra) for key in extra[0]},
        )


def read_annotated(entry: AnnotatedImage, source: Path) -> Float32[np.ndarray, "3 h w"]:
    """An image, decoded.

    Args:
        entry: of the annotations.
        source: the annotations' file, for the error.

    Raises:
        InputError: it is damaged, or its size is not what the annotations say.
    """
    try:
        image = read_picture(entry.path, None, 3)
    except InputError as error:
        raise InputError(error.thing, error.cause, "correct, replace or remove it") from error
    if entry.size is not None and image.shape[1:] != entry.size:
        cause = "is {1} x {0} pixels where {4} says {3} x {2} (width x height)".format(
            *image.shape[1:], *entry.size, source
        )
        raise InputError(str(entry.path), cause, "correct one of them: the boxes do not fit")
    return image


def _present(annotations: Annotations, on_missing: OnMissing) -> Annotations:
    """The annotations of images whose files are there."""
    if on_missing not in ("raise", "skip"):
        raise OptionError("on_missing", f"{on_missing!r} is unknown", "use 'raise' or 'skip'")
    if not annotations.images:
        raise InputError(str(annotations.source), "has no images", "give at least one")
    there: list[AnnotatedImage] = []
    missing: list[AnnotatedImage] = []
    for image in annotations.images:
        (there if image.path.is_file() else missing).append(image)
    if not missing:
        return annotations
    cause = f"{len(missing)} of {len(annotations.images)} image files are missing, the first one {missing[0].path}"
    if on_missing == "raise" or not there:
        remedy = "correct the image folder, or set on_missing: skip"
        raise InputError(str(annotations.source), cause, remedy)
    warnings.warn(f"{annotations.source}: {cause}; left out", CoteachWarning, stacklevel=4)
    return Annotations(annotations.source, tuple(there), annotations.class_names, annotations.category_ids)
