"""Tries the parts of a detection run once before anything is written; see ``cli.rehearse`` for labels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from coteach.errors import ConfigError, CoteachError
from coteach.methods.detection_base import DetectionMethod
from coteach.training.figures import best_mode, validation_metrics
from coteach.training.rehearsal import find_box_misfit
from coteach.training.run import TrainingRun
from coteach.types import Batch


def rehearse_boxes(run: TrainingRun, method: DetectionMethod, first: Mapping[str, Batch]) -> None:
    """Find boxes in the first image of the training set by a fresh detector, and count them by the run's figures.

    Args:
        run: what is to be trained.
        method: another one like the run's, which is set up here.
        first: source -> its first sample, drawn; one image is enough, a detector takes all sizes.

    Raises:
        ConfigError: the detector does not fit the image, a figure cannot be had, or a data set is missing.
        InputError: the network is no detector, or one for another number of classes.
    """
    _check_sources(run, method)
    network: nn.Module = run.make_network()
    method.setup(lambda: network, run.task)
    method.eval()
    best_mode(run.options, validation_metrics(method, run.metrics))  # refuses a figure that is not measured
    batch = first["train"]
    found = find_box_misfit(method.predict, list(batch.inputs), run.num_classes)
    if found is not None:
        raise ConfigError(
            "model", found.cause, "choose one of torchvision's two-stage detectors for such images"
        )
    for name, metric in run.metrics.items():
        figure = MetricCollection({"figure": metric.clone()})
        _rehearse_figure(method, figure, f"metrics.{name}", batch)


def _check_sources(run: TrainingRun, method: DetectionMethod) -> None:
    missing = sorted({stream.source for stream in method.streams(0)} - set(run.datasets))
    if missing:
        raise ConfigError(
            "method", f"{method.name} has no data set {missing[0]!r}", f"add {missing[0]}_dataset"
        )


def _rehearse_figure(method: DetectionMethod, figure: MetricCollection, place: str, batch: Batch) -> None:
    """Count one image; what comes out must be one number."""
    with torch.no_grad():
        prediction = method.predict(list(batch.inputs))
    try:
        method.update_metrics(figure, prediction, batch)
        value = figure.compute().get("figure")
    except CoteachError:
        raise
    except Exception as error:
        cause = f"cannot count boxes: {' '.join(str(error).split())}"
        raise ConfigError(place, cause, "leave it out: AP and its kin are measured anyway") from error
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise ConfigError(place, "gives no single number", "leave it out: AP and its kin are measured anyway")
