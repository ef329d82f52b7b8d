"""What an open raster must be like to serve as an image or as a label map: one function a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from coteach.errors import RasterError
from coteach.rasters.dataset import check_whole
from coteach.rasters.grid import Grid
from coteach.rasters.read import read_opened

Rule = Callable[[DatasetReader], object]

_MOST = 10**11  # pixels of an image: 3000 km x 3000 km of 10 m
_STRIP = 1 << 20  # pixels read at once


def image_rules(patch_size: int | None) -> tuple[Rule, ...]:
    """The rules for an image, each of which raises a RasterError.

    Args:
        patch_size: side in pixels; None asks for no size.
    """
    size = partial(check_size, patch_size=patch_size)
    return (Grid.of_dataset, check_extent, size, check_whole, check_has_data)


def label_map_rules() -> tuple[Rule, ...]:
    """The rules for a label map, each of which raises a RasterError."""
    return (Grid.of_dataset, check_one_band, check_numbers, check_whole)


def checked_grid(dataset: DatasetReader, rules: Iterable[Rule]) -> Grid:
    """The grid of a raster that keeps all rules.

    Raises:
        RasterError: it breaks one; the first counts.
    """
    for rule in rules:
        rule(dataset)
    return Grid.of_dataset(dataset)


def broken_rules(dataset: DatasetReader, rules: Sequence[Rule]) -> list[RasterError]:
    """All that is wrong with a raster. Of one that cannot be read to its end nothing more is found than that."""
    broken = []
    for rule in rules:
        try:
            rule(dataset)
        except RasterError as error:
            broken.append(error)
            if rule in (check_extent, check_whole):
                break
    return broken


def check_extent(dataset: DatasetReader) -> None:
    """Refuse an image of a size that hardly anything but a damaged header declares.

    Raises:
        RasterError: it is larger.
    """
    if dataset.height * dataset.width > _MOST:
        cause = f"declares {dataset.height} x {dataset.width} pixels, more than 10^11"
        raise RasterError(dataset.name, cause, "copy it again if that is wrong, or cut it into tiles")


def check_size(dataset: DatasetReader, patch_size: int | None) -> None:
    """Refuse an image in which no patch has room.

    Raises:
        RasterError: it is smaller.
    """
    if patch_size is not None and min(dataset.shape) < patch_size:
        cause = (
            f"has {dataset.height} x {dataset.width} pixels, less than a patch of {patch_size} x {patch_size}"
        )
        raise RasterError(dataset.name, cause, "give a smaller --patch-size, or drop the row")


def check_has_data(dataset: DatasetReader) -> None:
    """Refuse an image of nothing but NoData. Data is looked for in a few places first.

    Raises:
        RasterError: no pixel has a value in all bands.
    """
    whole = all(MaskFlags.all_valid in flags for flags in dataset.mask_flag_enums)
    if whole and np.dtype(dataset.dtypes[0]).kind != "f":
        return
    grid = Grid(dataset.crs or CRS(), dataset.transform, dataset.height, dataset.width)
    for window in chain(grid.sample(), grid.strips(_STRIP)):
        if read_opened(Path(dataset.name), dataset, window)[1].any():
            return
    cause = "has no pixel with data" + (" in all of its bands" if dataset.count > 1 else "")
    raise RasterError(dataset.name, cause, "give an image that is not all NoData, or drop the row")


def check_one_band(dataset: DatasetReader) -> None:
    """Refuse a label map of several bands; alpha does not count.

    Raises:
        RasterError: there is another number of bands than one.
    """
    labels = [band for band in dataset.colorinterp if band != ColorInterp.alpha]
    if len(labels) != 1:
        cause = f"has {len(labels)} bands, a label map has one"
        raise RasterError(dataset.name, cause, "give the band of class codes as a raster of its own")


def check_numbers(dataset: DatasetReader) -> None:
    """Refuse a label map of what cannot be whole numbers.

    Raises:
        RasterError: its values are complex or of a like dtype.
    """
    dtype = np.dtype(dataset.dtypes[0])
    if dtype.kind not in "iuf":
        raise RasterError(dataset.name, f"holds {dtype} values", "give a raster of whole numbers")
