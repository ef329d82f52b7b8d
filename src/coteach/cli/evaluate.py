"""``coteach evaluate``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from coteach.cli import shared_options as shared
from coteach.cli.data_paths import Node, missing_of
from coteach.cli.output import Verbosity, say, verbosity
from coteach.cli.progress import track
from coteach.errors import ConfigError, OptionError
from coteach.schema import nearest

if TYPE_CHECKING:
    from coteach.cli.config import RunConfig
    from coteach.cli.evaluate_images import ImageFigures
    from coteach.data.detection_set import DetectionDataset
    from coteach.data.image_set import ImageSet
    from coteach.report.box_accuracy import BoxAccuracy
    from coteach.report.metrics import Accuracy


@click.command(
    epilog="Example: coteach evaluate runs/a --reference landcover.tif --checkpoint best",
)
@click.argument("run_dir", type=click.Path(path_type=Path))
@shared.checkpoint
@shared.dataset("Key of the data set in the configuration.")
@shared.reference
@shared.reference_key
@click.option(
    "--legend",
    type=click.Path(path_type=Path),
    metavar="CSV",
    help="Table code,class of a reference whose codes are not the classes; class is a number, or ignore.",
)
@shared.ignore_codes("A code of the reference that is no class, and is not counted. Repeat it for each.")
@click.option(
    "--top-k",
    type=click.IntRange(1),
    multiple=True,
    metavar="K",
    help="Images: also how often the class is among the K most probable ones. May be repeated.",
)
@shared.device
@shared.allow_target
@click.option(
    "--output", type=click.Path(path_type=Path), help="JSON file. [default: RUN_DIR/evaluation.json]"
)
def evaluate(
    run_dir: Path,
    checkpoint: str,
    dataset: str,
    reference: Path | None,
    reference_key: str | None,
    legend: Path | None,
    ignore_codes: tuple[int, ...],
    top_k: tuple[int, ...],
    device: str,
    allow_target: tuple[str, ...],
    output: Path | None,
) -> None:
    """OA, mIoU, IoU by class, kappa and confusion matrix of the run in RUN_DIR.

    Every pixel that a window of the data set covers is counted once; image NoData and pixels without a
    reference are not counted; a reference with other codes is refused, unless --legend or --ignore-code tells what they
    mean. Of images with one label each: OA, balanced accuracy (BA), recall by class, kappa
    and confusion matrix. Of images with boxes: AP, AP50, AP75, AP by size and by class, as COCO counts them, and
    precision-recall curves, as pr_curves.json beside the JSON file.
    """
    from coteach.cli.devices import prepared_device
    from coteach.cli.reference_codes import check_reference_options
    from coteach.cli.runs import CONFIG_FILE, config_of, load_trained
    from coteach.cli.targets import TargetResolver
    from coteach.cli.writable import check_writable_file
    from coteach.data.detection_set import DetectionDataset
    from coteach.data.image_set import ImageSet
    from coteach.files import write_json
    from coteach.training.checkpoints import checkpoint_path

    check_one_reference(reference, reference_key)
    check_reference_options(reference, reference_key, legend, ignore_codes)
    config = config_of(run_dir)
    node = dataset_node(config, dataset, str(run_dir / CONFIG_FILE))
    path = output or run_dir / "evaluation.json"
    check_writable_file(path, "--output")
    resolver = TargetResolver(allow_target)
    method = load_trained(config, resolver, checkpoint_path(run_dir, checkpoint)).to(prepared_device(device))
    built = resolver.build(node, "dataset", dataset)
    asked = _Asked(config, f"{run_dir.name} ({dataset}, {checkpoint})", path)
    figures: Accuracy | ImageFigures | BoxAccuracy
    if top_k and not isinstance(built, ImageSet):
        raise OptionError("--top-k", "is for images with one label each", "leave it out")
    if isinstance(built, DetectionDataset | ImageSet):
        refuse_reference(reference, reference_key)
    if isinstance(built, DetectionDataset):
        figures = _of_boxes(method, built, asked)
    elif isinstance(built, ImageSet):
        figures = _of_images(method, built, asked, top_k)
    else:
        figures = _of_maps(method, built, asked, _Reference(reference, reference_key, legend, ignore_codes))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"dataset": dataset, "checkpoint": checkpoint, **figures.as_dict(asked.names)})
    say(f"written: {path}")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What every evaluation needs: the run's configuration, a title for its table, the file that will be written."""

    config: RunConfig
    title: str
    path: Path

    @property
    def names(self) -> list[str]:
        return self.config.class_names or [f"class {c}" for c in range(self.config.num_classes)]


class _Reference(NamedTuple):
    """What maps are measured against: a raster or the labels under a key, the classes of its codes, and codes that name no class."""

    file: Path | None
    key: str | None
    legend: Path | None
    ignore_codes: tuple[int, ...]


def _of_boxes(method: Any, built: DetectionDataset, asked: _Asked) -> BoxAccuracy:
    """Measured, shown, its curves written."""
    from coteach.cli.evaluate_boxes import curves_beside, measure_boxes
    from coteach.files import write_json
    from coteach.report.tables import print_box_accuracy

    with track(len(built), "images") as advance:
        figures = measure_boxes(method, built, class_names=asked.config.class_names, advance=advance)
    if verbosity() > Verbosity.QUIET:
        print_box_accuracy(figures, asked.names, asked.title)
    curves = curves_beside(asked.path)
    curves.parent.mkdir(parents=True, exist_ok=True)
    write_json(curves, figures.curves(asked.names))
    say(f"written: {curves}")
    return figures


def _of_images(method: Any, built: ImageSet, asked: _Asked, top_k: tuple[int, ...]) -> ImageFigures:
    """Measured and shown."""
    from coteach.cli.evaluate_images import measure_images
    from coteach.report.tables import print_image_accuracy

    with track(len(built), "images") as advance:
        figures = measure_images(
            method, built, class_names=asked.config.class_names, top_k=top_k, advance=advance
        )
    if verbosity() > Verbosity.QUIET:
        print_image_accuracy(figures.accuracy, figures.top, asked.names, asked.title)
    return figures


def _of_maps(method: Any, built: Any, asked: _Asked, against: _Reference) -> Accuracy:
    """Measured and shown; refused where the reference has codes that nobody has named."""
    from coteach.cli.evaluate_maps import measure
    from coteach.cli.reference_codes import check_reference_codes
    from coteach.rasters.code_legend import read_code_legend
    from coteach.report.tables import print_accuracy

    unknown: Counter[int] = Counter()
    with track(len(built), "windows") as advance:
        figures = measure(
            method,
            built,
            reference=against.file,
            reference_key=against.key,
            legend=None if against.legend is None else read_code_legend(against.legend, built.num_classes),
            unknown=unknown,
            advance=advance,
        )
    thing = str(against.file or f"reference {against.key!r}")
    check_reference_codes(thing, unknown, built.num_classes, against.ignore_codes)
    if verbosity() > Verbosity.QUIET:
        print_accuracy(figures, asked.names, asked.title)
    return figures


def check_one_reference(reference: Path | None, reference_key: str | None) -> None:
    """Refuse two references at once.

    Raises:
        OptionError: both are given.
    """
    if reference is not None and reference_key is not None:
        raise OptionError("--reference", "contradicts --reference-key", "give one of them")


def refuse_reference(reference: Path | None, reference_key: str | None) -> None:
    """Images with labels or boxes of their own have no reference raster.

    Raises:
        OptionError: one is given.
    """
    for option, value in (("--reference", reference), ("--reference-key", reference_key)):
        if value is not None:
            raise OptionError(option, "is for maps; images are measured against their labels", "leave it out")


def dataset_node(config: RunConfig, key: str, origin: str) -> Node:
    """The data set of a run's configuration that is called ``key``.

    Raises:
        ConfigError: it has none of that name, or what it reads is not where it was.
    """
    nodes: dict[str, Node | None] = {
        "test_dataset": config.test_dataset,
        "val_dataset": config.val_dataset,
        "train_dataset": config.train_dataset,
    }
    node = nodes.get(key)
    if node is None:
        had = [name for name, one in nodes.items() if one is not None]
        # of what is spelt right the next one is named: figures of the training set say little
        remedy = f"give --dataset {had[0]}" if key in nodes else f"{nearest(key, had)} (--dataset)"
        raise ConfigError(origin, f"no {key}", remedy)
    for argument, path in missing_of(node):
        cause = f"{key}.{argument}: {path} does not exist"
        raise ConfigError(origin, cause, "if it was moved, write there where it is now")
    return node
