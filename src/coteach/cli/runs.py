"""A checked configuration -> the objects of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.optim.lr_scheduler import ReduceLROnPlateau

from coteach.cli.box_sets import check_box_sets
from coteach.cli.config import RunConfig, load_config, to_yaml
from coteach.cli.data_paths import Node
from coteach.cli.identity import run_identity
from coteach.cli.image_sets import check_image_set, with_class_names
from coteach.cli.legends import legend_of, trained_on
from coteach.cli.output import warn
from coteach.cli.rehearse import rehearse_network, rehearse_optimizer
from coteach.cli.targets import TargetResolver
from coteach.data.image_set import ImageSet
from coteach.errors import ConfigError
from coteach.methods.base import Method, TaskInfo
from coteach.methods.detection_base import DetectionMethod
from coteach.methods.discovery import create_method, discover_methods
from coteach.methods.label_method import LabelMethod
from coteach.schema import checked
from coteach.training.checkpoints import first_difference, load_checkpoint, method_weights
from coteach.training.options import SchedulerOptions, TrainerOptions
from coteach.training.precheck import refuse_lone_sample, schedule_remarks
from coteach.training.run import TrainingRun
from coteach.training.streams import LoaderOptions

CONFIG_FILE = "config.yaml"


def build_run(config: RunConfig, resolver: TargetResolver, *, progress: bool) -> TrainingRun:
    """Build everything a run needs, and try each part once; nothing is trained or written yet.

    Args:
        config: checked.
        resolver: what targets are allowed.
        progress: show a progress bar.

    Raises:
        ConfigError: something cannot be built, or the parts do not fit each other.
    """
    method = _method(config)
    loader = checked(LoaderOptions, config.data_loader, "data_loader.", "configuration")
    options = checked(TrainerOptions, config.trainer, "trainer.", "configuration")
    datasets = _datasets(config, resolver)
    config = with_class_names(config, datasets)
    scheduler = _scheduler(config.scheduler, resolver)
    made = rehearse_optimizer(config, resolver, scheduler)
    if isinstance(made, ReduceLROnPlateau):
        _check_plateau(config, scheduler, options)
    run = TrainingRun(
        method=method,
        make_network=lambda: resolver.build(config.model, "model", "model"),
        make_optimizer=lambda parameters: resolver.build(
            config.optimizer, "optimizer", "optimizer", parameters
        ),
        datasets=datasets,
        num_classes=config.num_classes,
        output_dir=Path(config.output_dir),
        seed=config.seed,
        scheduler=scheduler,
        loader=loader,
        options=options,
        metrics={
            name: resolver.build(node, "metric", f"metrics.{name}") for name, node in config.metrics.items()
        },
        identity=run_identity(config, method=method, trainer=options, loader=loader, datasets=datasets),
        loggers=[resolver.build(node, "logger", f"loggers[{i}]") for i, node in enumerate(config.loggers)],
        legend=legend_of(config, trained_on(config)),
        files={CONFIG_FILE: to_yaml(config.portable())},
        progress=progress,
    )
    rehearse_network(run, _method(config), config.model, resolver)
    refuse_lone_sample(run, run.make_network())
    for remark in schedule_remarks(run, made):
        warn(remark)
    return run


def config_of(run_dir: Path) -> RunConfig:
    """The configuration that a run has saved.

    Raises:
        ConfigError: the folder is no run, or its configuration is damaged.
    """
    path = run_dir / CONFIG_FILE
    if not path.is_file():
        raise ConfigError(
            str(run_dir), f"is no run: it has no {CONFIG_FILE}", "give a folder of coteach train"
        )
    return load_config(path)


def finds_boxes(config: RunConfig) -> bool:
    """Whether a run is one of detection: its labels are boxes."""
    method = discover_methods().get(str(config.method.get("name")))
    return method is not None and issubclass(method, DetectionMethod)


def classifies_images(config: RunConfig, resolver: TargetResolver) -> bool:
    """Whether a run is one of classification: its labels are one an image. Of other people's data sets that is not asked."""
    path = str(config.train_dataset.get("_target_"))
    if path.partition(".")[0] not in resolver.packages:
        return False
    target = resolver.resolve(path, "dataset", "train_dataset")
    return isinstance(target, type) and issubclass(target, ImageSet)


def load_trained(config: RunConfig, resolver: TargetResolver, checkpoint: Path) -> Method:
    """The method of a run with the weights of a checkpoint, ready to predict.

    Args:
        config: of the run.
        resolver: what targets are allowed.
        checkpoint: file.

    Raises:
        ConfigError: the weights belong to another network.
    """
    content = load_checkpoint(checkpoint)
    weights = method_weights(content)
    method = _method(config)
    num_items: int = content["coteach"].get("task", {}).get("num_items", 0)
    info = TaskInfo(num_classes=config.num_classes, num_items=num_items, seed=config.seed)
    from_random = resolver.without_pretrained()  # the checkpoint's weights replace them
    method.setup(lambda: from_random.build(config.model, "model", "model"), info)
    difference = first_difference(weights, method.state_dict())
    if difference is not None:
        raise ConfigError(
            str(checkpoint),
            f"weights of another model: {difference}",
            "use the model and the method it was trained with (config.yaml of its run)",
        )
    method.load_state_dict(weights)
    return method.eval()


def _method(config: RunConfig) -> Method:
    options = dict(config.method)
    name = options.pop("name", None)
    if name is None:
        raise ConfigError("method", "no name", f"add name: {', '.join(sorted(discover_methods()))}")
    method = create_method(str(name), options)
    if config.num_classes < 2 and isinstance(method, LabelMethod):  # boxes of one class have a background
        raise ConfigError("num_classes", f"{config.num_classes} is below 2", "give the number of classes")
    return method


def _datasets(config: RunConfig, resolver: TargetResolver) -> dict[str, Any]:
    datasets = {"train": resolver.build(config.train_dataset, "dataset", "train_dataset")}
    if config.val_dataset is not None:
        datasets["val"] = resolver.build(config.val_dataset, "dataset", "val_dataset")
    if config.unlabelled_dataset is not None:
        datasets["unlabelled"] = resolver.build(config.unlabelled_dataset, "dataset", "unlabelled_dataset")
    check_box_sets(datasets)
    for source, dataset in datasets.items():
        if isinstance(dataset, ImageSet):
            check_image_set(dataset, config, f"{source}_dataset")
            continue
        found = getattr(dataset, "num_classes", config.num_classes)
        if found != config.num_classes:
            cause = f"its labels have {found} classes, num_classes is {config.num_classes}"
            raise ConfigError(f"{source}_dataset", cause, "make them agree")
    return datasets


def _scheduler(node: Node | None, resolver: TargetResolver) -> SchedulerOptions | None:
    if node is None:
        return None
    arguments = {key: value for key, value in node.items() if key != "interval"}
    return SchedulerOptions(
        make=lambda optimizer: resolver.build(
            arguments, "scheduler", "scheduler", optimizer, beside=["interval"]
        ),
        interval=node.get("interval", "epoch"),
    )


def _check_plateau(config: RunConfig, scheduler: SchedulerOptions | None, options: TrainerOptions) -> None:
    """It looks at a figure of validation after epochs: both must be there."""
    needs: Mapping[str, bool] = {
        "give a val_dataset": config.val_dataset is not None,
        "set scheduler.interval: epoch": scheduler is not None and scheduler.interval == "epoch",
    }
    for remedy, met in needs.items():
        if not met:
            cause = f"ReduceLROnPlateau looks at {options.monitored} of validations, after epochs"
            raise ConfigError("scheduler", cause, remedy)
