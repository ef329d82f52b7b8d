"""A checked configuration -> the objects of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from coteach.cli.config import Node, RunConfig, to_yaml
from coteach.cli.targets import TargetResolver
from coteach.errors import ConfigError
from coteach.methods.base import Method, TaskInfo
from coteach.methods.discovery import create_method
from coteach.schema import checked
from coteach.training.options import SchedulerOptions, TrainerOptions
from coteach.training.run import TrainingRun, load_checkpoint, method_weights
from coteach.training.streams import LoaderOptions

CONFIG_FILE = "config.yaml"


def build_run(config: RunConfig, resolver: TargetResolver, *, progress: bool) -> TrainingRun:
    """Build everything a run needs; nothing is trained or written yet.

    Args:
        config: checked.
        resolver: what targets are allowed.
        progress: show a progress bar.

    Raises:
        ConfigError: something cannot be built.
    """
    datasets = {"train": resolver.build(config.train_dataset, "dataset", "train_dataset")}
    if config.val_dataset is not None:
        datasets["val"] = resolver.build(config.val_dataset, "dataset", "val_dataset")
    for place, dataset in datasets.items():
        _check_classes(dataset, config.num_classes, f"{place}_dataset")
    scheduler = _scheduler(config.scheduler, resolver)
    _rehearse(config, resolver, scheduler)
    return TrainingRun(
        method=_method(config),
        make_network=lambda: resolver.build(config.model, "model", "model"),
        make_optimizer=lambda parameters: resolver.build(
            config.optimizer, "optimizer", "optimizer", parameters
        ),
        datasets=datasets,
        num_classes=config.num_classes,
        output_dir=Path(config.output_dir),
        seed=config.seed,
        scheduler=scheduler,
        loader=checked(LoaderOptions, config.data_loader, "data_loader.", "configuration"),
        options=checked(TrainerOptions, config.trainer, "trainer.", "configuration"),
        fingerprint=config.fingerprint(),
        files={CONFIG_FILE: to_yaml(config.portable())},
        progress=progress,
    )


def load_trained(config: RunConfig, resolver: TargetResolver, checkpoint: Path) -> Method:
    """The method of a run with the weights of a checkpoint, ready to predict.

    Args:
        config: of the run.
        resolver: what targets are allowed.
        checkpoint: file.

    Raises:
        ConfigError: the weights belong to another network.
    """
    method = _method(config)
    info = TaskInfo(num_classes=config.num_classes, num_items=0, seed=config.seed)
    method.setup(lambda: resolver.build(config.model, "model", "model"), info)
    try:
        method.load_state_dict(method_weights(load_checkpoint(checkpoint)))
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise ConfigError(
            str(checkpoint), f"weights of another model: {first}", "use the model it was trained with"
        ) from error
    return method.eval()


def _method(config: RunConfig) -> Method:
    options = dict(config.method)
    name = options.pop("name", None)
    if name is None:
        raise ConfigError("method", "no name", "add name: supervised, soft_label or co_teaching")
    return create_method(str(name), options)


def _scheduler(node: Node | None, resolver: TargetResolver) -> SchedulerOptions | None:
    if node is None:
        return None
    node = dict(node)
    interval = node.pop("interval", "epoch")
    return SchedulerOptions(
        make=lambda optimizer: resolver.build(node, "scheduler", "scheduler", optimizer), interval=interval
    )


def _rehearse(config: RunConfig, resolver: TargetResolver, scheduler: SchedulerOptions | None) -> None:
    """Make an optimizer and its schedule for a stand-in parameter: bad values show before anything is trained."""
    stand_in = [torch.nn.Parameter(torch.zeros(1))]
    optimizer = resolver.build(config.optimizer, "optimizer", "optimizer", stand_in)
    if scheduler is not None:
        scheduler.make(optimizer)


def _check_classes(dataset: Any, num_classes: int, place: str) -> None:
    found = getattr(dataset, "num_classes", num_classes)
    if found != num_classes:
        raise ConfigError(
            place, f"its labels have {found} classes, num_classes is {num_classes}", "make them agree"
        )
