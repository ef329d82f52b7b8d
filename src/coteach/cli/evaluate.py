"""``coteach evaluate``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coteach.cli import shared_options as shared
from coteach.cli.output import Verbosity, say, verbosity
from coteach.cli.progress import track
from coteach.errors import ConfigError, OptionError
from coteach.schema import nearest

if TYPE_CHECKING:
    from coteach.cli.config import RunConfig
    from coteach.cli.data_paths import Node
    from coteach.cli.evaluate_images import ImageFigures
    from coteach.report.metrics import Accuracy
    from coteach.training.inference import TilePrediction


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
    allow_target: tuple[str, ...],
    output: Path | None,
) -> None:
    """OA, mIoU, IoU by class, kappa and confusion matrix of the run in RUN_DIR.

    Every pixel that a window of the data set covers is counted once; image NoData and pixels without a
    reference are not counted; a reference with other codes is refused, unless --legend or --ignore-code tells what they
    mean. Of images with one label each: OA, balanced accuracy (BA), recall by class, kappa
    and confusion matrix.
    """
    from coteach.cli.evaluate_images import measure_images
    from coteach.cli.reference_codes import check_reference_codes, check_reference_options
    from coteach.cli.runs import CONFIG_FILE, config_of, load_trained
    from coteach.cli.targets import TargetResolver
    from coteach.data.image_set import ImageSet
    from coteach.files import write_json
    from coteach.rasters.code_legend import read_code_legend
    from coteach.report.tables import print_accuracy, print_image_accuracy
    from coteach.training.checkpoints import checkpoint_path

    check_one_reference(reference, reference_key)
    check_reference_options(reference, reference_key, legend, ignore_codes)
    config = config_of(run_dir)
    node = dataset_node(config, dataset, str(run_dir / CONFIG_FILE))
    resolver = TargetResolver(allow_target)
    method = load_trained(config, resolver, checkpoint_path(run_dir, checkpoint))
    built = resolver.build(node, "dataset", dataset)
    names = config.class_names or [f"class {c}" for c in range(config.num_classes)]
    title = f"{run_dir.name} ({dataset}, {checkpoint})"
    figures: Accuracy | ImageFigures
    if isinstance(built, ImageSet):
        refuse_reference(reference, reference_key)
        with track(len(built), "images") as advance:
            figures = measure_images(
                method, built, class_names=config.class_names, top_k=top_k, advance=advance
            )
        if verbosity() > Verbosity.QUIET:
            print_image_accuracy(figures.accuracy, figures.top, names, title)
    else:
        if top_k:
            raise OptionError("--top-k", "is for images with one label each", "leave it out")
        with track(len(built), "windows") as advance:
            meaning = None if legend is None else read_code_legend(legend, built.num_classes)
            unknown: Counter[int] = Counter()
            figures = measure(
                method,
                built,
                reference=reference,
                reference_key=reference_key,
                legend=meaning,
                unknown=unknown,
                advance=advance,
            )
        thing = str(reference or f"reference {reference_key!r}")
        check_reference_codes(thing, unknown, built.num_classes, ignore_codes)
        if verbosity() > Verbosity.QUIET:
            print_accuracy(figures, names, title)
    path = output or run_dir / "evaluation.json"
    write_json(path, {"dataset": dataset, "checkpoint": checkpoint, **figures.as_dict(names)})
    say(f"written: {path}")


def check_one_reference(reference: Path | None, reference_key: str | None) -> None:
    """Refuse two references at once.

    Raises:
        OptionError: both are given.
    """
    if reference is not None and reference_key is not None:
        raise OptionError("--reference", "contradicts --reference-key", "give one of them")


def refuse_reference(reference: Path | None, reference_key: str | None) -> None:
    """Images with one label each have no reference raster.

    Raises:
        OptionError: one is given.
    """
    for option, value in (("--reference", reference), ("--reference-key", reference_key)):
        if value is not None:
            raise OptionError(option, "is for maps; images are measured against their labels", "leave it out")


def dataset_node(config: RunConfig, key: str, origin: str) -> Node:
    """The data set of a configuration that is called ``key``.

    Raises:
        ConfigError: it has none of that name.
    """
    nodes: dict[str, Node | None] = {
        "test_dataset": config.test_dataset,
        "val_dataset": config.val_dataset,
        "train_dataset": config.train_dataset,
    }
    node = nodes.get(key)
    if node is None:
        had = [name for name, one in nodes.items() if one is not None]
        raise ConfigError(origin, f"no {key}", f"{nearest(key, had)} (--dataset)")
    return node


def _silent(windows: int) -> None:
    """Nobody follows the progress."""


def measure(
    method: Any,
    dataset: Any,
    *,
    reference: Path | None = None,
    reference_key: str | None = None,
    legend: Mapping[int, int] | None = None,
    unknown: Counter[int] | None = None,
    advance: Callable[[int], None] = _silent,
) -> Accuracy:
    """Accuracy of a trained method on a windowed data set.

    Args:
        method: trained.
        dataset: its windows; see ``WindowedDataset``.
        reference: one raster for all images, warped to each by nearest neighbour.
        reference_key: column of the data set's table with each row's raster. Without either the reference is
            the argmax of P_soft.
        legend: code of the reference -> class, or -1; without one the codes 0 to C - 1 are the classes.
        unknown: gets the codes of references that are no class, and how often they occur; they are not counted.
        advance: called with the number of windows that are done.

    Raises:
        InputError: the reference covers no pixel.
        ConfigError: the method was trained on other images.
    """
    import numpy as np

    from coteach.report.metrics import Accuracy, confusion_matrix
    from coteach.training.inference import predict_tiles
    from coteach.training.rehearsal import misfit

    sample = dataset.plain(0)["image"][None].to(next(method.parameters()).device)
    cause = misfit(method.predict, sample, dataset.num_classes)
    if cause is not None:
        raise ConfigError("the model", cause, "evaluate on images like those it was trained on")
    confusion = np.zeros((dataset.num_classes, dataset.num_classes), np.int64)
    for tile in predict_tiles(method, dataset, advance=advance):
        path = reference_of(tile.image, dataset, reference, reference_key)
        codes = _reference_codes(tile, path, dataset.num_classes, legend, unknown)
        confusion += confusion_matrix(codes, tile.classes, dataset.num_classes)
    return Accuracy.of(confusion)


def reference_of(image: Path, dataset: Any, reference: Path | None, reference_key: str | None) -> Path | None:
    """The reference raster of an image; None means the argmax of its P_soft."""
    if reference_key is None:
        return reference
    row = next(i for i in range(len(dataset)) if dataset.location(i)[0] == image)
    path: Path = dataset.path_of(row, reference_key)
    return path


def _reference_codes(
    tile: TilePrediction,
    reference: Path | None,
    num_classes: int,
    legend: Mapping[int, int] | None,
    unknown: Counter[int] | None,
) -> Any:
    """Reference class of every pixel of the tile's window; -1 where it is not to be counted."""
    import numpy as np

    from coteach.rasters.codes import read_codes
    from coteach.rasters.grid import Grid
    from coteach.rasters.read import read_image

    if reference is None:
        return np.where(tile.covered, tile.labels, -1)
    whole = read_codes(reference, Grid.of(tile.image), num_classes, legend=legend, unknown=unknown)
    codes = tile.window.cut(whole)
    _, valid = read_image(tile.image, tile.window)
    return np.where(tile.covered & valid, codes, -1)
