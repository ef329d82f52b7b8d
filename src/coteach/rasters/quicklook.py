"""A tile of any size as small arrays that can be looked at: every n-th pixel of image, P_soft and W_conf.

Files are read strip by strip: what is held of a tile of 20,000 x 20,000 pixels is GDAL's cache and the small arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int16
from rasterio.errors import NodataShadowWarning
from rasterio.io import DatasetReader

from coteach.errors import RasterError
from coteach.labels.votes import argmax_codes
from coteach.rasters.dataset import opened, without
from coteach.rasters.grid import Window
from coteach.rasters.write import BLOCK


@dataclass(frozen=True, slots=True, eq=False)
class QuickLook:
    """What is seen of a tile.

    Args:
        image: ``(1 or 3, h, w)`` values as they are.
        image_valid: ``(h, w)`` where the image has data.
        codes: ``(h, w)`` the class with the largest share, ties to the lowest; negative where nobody votes.
        w_conf: ``(h, w)`` in [0, 1].
        weighted: ``(h, w)`` where there is a weight.
    """

    image: Float32[np.ndarray, "bands h w"]
    image_valid: Bool[np.ndarray, "h w"]
    codes: Int16[np.ndarray, "h w"]
    w_conf: Float32[np.ndarray, "h w"]
    weighted: Bool[np.ndarray, "h w"]


def read_quicklook(image: Path, p_soft: Path, w_conf: Path, *, most: int = 512) -> QuickLook:
    """Read every n-th pixel of a tile, so that it is no larger than asked for.

    Args:
        image: the first three bands are shown, or the first of fewer.
        p_soft: C bands on the same grid: shares, or parts of them as integers.
        w_conf: the weight in its first band, with the scale that the band declares.
        most: greatest height and width, in pixels.

    Raises:
        RasterError: a file is missing or damaged, or they differ in height and width.
    """
    with opened(p_soft) as dataset:
        size = (dataset.height, dataset.width)
        shape = _small(size, most)
        shares, voted = _decimated(dataset, range(1, dataset.count + 1), shape)
    with opened(image) as dataset:
        _check_size(image, dataset, p_soft, size)
        pictured, image_valid = _decimated(dataset, (1, 2, 3) if dataset.count >= 3 else (1,), shape)
    with opened(w_conf) as dataset:
        _check_size(w_conf, dataset, p_soft, size)
        weight, weighted = _decimated(dataset, (1,), shape)
        weight = weight * np.float32(dataset.scales[0]) + np.float32(dataset.offsets[0])
    finite = np.isfinite(pictured).all(axis=0)
    return QuickLook(pictured, image_valid & finite, argmax_codes(shares, voted), weight[0], weighted & voted)


def _small(size: tuple[int, int], most: int) -> tuple[int, int]:
    """Rows and columns of what is shown; small tiles are shown as they are."""
    factor = max(1.0, max(size) / most)
    return max(1, round(size[0] / factor)), max(1, round(size[1] / factor))


def _check_size(path: Path, dataset: DatasetReader, p_soft: Path, size: tuple[int, int]) -> None:
    if (dataset.height, dataset.width) != size:
        cause = f"has {dataset.height} x {dataset.width} pixels, {p_soft} has {size[0]} x {size[1]}"
        raise RasterError(str(path), cause, "give the files of one tile")


def _decimated(
    dataset: DatasetReader, bands: Sequence[int], shape: tuple[int, int]
) -> tuple[Float32[np.ndarray, "bands h w"], Bool[np.ndarray, "h w"]]:
    """Values, and where all of these bands have data; all bands of a strip together, so that a block is decoded once."""
    height, width = shape
    values = np.empty((len(bands), height, width), np.float32)
    valid = np.empty((height, width), np.bool_)
    edges = [round(row * dataset.height / height) for row in range(height + 1)]
    start = 0
    while start < height:
        stop = start + 1
        while stop < height and edges[stop + 1] - edges[start] <= BLOCK:
            stop += 1
        window = Window(edges[start], 0, edges[stop] - edges[start], dataset.width).for_gdal()
        small = (len(bands), stop - start, width)
        values[:, start:stop] = dataset.read(list(bands), window=window, out_shape=small)
        with without(NodataShadowWarning):  # as in coteach.rasters.dataset.read_valid
            masks = dataset.read_masks(list(bands), window=window, out_shape=small)
        valid[start:stop] = (masks > 0).all(axis=0)
        start = stop
    return values, valid
