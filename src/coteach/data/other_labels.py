"""Labels of data sets of other packages, as far as they are told without reading all images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import TensorDataset

from coteach.data.collate import sample_parts
from coteach.data.image_labels import ImageLabels
from coteach.data.label_kinds import REMEDY, why_no_label
from coteach.errors import InputError

_LOOKED_AT = 64  # samples


def check_other_labels(dataset: Any, num_classes: int, *, learns: bool = False) -> None:
    """Refuse integer labels that are none of the classes: in training they would pass for no label.

    All are looked at where they are listed: in ``targets``, as torchvision's sets have them, or in a ``TensorDataset``.
    Of another set some samples are drawn, from all over it. Shares pass.

    Args:
        dataset: gives ``(image, label)`` or ``{"image", "mask"}``.
        num_classes: ``C``.
        learns: it is trained on: labels of one class only are refused, too, where all are looked at.

    Raises:
        InputError: a label is neither a class nor -1, or no number of a class at all, or there is no sample, or only one class.
    """
    name = type(dataset).__name__
    if len(dataset) == 0:
        raise InputError(name, "has no samples", "give at least one")
    labels = _listed(dataset)
    items: Sequence[int] = range(len(dataset))
    if labels is None:
        items = range(0, len(dataset), -(-len(dataset) // _LOOKED_AT))
        targets = [sample_parts(dataset[item], dataset, item)[1] for item in items]
        collates = hasattr(dataset, "collate")  # may make classes of anything
        for item, target in zip(items, targets, strict=True):
            if not collates and (cause := why_no_label(target) or _why_map(target)):
                raise InputError(f"{name}, item {item}", f"its label {cause}", REMEDY)
        drawn = [_integer(target) for target in targets]
        if None in drawn:
            return
        labels = np.array(drawn, np.int64)
    found = ImageLabels(labels)
    found.check(num_classes, lambda index: f"{name}, item {items[index]}")
    if learns and len(items) == len(dataset) and (lone := found.lone_class(num_classes)):
        raise InputError(name, f"its labels hold {lone}", "give labels of at least two classes")


def _listed(dataset: Any) -> np.ndarray | None:
    """``(N,)`` integers; None if the data set lists none."""
    changed = any(getattr(dataset, name, None) is not None for name in ("target_transform", "transforms"))
    given = None if changed else getattr(dataset, "targets", None)
    if isinstance(dataset, TensorDataset) and len(dataset.tensors) > 1:
        given = dataset.tensors[1]
    if not isinstance(given, list | tuple | Tensor | np.ndarray) or len(given) != len(dataset):
        return None
    try:
        found = given.numpy(force=True) if isinstance(given, Tensor) else np.asarray(given)
    except ValueError:  # several to a sample
        return None
    return found if found.ndim == 1 and np.issubdtype(found.dtype, np.integer) else None


def _why_map(label: Any) -> str:
    """Why something is no label of a whole image; empty if it may be one."""
    shape = tuple(getattr(label, "shape", ()))
    return f"has shape {shape}, as of a map" if len(shape) > 1 else ""


def _integer(label: Any) -> int | None:
    if isinstance(label, Tensor | np.ndarray | np.integer) and label.ndim == 0:
        label = label.item()
    return label if isinstance(label, int) and not isinstance(label, bool) else None
