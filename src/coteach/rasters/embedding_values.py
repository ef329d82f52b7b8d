"""What the numbers in a file of embeddings mean: quantised integers, or floats as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int16, Shaped
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from coteach.errors import RasterError
from coteach.labels.embeddings import NO_DATA, dequantise
from coteach.rasters.dataset import read_valid
from coteach.rasters.grid import Window

_LARGEST = 127  # of quantised components


def check_dtypes(thing: str, dtypes: Iterable[str]) -> None:
    """Refuse values whose scale nobody knows.

    Raises:
        RasterError: they are neither floats nor int8 (nor int16, which may hold the same values), or differ by band.
    """
    names = sorted(set(dtypes))
    if len(names) > 1:
        cause = f"holds {' and '.join(names)} values in different bands"
        raise RasterError(thing, cause, "give one dtype for all bands")
    if names[0] not in ("int8", "int16") and not names[0].startswith("float"):
        cause = f"holds {names[0]} values, whose scale is not known"
        raise RasterError(thing, cause, "give int8 as AlphaEarth has it, or vectors as floats")


def vectors_of(
    thing: str, values: Shaped[np.ndarray, "b *pixels"], valid: Bool[np.ndarray, "*pixels"] | None = None
) -> Float32[np.ndarray, "b *pixels"]:
    """The vectors that the values of a file stand for.

    Args:
        thing: the file.
        values: ``(b, ...)`` int8 or int16, which are dequantised and where -128 is NoData, or floats.
        valid: ``(...)`` False where the file has NoData; None has none.

    Returns:
        ``(b, ...)`` of any length; NaN in all bands where there is none.

    Raises:
        RasterError: an int16 value is out of the range of int8.
    """
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):  # infinity is none either
            vectors = values.astype(np.float32)
        missing = ~np.isfinite(vectors).all(axis=0)
    else:
        vectors = dequantise(values if values.dtype == np.int8 else _narrowed(thing, values, valid))
        missing = np.zeros(values.shape[1:], np.bool_)
    if valid is not None:
        missing |= ~valid
    vectors[:, missing] = np.nan
    return vectors


def _narrowed(
    thing: str, values: Int16[np.ndarray, "b *pixels"], valid: Bool[np.ndarray, "*pixels"] | None
) -> Shaped[np.ndarray, "b *pixels"]:
    """The same as int8."""
    strange = (values < NO_DATA) | (values > _LARGEST)
    if valid is not None:
        strange &= valid
    if strange.any():
        cause = f"holds {values[strange][0]}, which is no quantised component"
        raise RasterError(thing, cause, f"give values of {-_LARGEST} to {_LARGEST}, {NO_DATA} for NoData")
    return values.clip(NO_DATA, _LARGEST).astype(np.int8)


class StoredVectors:
    """Reads parts of an open raster of embeddings; a band of alpha masks, and is no component.

    Args:
        thing: the file.
        dataset: the same, open.

    Raises:
        RasterError: its dtype tells no scale.
    """

    def __init__(self, thing: str, dataset: DatasetReader) -> None:
        self._thing = thing
        self._dataset = dataset
        bands = list(zip(dataset.indexes, dataset.colorinterp, strict=True))
        self.indexes = [index for index, meaning in bands if meaning != ColorInterp.alpha]
        self._alpha = [index for index, meaning in bands if meaning == ColorInterp.alpha]
        if not self.indexes:
            raise RasterError(thing, "has no band but alpha", "give embeddings of at least one band")
        check_dtypes(thing, (dataset.dtypes[index - 1] for index in self.indexes))
        flags = (dataset.mask_flag_enums[index - 1] for index in self.indexes)
        self._masked = any(MaskFlags.per_dataset in flag and MaskFlags.alpha not in flag for flag in flags)
        # GDAL forgets NoData where the file has a mask, too
        self._nodata: Sequence[float | None] = [dataset.nodatavals[index - 1] for index in self.indexes]

    def read(self, part: Window) -> tuple[Shaped[np.ndarray, "b h w"], Bool[np.ndarray, "h w"] | None]:
        """Values as they are, and False where NoData or a mask says so; None where that is nowhere."""
        window = part.for_gdal()
        values = self._dataset.read(self.indexes, window=window)
        valid: Bool[np.ndarray, "h w"] | None = None
        if self._masked:
            valid = read_valid(self._dataset, window)[0]
        for index in self._alpha:  # of signed numbers, GDAL makes no mask of it
            valid = self._dataset.read(index, window=window) != 0
        for band, nodata in zip(values, self._nodata, strict=True):
            # -128 and NaN are none in any case
            if (
                nodata is not None
                and not np.isnan(nodata)
                and not (band.dtype.kind == "i" and nodata == NO_DATA)
            ):
                valid = band != nodata if valid is None else valid & (band != nodata)
        return values, valid

    def vectors(
        self, values: Shaped[np.ndarray, "b *pixels"], valid: Bool[np.ndarray, "*pixels"] | None
    ) -> Float32[np.ndarray, "b *pixels"]:
        """What was read, or some of its pixels, as :func:`vectors_of` has it."""
        return vectors_of(self._thing, values, valid)
