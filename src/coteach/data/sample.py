"""One sample as arrays: the image's scale, what a label must hold, and which pixels have none."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from coteach.errors import OptionError, RasterError

_FULL_SCALE = {"uint8": 255.0, "uint16": 65535.0, "float16": 1.0, "float32": 1.0, "float64": 1.0}
# how far P_soft may be from summing to 1, and W_conf from [0, 1]; half-precision files are within it
_TOLERANCE = 1e-2


class Sample(NamedTuple):
    """A sample before it becomes tensors.

    Args:
        image: ``(bands, H, W)`` float32, scaled.
        p_soft: ``(C, H, W)`` float32; 0 in every class where there is no label.
        w_conf: ``(H, W)`` float32 in [0, 1]; 0 where there is no label.
    """

    image: Float32[np.ndarray, "bands h w"]
    p_soft: Float32[np.ndarray, "c h w"]
    w_conf: Float32[np.ndarray, "h w"]


def scale_divisor(
    dtype: str,
    image_scale: float | int | None,  # noqa: PYI041 -- checked at run time, where an int is no float
    image: Path,
) -> float:
    """What an image is divided by, from its dtype alone: the same for all of its windows.

    Args:
        dtype: of the file.
        image_scale: overrides the dtype's divisor; above 0.
        image: the file, for the error.

    Returns:
        255 for uint8, 65535 for uint16, 1 for floats.

    Raises:
        OptionError: ``image_scale`` is no number above 0.
        RasterError: the dtype has no divisor and none was given.
    """
    if image_scale is not None:
        if not _is_positive(image_scale):
            remedy = "give the value that becomes 1, as 255"
            raise OptionError("image_scale", f"{image_scale!r} is no number above 0", remedy)
        return float(image_scale)
    if dtype not in _FULL_SCALE:
        remedy = "give image_scale, the value that becomes 1"
        raise RasterError(str(image), f"{dtype} images have no scale of their own", remedy)
    return _FULL_SCALE[dtype]


def _is_positive(value: object) -> bool:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return number and bool(np.isfinite(value) and value > 0)  # type: ignore[call-overload, operator]


def scale_image(
    image: Float32[np.ndarray, "bands h w"], seen: Bool[np.ndarray, "h w"], divisor: float
) -> Float32[np.ndarray, "bands h w"]:
    """What a network is shown of an image: its values by ``divisor``, and 0 where it has no data."""
    scaled = image / np.float32(divisor)
    if not seen.all():
        scaled[:, ~seen] = 0
    return scaled


def check_label(
    p_soft: Float32[np.ndarray, "c h w"],
    w_conf: Float32[np.ndarray, "h w"],
    voted: Bool[np.ndarray, "h w"],
    p_soft_path: Path,
    w_conf_path: Path | None,
) -> Bool[np.ndarray, "h w"]:
    """Where there is a label: a vote by the files' mask, P_soft finite and not 0 in every class, W_conf finite.

    Raises:
        RasterError: elsewhere P_soft is no distribution, or W_conf is outside [0, 1].
    """
    total = p_soft.sum(0)
    # most labels are distributions in all pixels, which one number tells; NaN is not at least 0
    negative = not p_soft.min(initial=0) >= 0
    labelled = (
        voted & np.isfinite(total) & np.isfinite(w_conf) & ((p_soft != 0).any(0) if negative else total > 0)
    )
    wrong = labelled & (np.abs(total - 1) > _TOLERANCE)
    if negative:
        wrong |= labelled & (p_soft < -_TOLERANCE).any(0)
    if wrong.any():
        row, col = np.argwhere(wrong)[0]
        cause = f"is no distribution: it holds {_listed(p_soft[:, row, col])} at a pixel with a vote"
        raise RasterError(
            str(p_soft_path), cause, "give vote shares that sum to 1 (coteach build-soft-labels)"
        )
    wrong = labelled & ((w_conf < -_TOLERANCE) | (w_conf > 1 + _TOLERANCE))
    if wrong.any():
        cause = f"holds {w_conf[wrong][0]:g}, which is outside [0, 1]"
        raise RasterError(str(w_conf_path), cause, "give weights in [0, 1] (coteach build-soft-labels)")
    return np.asarray(labelled)


def complete(sample: Sample) -> Sample:
    """Give pixels without a label what stands for that: the uniform distribution, weight 0.

    They are the pixels whose P_soft does not sum to 1: it was set to 0 for them, or augmentation brought them in
    from outside the image.
    """
    # written so that NaN is unlabelled too
    unlabelled = ~(np.abs(sample.p_soft.sum(0) - 1) <= _TOLERANCE)
    if not unlabelled.any():
        return sample
    p_soft = sample.p_soft.copy()
    p_soft[:, unlabelled] = 1 / len(p_soft)
    return Sample(sample.image, p_soft, np.where(unlabelled, np.float32(0), sample.w_conf))


def _listed(values: Float32[np.ndarray, " c"]) -> str:
    return ", ".join(f"{value:.3g}" for value in values)
