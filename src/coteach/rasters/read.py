"""Read images and soft labels, whole or by window, as arrays.

Files stay open between reads, see :mod:`coteach.rasters.handles`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Shaped
from rasterio import windows
from rasterio.enums import MaskFlags
from rasterio.io import DatasetReader

from coteach.errors import RasterError
from coteach.rasters.dataset import opened, read_valid
from coteach.rasters.grid import Window
from coteach.rasters.handles import kept_open

PARTS_TAG = "SOFT_LABEL_PARTS"  # of an 8-bit P_soft: "votes" counted, or "shares" in parts of 255


def raster_shape(path: Path) -> tuple[int, int, int, str]:
    """Bands, rows, columns and dtype of a raster.

    Raises:
        RasterError: the file is missing or no raster.
    """
    with opened(path) as dataset:
        return dataset.count, dataset.height, dataset.width, dataset.dtypes[0]


def read_image(
    path: Path, window: Window | None = None
) -> tuple[Float32[np.ndarray, "bands h w"], Bool[np.ndarray, "h w"]]:
    """The values of an image as they are, and where they are data.

    Args:
        path: a raster of any number of bands.
        window: the part to read; None is all of it.

    Returns:
        ``(bands, h, w)`` values; and ``(h, w)``, True where no band has NoData, a masked pixel, NaN or infinity.

    Raises:
        RasterError: the file is missing or damaged, or the window leaves it.
    """
    with kept_open(path) as dataset:
        return read_opened(path, dataset, window)


def read_opened(
    path: Path, dataset: DatasetReader, window: Window | None
) -> tuple[Float32[np.ndarray, "bands h w"], Bool[np.ndarray, "h w"]]:
    """As :func:`read_image`, of a file that stays open: one that is read many times is decoded once."""
    values, valid = _read(path, dataset, window)
    if np.dtype(dataset.dtypes[0]).kind == "f":
        valid &= np.isfinite(values).all(axis=0)
    return values, valid


def read_soft_label(
    p_soft_path: Path, w_conf_path: Path | None, window: Window | None = None
) -> tuple[Float32[np.ndarray, "c h w"], Float32[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """P_soft, W_conf, and where there was a vote.

    Args:
        p_soft_path: C bands: shares, or 8-bit parts of them with the tag :data:`PARTS_TAG`.
        w_conf_path: one band, with a scale if it is 8-bit; a second one named ``votes`` is ignored. None gives
            weight 1 to every pixel with a vote.
        window: the part to read; None is all of it.

    Returns:
        ``(C, h, w)`` shares, those of parts uniform where all are 0; ``(h, w)`` weights; and ``(h, w)``, False where
        a file has NoData or a masked pixel.

    Raises:
        RasterError: a file is missing or damaged, the window leaves it, the two differ in size, or 8-bit P_soft does
            not say what it holds.
    """
    with kept_open(p_soft_path) as dataset:
        p_soft, valid = _read(p_soft_path, dataset, window)
        if dataset.dtypes[0] == "uint8":
            p_soft = _shares(p_soft_path, p_soft, dataset.tags().get(PARTS_TAG))
    if w_conf_path is None:
        return p_soft, valid.astype(np.float32), valid
    with kept_open(w_conf_path) as dataset:
        if dataset.count != 1 and dataset.descriptions[1:] != ("votes",):
            cause = f"has {dataset.count} bands where 1 is expected"
            raise RasterError(
                str(w_conf_path), cause, "give one band of weights (a second may hold the votes)"
            )
        w_conf, weighted = _read(w_conf_path, dataset, window, first=1)
        scale, offset = dataset.scales[0], dataset.offsets[0]
    if w_conf.shape[1:] != valid.shape:
        cause = f"has {_size(w_conf.shape)}, {p_soft_path} has {_size(p_soft.shape)}"
        raise RasterError(str(w_conf_path), cause, "give the weights made with that file")
    if (scale, offset) != (1, 0):
        w_conf = (w_conf * np.float64(scale) + offset).astype(np.float32)
    return p_soft, w_conf[0], valid & weighted


def _shares(
    path: Path, parts: Float32[np.ndarray, "c h w"], meaning: str | None
) -> Float32[np.ndarray, "c h w"]:
    """Vote counts, or rounded shares, by their sum; uniform where it is 0."""
    if meaning not in {"votes", "shares"}:
        found = "lacks the tag" if meaning is None else f"has {meaning!r} in the tag"
        cause = f"holds 8-bit numbers, but {found} {PARTS_TAG}, which says whether they are votes or shares"
        raise RasterError(str(path), cause, "give shares as float32, or a file of coteach build-soft-labels")
    total = parts.sum(axis=0)
    shares: Float32[np.ndarray, "c h w"] = parts / np.maximum(total, 1)
    shares[:, total == 0] = 1 / len(parts)
    return shares


def _read(
    path: Path, dataset: DatasetReader, window: Window | None, first: int | None = None
) -> tuple[Float32[np.ndarray, "bands h w"], Bool[np.ndarray, "h w"]]:
    part = None
    if window is not None:
        _check_window(path, dataset, window)
        part = window.for_gdal()
    values = dataset.read(range(1, (first or dataset.count) + 1), window=part)
    return values.astype(np.float32, copy=False), _valid(dataset, part, values)


def _valid(
    dataset: DatasetReader, part: windows.Window | None, values: Shaped[np.ndarray, "bands h w"]
) -> Bool[np.ndarray, "h w"]:
    """Where all of these bands have data. GDAL's masks cost as much as the values: read are those that say more."""
    flags = dataset.mask_flag_enums[: len(values)]
    valid: Bool[np.ndarray, "h w"]
    if all(MaskFlags.all_valid in band for band in flags):
        valid = np.ones(values.shape[1:], np.bool_)
    elif all(band == [MaskFlags.per_dataset] for band in flags):  # one for all bands
        valid = dataset.read_masks(1, window=part) > 0
    elif values.dtype.kind in "iu" and all(band == [MaskFlags.nodata] for band in flags):
        stated = [int(value) if value.is_integer() else value for value in map(float, dataset.nodatavals)]
        valid = np.all([band != value for band, value in zip(values, stated, strict=False)], axis=0)
    else:
        valid = np.all(read_valid(dataset, part)[: len(values)], axis=0)
    return valid


def _check_window(path: Path, dataset: DatasetReader, window: Window) -> None:
    """GDAL would cut it off without a word."""
    bottom, right = window.row_off + window.height, window.col_off + window.width
    if min(window.row_off, window.col_off) < 0 or bottom > dataset.height or right > dataset.width:
        cause = (
            f"has {dataset.height} x {dataset.width} pixels, which the window of rows {window.row_off} to {bottom} "
            f"and columns {window.col_off} to {right} leaves"
        )
        raise RasterError(str(path), cause, "correct the window")


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} bands of {shape[1]} x {shape[2]} pixels"
