"""AlphaEarth rasters as the images themselves: what a network is shown of their values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from coteach.data.sample import scale_divisor, scale_image
from coteach.errors import OptionError
from coteach.rasters.embedding_values import check_dtypes, vectors_of

EMBEDDINGS = "embeddings"
ImageScale = float | str | None  # a divisor, EMBEDDINGS, or by the dtype


def check_scale(dtype: str, image_scale: ImageScale, image: Path) -> None:
    """Refuse a scale that an image cannot have.

    Args:
        dtype: of the file.
        image_scale: above 0, :data:`EMBEDDINGS`, or None.
        image: the file, for the error.

    Raises:
        OptionError: ``image_scale`` is no number above 0 and not :data:`EMBEDDINGS`.
        RasterError: the dtype has no scale and none was given, or it is none of embeddings.
    """
    if isinstance(image_scale, str):
        if image_scale != EMBEDDINGS:
            remedy = f"give the value that becomes 1, or {EMBEDDINGS!r}"
            raise OptionError("image_scale", f"{image_scale!r} is no number", remedy)
        check_dtypes(str(image), [dtype])
    else:
        scale_divisor(dtype, image_scale, image)


def shown(
    values: Float32[np.ndarray, "bands h w"],
    seen: Bool[np.ndarray, "h w"],
    dtype: str,
    image_scale: ImageScale,
    image: Path,
) -> tuple[Float32[np.ndarray, "bands h w"], Bool[np.ndarray, "h w"]]:
    """What a network is shown of an image.

    Embeddings are dequantised (int8, or int16 of the same values) or taken as they are (floats). A pixel of which one
    component is NoData, which -128 is whatever the file says, is not seen.

    Args:
        values: of the file, as they are.
        seen: where the file has data.
        dtype: of the file.
        image_scale: what values are divided by; :data:`EMBEDDINGS`; or None, which goes by the dtype.
        image: the file, for errors.

    Returns:
        ``(bands, h, w)``, 0 where nothing is seen: of embeddings in [-1, 1]; and ``(h, w)``, where something is.

    Raises:
        OptionError, RasterError: as :func:`check_scale`; or an int16 value is no component.
    """
    check_scale(dtype, image_scale, image)
    if isinstance(image_scale, str):
        vectors = vectors_of(str(image), values.astype(dtype), seen)
        found = np.isfinite(vectors).all(axis=0)
        return scale_image(vectors, found, 1.0), found
    return scale_image(values, seen, scale_divisor(dtype, image_scale, image)), seen
