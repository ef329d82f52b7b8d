"""What each place of a configuration takes: one kind of object, and the packages that it may come from."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import isfunction
from typing import Any, Literal

Kind = Literal[
    "model", "optimizer", "scheduler", "dataset", "transform", "batch augmentation", "metric", "logger"
]

ALLOWED_PACKAGES = (
    "coteach",
    "torch",
    "torchvision",
    "torchmetrics",
    "lightning",
    "timm",
    "segmentation_models_pytorch",
    "albumentations",
)
EXAMPLES: dict[Kind, str] = {
    "model": "segmentation_models_pytorch.Unet",
    "optimizer": "torch.optim.AdamW",
    "scheduler": "torch.optim.lr_scheduler.CosineAnnealingLR",
    "dataset": "coteach.SoftLabelDataset",
    "transform": "albumentations.HorizontalFlip",
    "batch augmentation": "coteach.data.crop_flip.RandomCropFlip",
    "metric": "torchmetrics.classification.MulticlassF1Score",
    "logger": "lightning.pytorch.loggers.MLFlowLogger",
}
_NESTED: dict[str, Kind] = {"augmentation_list": "transform", "batch_augmentation": "batch augmentation"}
# Functions that give a Module; beside them torchvision's registered ones. Any other callable that is not a class is
# refused.
_MODEL_FACTORIES = ("segmentation_models_pytorch.create_model", "timm.create_model")


def is_kind(found: Any, path: str, kind: Kind, packages: Sequence[str]) -> bool:
    """Whether an object is what a place takes; nothing is called.

    Args:
        found: what the path leads to.
        path: how the configuration names it.
        kind: what the place takes.
        packages: where it may be defined. A data set is always of this package, or of one that the user allows.
    """
    if not isinstance(found, type):
        return kind == "model" and (path in _MODEL_FACTORIES or _is_torchvision_model(found, path))
    if kind == "dataset":
        packages = ("coteach", *(package for package in packages if package not in ALLOWED_PACKAGES))
    return issubclass(found, _base(kind)) and found.__module__.split(".")[0] in packages


def nested_kind(kind: Kind, key: str) -> Kind:
    """What a ``_target_`` inside a node must be; of the node's own kind where its key says nothing else."""
    return _NESTED.get(key, kind)


def _is_torchvision_model(found: Any, path: str) -> bool:
    if not path.startswith("torchvision.models.") or not isfunction(found):
        return False
    from torchvision.models import get_model_builder, list_models

    return found.__name__ in list_models() and get_model_builder(found.__name__) is found


def _base(kind: Kind) -> Any:
    """The class that every target of a kind derives from."""
    if kind == "model":
        from torch.nn import Module

        return Module
    if kind == "optimizer":
        from torch.optim import Optimizer

        return Optimizer
    if kind == "scheduler":
        from torch.optim.lr_scheduler import LRScheduler

        return LRScheduler
    if kind == "dataset":
        from torch.utils.data import Dataset

        return Dataset
    if kind == "logger":
        from coteach.training.trainer import LOGGER_BASE

        return LOGGER_BASE
    if kind == "batch augmentation":
        from coteach.data.crop_flip import BatchAugmentation

        return BatchAugmentation
    if kind == "metric":
        from torchmetrics import Metric

        return Metric
    from albumentations.core.composition import BaseCompose
    from albumentations.core.transforms_interface import BasicTransform

    return (BasicTransform, BaseCompose)
