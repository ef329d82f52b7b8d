"""``coteach predict`` for runs of detection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from coteach.cli.box_classes import categories_of
from coteach.cli.config import RunConfig
from coteach.cli.incomplete import incomplete
from coteach.cli.output import detail, print_failures, say
from coteach.cli.progress import track
from coteach.cli.runs import load_trained
from coteach.cli.targets import TargetResolver
from coteach.data.box_images import find_box_images
from coteach.legend import Legend, parse_color
from coteach.methods.detection_base import DetectionMethod
from coteach.rasters.fingerprint import stamps
from coteach.training.box_job import BoxesReport, predict_box_images
from coteach.training.box_options import BoxJob, BoxOptions

if TYPE_CHECKING:
    import torch


def predict_boxes(
    config: RunConfig,
    weights: Path,
    sources: tuple[Path, ...],
    output_dir: Path,
    options: BoxOptions,
    *,
    device: torch.device,
    image_dir: Path | None,
    image_key: str,
    allow_target: tuple[str, ...],
) -> None:
    """Boxes of images.

    Args:
        config: of a run of detection.
        weights: its checkpoint.
        sources: a COCO file, or images, folders and tables.
        output_dir: gets everything.
        options: how boxes are found and shown.
        device: where the network runs.
        image_dir: of a COCO file.
        image_key: column of tables.
        allow_target: packages allowed in the configuration.

    Raises:
        IncompleteError: an image failed; the others are done.
        CoteachError: the run, the sources or the options cannot be used.
    """
    annotations = find_box_images(sources, image_dir, image_key)
    categories = categories_of(config, annotations)
    method = load_trained(config, TargetResolver(allow_target), weights).to(device)
    assert isinstance(method, DetectionMethod)
    colors = (
        None if config.class_colors is None else [parse_color(c, "class_colors") for c in config.class_colors]
    )
    job = BoxJob(
        method=method,
        legend=Legend.of(config.num_classes, config.class_names or annotations.class_names, colors),
        category_ids=categories,
        output_dir=output_dir,
        options=options,
        source=annotations.source,
        made_by={
            "checkpoint": stamps([weights.resolve()]),
            "method": config.method,
            "model": config.model,
        },
    )
    report = predict_box_images(annotations.images, job, track, detail)
    _print(report, options.score)
    if report.failures:
        total = len(annotations.images)
        raise incomplete(output_dir, len(report.failures), total, "images", report.results)


def _print(report: BoxesReport, score: float) -> None:
    counts = f"{report.made} predicted, {report.up_to_date} up to date, {len(report.failures)} failed"
    say(f"images: {counts}; {report.boxes} boxes of score {score:g} or more: {report.results}")
    print_failures([error for _, error in report.failures])
