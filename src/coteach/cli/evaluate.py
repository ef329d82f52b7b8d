"""``coteach evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from coteach.report.metrics import Accuracy
    from coteach.training.inference import TilePrediction


@click.command(
    epilog="Example: coteach evaluate runs/a --reference landcover.tif --checkpoint best",
)
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--checkpoint", default="best", show_default=True, help="best, last, or a .ckpt file.")
@click.option(
    "--dataset", default="test_dataset", show_default=True, help="Key of the data set in the configuration."
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="Raster of true class codes. [default: argmax P_soft]",
)
@click.option("--reference-key", help="Column of the data set's CSV that names each row's reference raster.")
@click.option(
    "--allow-target", multiple=True, metavar="PACKAGE", help="Allow _target_ from this package too."
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="JSON file. [default: RUN_DIR/evaluation.json]"
)
def evaluate(
    run_dir: Path,
    checkpoint: str,
    dataset: str,
    reference: Path | None,
    reference_key: str | None,
    allow_target: tuple[str, ...],
    output: Path | None,
) -> None:
    """OA, mIoU, IoU by class, kappa and confusion matrix of the run in RUN_DIR.

    Every pixel that a window of the data set covers is counted once; image NoData and pixels without a
    reference are not counted.
    """
    from coteach.cli.config import load_config
    from coteach.cli.runs import CONFIG_FILE, load_trained
    from coteach.cli.targets import TargetResolver
    from coteach.errors import ConfigError, OptionError
    from coteach.files import write_json
    from coteach.report.tables import print_accuracy
    from coteach.training.run import checkpoint_path

    if reference is not None and reference_key is not None:
        raise OptionError("--reference", "contradicts --reference-key", "give one of them")
    config = load_config(run_dir / CONFIG_FILE)
    node = {
        "test_dataset": config.test_dataset,
        "val_dataset": config.val_dataset,
        "train_dataset": config.train_dataset,
    }.get(dataset)
    if node is None:
        raise ConfigError(str(run_dir / CONFIG_FILE), f"no {dataset}", "give one with --dataset that it has")
    resolver = TargetResolver(allow_target)
    method = load_trained(config, resolver, checkpoint_path(run_dir, checkpoint))
    built = resolver.build(node, "dataset", dataset)
    accuracy = measure(method, built, reference=reference, reference_key=reference_key)
    names = config.class_names or [f"class {c}" for c in range(config.num_classes)]
    print_accuracy(accuracy, names, f"{run_dir.name} ({dataset}, {checkpoint})")
    path = output or run_dir / "evaluation.json"
    write_json(path, {"dataset": dataset, "checkpoint": checkpoint, **accuracy.as_dict(names)})
    click.echo(f"written: {path}")


def measure(
    method: Any, dataset: Any, *, reference: Path | None = None, reference_key: str | None = None
) -> Accuracy:
    """Accuracy of a trained method on a windowed data set.

    Args:
        method: trained.
        dataset: its windows; see ``WindowedDataset``.
        reference: one raster for all images, warped to each by nearest neighbour.
        reference_key: column of the data set's table with each row's raster. Without either the reference is
            the argmax of P_soft.

    Raises:
        InputError: the reference covers no pixel.
    """
    import numpy as np

    from coteach.report.metrics import Accuracy, confusion_matrix
    from coteach.training.inference import predict_tiles

    confusion = np.zeros((dataset.num_classes, dataset.num_classes), np.int64)
    for tile in predict_tiles(method, dataset):
        codes = _reference_codes(tile, dataset, reference, reference_key)
        confusion += confusion_matrix(codes, tile.classes, dataset.num_classes)
    return Accuracy.of(confusion)


def _reference_codes(
    tile: TilePrediction, dataset: Any, reference: Path | None, reference_key: str | None
) -> Any:
    """Reference class of every pixel of the tile's window; -1 where it is not to be counted."""
    import numpy as np

    from coteach.rasters.codes import read_codes
    from coteach.rasters.grid import Grid
    from coteach.rasters.read import read_image

    if reference_key is not None:
        row = next(i for i in range(len(dataset)) if dataset.location(i)[0] == tile.image)
        reference = dataset.path_of(row, reference_key)
    if reference is None:
        return np.where(tile.covered, tile.labels, -1)
    codes = tile.window.cut(read_codes(reference, Grid.of(tile.image), dataset.num_classes))
    _, valid = read_image(tile.image, tile.window)
    return np.where(tile.covered & valid, codes, -1)
