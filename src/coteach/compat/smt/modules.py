"""``CoTeachingModel(cfg)`` and ``SoftLabelModel(cfg)``: LightningModules for Python code of that package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import Dataset
from torchmetrics import Metric

from coteach.compat.smt.config import register_resolvers, translate
from coteach.compat.smt.objects import make
from coteach.methods.base import TaskInfo
from coteach.methods.discovery import create_method
from coteach.schema import checked
from coteach.training.figures import validation_metrics
from coteach.training.module import MethodModule
from coteach.training.options import SchedulerOptions, TrainerOptions
from coteach.training.streams import LoaderOptions


class _LegacyModel(MethodModule):
    """A method of this package behind an old class.

    Precision, accumulation and clipping are those of ``cfg.pl_trainer``; a ``Trainer`` must not be given them, too.

    Args:
        cfg: an old configuration, an OmegaConf or a dict; ``_target_`` at its root does not matter.
        inference_mode: build the networks only, without data sets, loss and optimizer.

    Raises:
        ConfigError: ``cfg`` holds what cannot be had here, or something cannot be built.
    """

    method_name: ClassVar[str]

    def __init__(self, cfg: Mapping[Any, Any], inference_mode: bool = False) -> None:
        native = _native(cfg, self.method_name, training=not inference_mode)
        datasets = {} if inference_mode else _datasets(native)
        num_items = len(datasets["train"]) if datasets else 0
        method = create_method(self.method_name, _without(native["method"], "name"))
        method.setup(
            lambda: make(native["model"], {"": nn.Module}, "model"),
            TaskInfo(num_classes=native["num_classes"], num_items=num_items, seed=native["seed"]),
        )
        metrics = {
            name: make(node, {"": Metric}, f"metrics.{name}")
            for name, node in native.get("metrics", {}).items()
        }
        super().__init__(
            method=method,
            metrics=validation_metrics(method, metrics),
            datasets=datasets,
            make_optimizer=lambda parameters: make(
                native["optimizer"], {"": Optimizer}, "optimizer", parameters
            ),
            scheduler=_scheduler(native.get("scheduler")),
            loader=checked(LoaderOptions, native["data_loader"], "data_loader.", "cfg"),
            options=checked(TrainerOptions, native["trainer"], "pl_trainer.", "cfg"),
            task={
                "num_bands": getattr(datasets.get("train"), "num_bands", None),
                "num_items": num_items,
                "num_classes": native["num_classes"],
            },
            seed=native["seed"],
        )

    @property
    def model(self) -> nn.Module:
        """Network A, which validates and predicts."""
        return self.method.networks["a"]

    def forward(self, images: Tensor) -> Tensor:
        """Scores ``(B, C, H, W)`` by network A."""
        scores = self.model(images)
        assert isinstance(scores, Tensor)
        return scores

    def predict_step(self, batch: Any, batch_idx: int = 0, dataloader_idx: int = 0) -> Tensor:  # noqa: ARG002
        """Scores for a batch: images, or what a data set gives."""
        return self.forward(batch["image"] if isinstance(batch, Mapping) else batch)

    def on_train_epoch_start(self) -> None:
        """A ``Trainer`` that keeps its loaders draws each epoch anew, too."""
        if self.data.streams is not None:
            self.data.streams.set_epoch(self.current_epoch)


class SoftLabelModel(_LegacyModel):
    """One network on soft labels with confidence."""

    method_name = "soft_label"


class CoTeachingModel(_LegacyModel):
    """Two networks that teach each other, each with an optimizer of its own; A validates and predicts."""

    method_name = "co_teaching"

    @property
    def model_b(self) -> nn.Module:
        """Network B."""
        return self.method.networks["b"]


def _native(cfg: Mapping[Any, Any], method: str, *, training: bool) -> dict[str, Any]:
    register_resolvers()
    config = cfg if OmegaConf.is_config(cfg) else OmegaConf.create(dict(cfg))
    content = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(content, dict)
    plain = {str(key): value for key, value in content.items()}
    return translate(plain, "cfg", method=method, training=training).content


def _without(node: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in node.items() if name != key}


def _datasets(native: Mapping[str, Any]) -> dict[str, Any]:
    from albumentations.core.composition import BaseCompose
    from albumentations.core.transforms_interface import BasicTransform

    kinds: dict[str, Any] = {"": Dataset, "augmentation_list": (BasicTransform, BaseCompose)}
    return {
        split: make(native[f"{split}_dataset"], kinds, f"{split}_dataset")
        for split in ("train", "val")
        if f"{split}_dataset" in native
    }


def _scheduler(node: Mapping[str, Any] | None) -> SchedulerOptions | None:
    if node is None:
        return None
    arguments = _without(node, "interval")
    return SchedulerOptions(
        make=lambda optimizer: make(arguments, {"": LRScheduler}, "scheduler", optimizer),
        interval=node["interval"],
    )
