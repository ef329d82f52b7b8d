"""The figures of a run on windows of images whose every pixel has a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coteach.errors import ConfigError

if TYPE_CHECKING:
    from coteach.report.metrics import Accuracy
    from coteach.training.inference import TilePrediction


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
