"""Tries the parts of a run once before anything is written: what does not fit is said by the key to change."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import Metric, MetricCollection

from coteach.cli.config import RunConfig
from coteach.cli.data_paths import Node
from coteach.cli.rehearse_boxes import rehearse_boxes
from coteach.cli.targets import TargetResolver
from coteach.data.folds import ImageSubset
from coteach.data.image_set import ImageSet
from coteach.data.keyed import first_batch, seeded
from coteach.data.other_labels import check_other_labels
from coteach.errors import ConfigError, CoteachError
from coteach.losses.target import as_soft_target
from coteach.methods.base import Method
from coteach.methods.detection_base import DetectionMethod
from coteach.methods.label_method import LabelMethod
from coteach.training.figures import best_mode, validation_metrics
from coteach.training.options import SchedulerOptions
from coteach.training.precheck import refuse_lbfgs
from coteach.training.rehearsal import Misfit, find_misfit, warn_of_probabilities
from coteach.training.run import TrainingRun
from coteach.types import Batch

# What the arguments of networks are called that hold these numbers.
_NAMES = {"bands": ("in_ch", "band", "chan"), "classes": ("class", "out_ch")}


def rehearse_optimizer(
    config: RunConfig, resolver: TargetResolver, scheduler: SchedulerOptions | None
) -> LRScheduler | None:
    """Make an optimizer and its schedule for a stand-in parameter, and give the schedule.

    Raises:
        TargetError: one of them refuses its values.
        OptionError: the optimizer asks for the loss again within a step.
    """
    stand_in = [torch.nn.Parameter(torch.zeros(1))]
    optimizer = resolver.build(config.optimizer, "optimizer", "optimizer", stand_in)
    refuse_lbfgs(optimizer)
    return None if scheduler is None else scheduler.make(optimizer)


def rehearse_network(run: TrainingRun, method: Method, node: Node, resolver: TargetResolver) -> None:
    """Predict the first sample of each data set by a fresh network, and count it by the figures of validation.

    The random numbers of the run stay as they are.

    Args:
        run: what is to be trained.
        method: another one like the run's, which is set up here. Only methods for labels and for boxes are tried.
        node: of the model.
        resolver: what targets are allowed.

    Raises:
        ConfigError: the network does not fit the samples, or a figure cannot be had of them.
        InputError: labels of images in a data set of the user's own are no classes.
    """
    with seeded(run.seed):
        if isinstance(method, DetectionMethod):
            first = {
                source: _first_batch(dataset, run.seed, f"{source}_dataset")
                for source, dataset in run.datasets.items()
            }
            rehearse_boxes(run, method, first)
            return
        if not isinstance(method, LabelMethod):
            return
        network = run.make_network().eval()
        method.setup(lambda: network, run.task)
        method.eval()
        metrics = validation_metrics(method, run.metrics)
        best_mode(run.options, metrics)  # refuses a figure that is not measured
        for source, dataset in run.datasets.items():
            batch = _first_batch(dataset, run.seed, f"{source}_dataset")
            if not isinstance(batch.inputs, Tensor):
                continue
            labelled = as_soft_target(batch.target, run.num_classes).valid.shape[1:]
            method.check_extent(labelled)
            if not labelled and not isinstance(dataset, ImageSet | ImageSubset):
                check_other_labels(dataset, run.num_classes, learns=source == "train")
            found = find_misfit(network, batch.inputs, run.num_classes, labelled)
            if found is not None:
                where = "" if source == "train" else f" (in {source}_dataset)"
                raise ConfigError("model", f"{found.cause}{where}", _remedy(found, node, resolver))
            if source == "train":
                warn_of_probabilities(network, batch.inputs)
            for name, metric in run.metrics.items():
                _rehearse_metric(method, metric, f"metrics.{name}", batch)


def _first_batch(dataset: Any, seed: int, place: str) -> Batch:
    """One sample, as training draws it first."""
    try:
        return first_batch(dataset, seed=seed)
    except CoteachError:
        raise
    except Exception as error:
        cause = f"its first sample cannot be made: {' '.join(str(error).split())}"
        raise ConfigError(place, cause, "correct its options and its augmentation_list") from error


def _remedy(found: Misfit, node: Node, resolver: TargetResolver) -> str:
    """The key of the model that holds the number it was made for, and what to set it to."""
    names = _NAMES.get(found.about)
    if found.about == "answer":
        return "choose a model that gives a tensor (batch, classes, height, width)"
    if names is None:
        return "choose another model, or other sizes of patches"
    target = resolver.resolve(str(node["_target_"]), "model", "model")
    values: Mapping[str, Any] = {name: p.default for name, p in signature(target).parameters.items()} | node
    holding = [key for key, value in values.items() if type(value) is int and value == found.has]
    for key in holding:
        if any(name in key for name in names):
            return f"set model.{key} to {found.needs}"
    return f"make it one for {found.needs} {found.about}"


def _rehearse_metric(method: LabelMethod, metric: Metric, place: str, batch: Batch) -> None:
    """Count a batch; what comes out must be one number."""
    collection = MetricCollection({"figure": metric.clone()})
    with torch.no_grad():
        prediction = method.predict(batch.inputs)
    try:
        method.update_metrics(collection, prediction, batch)
        value = collection.compute()["figure"]
    except Exception as error:
        cause = f"cannot count predicted classes: {' '.join(str(error).split())}"
        raise ConfigError(place, cause, "correct its arguments or choose another metric") from error
    if not isinstance(value, Tensor) or value.numel() != 1:
        cause = f"gives {value.numel() if isinstance(value, Tensor) else 'several'} numbers"
        raise ConfigError(place, cause, "choose one that gives one number, as average: macro does")
