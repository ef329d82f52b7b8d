"""``coteach predict`` for runs whose images have one label each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from coteach.cli.config import RunConfig
from coteach.cli.incomplete import incomplete
from coteach.cli.output import detail, print_failures, say
from coteach.cli.progress import track
from coteach.cli.runs import load_trained
from coteach.cli.targets import TargetResolver
from coteach.cli.transforms import transforms_of
from coteach.data.image_arrays import ArrayDataset
from coteach.data.image_files import ImageFiles
from coteach.data.picture_list import find_pictures
from coteach.data.picture_reader import PictureReader
from coteach.errors import ConfigError, OptionError
from coteach.legend import Legend
from coteach.training.checkpoints import load_checkpoint
from coteach.training.image_classes import ImageClassifier
from coteach.training.image_job import ImageJob, ImagesReport, classify_pictures
from coteach.training.scene_job import PREDICTIONS

if TYPE_CHECKING:
    import torch


def predict_images(
    config: RunConfig,
    weights: Path,
    sources: tuple[Path, ...],
    output_dir: Path,
    *,
    batch_size: int,
    device: torch.device,
    path_key: str,
    allow_target: tuple[str, ...],
) -> None:
    """Classes of images.

    Args:
        config: of a run whose images have one label each.
        weights: its checkpoint.
        sources: pictures, folders and tables.
        output_dir: gets the table.
        batch_size: images at once.
        device: where the networks run.
        path_key: column of tables.
        allow_target: packages allowed in the configuration.

    Raises:
        IncompleteError: an image failed; the others are done.
        CoteachError: the run, the sources or the options cannot be used.
    """
    table = output_dir / PREDICTIONS
    if table.resolve() in [source.resolve() for source in sources]:
        raise OptionError(
            "--output-dir", f"its {PREDICTIONS} is a table of images, too", "choose another one"
        )
    paths = find_pictures(sources, path_key)
    resolver = TargetResolver(allow_target)
    reader = reader_of(config, resolver, load_checkpoint(weights)["coteach"].get("task", {}).get("num_bands"))
    method = load_trained(config, resolver, weights).to(device)
    job = ImageJob(
        classifier=ImageClassifier(method, config.num_classes),
        reader=reader,
        class_names=Legend.of(config.num_classes, config.class_names).names,
        output_dir=output_dir,
        batch_size=batch_size,
    )
    report = classify_pictures(paths, job, track, detail)
    _print(report)
    if report.failures:
        raise incomplete(output_dir, len(report.failures), len(paths), "images", report.table)


def reader_of(config: RunConfig, resolver: TargetResolver, num_bands: int | None) -> PictureReader:
    """What reads pictures as the run's training set does.

    Args:
        config: of the run.
        resolver: what targets are allowed.
        num_bands: of the training images, as the checkpoint says.

    Raises:
        ConfigError: no picture can be what the run was trained on.
    """
    node, place = config.train_dataset, "train_dataset"
    target = resolver.resolve(str(node["_target_"]), "dataset", place)
    scale = node.get("image_scale")
    if not isinstance(target, type) or not issubclass(target, (ImageFiles, ArrayDataset)):
        cause = f"reads images in its own way ({node['_target_']})"
        raise ConfigError(place, cause, "use coteach evaluate on a data set of that kind")
    if scale is not None:
        cause = f"its arrays are divided by image_scale {scale}, pictures by what their dtype says"
        raise ConfigError(place, cause, "use coteach evaluate on arrays of that kind")
    if num_bands not in (1, 3):
        cause = f"its images have {num_bands} bands, pictures have 1 or 3"
        raise ConfigError(place, cause, "use coteach evaluate on arrays of that kind")
    return PictureReader(node.get("image_size"), num_bands, transforms_of(config, resolver))


def _print(report: ImagesReport) -> None:
    say(f"images: {report.made} predicted, {len(report.failures)} failed: {report.table}")
    print_failures(report.failures)
