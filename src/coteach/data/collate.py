"""A sample into its parts, and drawn samples into one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from coteach.data.label_kinds import REMEDY, why_no_label
from coteach.data.shared_batches import stack_samples
from coteach.errors import InputError
from coteach.types import Batch

_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)


def sample_parts(sample: Any, dataset: Any, item: int) -> tuple[Any, Any, dict[str, Any]]:
    """(image, target, everything else) of a sample.

    Raises:
        InputError: it is no sample; data set and item are named.
    """
    if isinstance(sample, Mapping):
        missing = [key for key in ("image", "mask") if key not in sample]
        if missing:
            cause = f"gives no {missing[0]!r}, but {', '.join(map(repr, sample)) or 'nothing'}"
            remedy = "call the label 'mask' and the image 'image', or give (image, label)"
            raise InputError(f"{type(dataset).__name__}, item {item}", cause, remedy)
        rest = {key: value for key, value in sample.items() if key not in ("image", "mask")}
        return sample["image"], _signed(sample["mask"]), rest
    if not isinstance(sample, tuple | list) or len(sample) != 2:
        kind = type(sample).__name__
        cause = f"gives a {kind} of {len(sample)}" if isinstance(sample, tuple | list) else f"gives a {kind}"
        raise InputError(f"{type(dataset).__name__}, item {item}", cause, "let it give (image, label)")
    return sample[0], _signed(sample[1]), {}


def _signed(target: Any) -> Any:
    """Wide unsigned integers as int64: torch computes with few others."""
    if isinstance(target, np.ndarray | np.generic) and target.dtype.kind == "u" and target.itemsize > 1:
        return target.astype(np.int64)
    if isinstance(target, Tensor) and target.dtype in _UNSIGNED:
        return target.long()
    return target


def batch_of(dataset: Any, samples: Sequence[dict[str, Any]]) -> Batch:
    """Drawn samples as one batch, by the data set's own ``collate``, if it has one."""
    batch: Batch = getattr(dataset, "collate", collate_batch)(samples)
    return batch


def collate_batch(samples: Sequence[dict[str, Any]] | Batch) -> Batch:
    """Stack drawn samples of equal shapes into one batch; samples without labels have target None. A batch stays one.

    A data set whose samples do not stack (images of several sizes, lists of boxes) brings a ``collate`` of its
    own with this signature.

    Args:
        samples: as :class:`coteach.data.keyed.KeyedDataset` draws them: images of one shape, labels that are classes, shares
            ``(C,)`` or maps.

    Raises:
        InputError: some samples have a label of None and others have not, or a label is none; the sample is named.
    """
    if isinstance(samples, Batch):
        return samples
    targets = tuple(zip(*(sample["targets"] for sample in samples), strict=True))
    if len({target is None for target in targets[0]}) > 1:
        bare = next(sample["id"] for sample in samples if sample["targets"][0] is None)
        raise InputError(f"sample {bare}", "its label is None, others have one", "give -1 for no label")
    return Batch(
        ids=torch.tensor([sample["id"] for sample in samples]),
        views=tuple(stack_samples(list(view)) for view in zip(*(s["views"] for s in samples), strict=True)),
        targets=tuple(_stacked(view, samples) for view in targets),
        extra=stack_samples([sample["extra"] for sample in samples]),
    )


def _stacked(targets: tuple[Any, ...], samples: Sequence[dict[str, Any]]) -> Any:
    """One view's; if they do not become numbers of classes, shares or maps, the one that is no label is named."""
    if targets[0] is None:
        return None
    try:
        stacked = stack_samples(list(targets))
    except (TypeError, ValueError, RuntimeError):
        _refuse_no_label(targets, samples)
        raise
    if not isinstance(stacked, Tensor | Mapping) or (
        isinstance(stacked, Tensor) and stacked.ndim == 1 and stacked.is_floating_point()
    ):
        _refuse_no_label(targets, samples)
    return stacked


def _refuse_no_label(targets: tuple[Any, ...], samples: Sequence[dict[str, Any]]) -> None:
    for target, sample in zip(targets, samples, strict=True):
        if cause := why_no_label(target):
            raise InputError(f"sample {sample['id']}", f"its label {cause}", REMEDY)
