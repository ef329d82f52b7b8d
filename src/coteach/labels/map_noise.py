"""Known errors for clean label maps: coarse units, misregistration, regional confusion, generalisation.

Every function takes a map of class codes ``0 .. C-1`` (-1 = NoData) and gives a new one; what is random is
drawn from the generator or the fields it is handed. Unlike independent pixel noise these errors have the shape of
those in published land-cover maps: they fill regions, follow class borders and swallow small patches.
:mod:`coteach.labels.map_products` puts them together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Int16
from scipy import ndimage

from coteach.labels.votes import NO_VOTE


def error_rate(codes: Int[np.ndarray, "h w"], truth: Int[np.ndarray, "h w"]) -> float:
    """Share of wrong pixels among those valid in both maps.

    Args:
        codes: ``(h, w)`` class codes, -1 = NoData.
        truth: ``(h, w)`` true class codes, -1 = NoData.

    Returns:
        Share in [0, 1]; NaN where no pixel is valid in both.

    Example:
        >>> error_rate(np.array([[0, 1, -1]]), np.array([[0, 0, 1]]))
        0.5
    """
    valid = (codes >= 0) & (truth >= 0)
    return float(np.mean(codes[valid] != truth[valid])) if valid.any() else float("nan")


def smooth_field(shape: tuple[int, int], scale: float, rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """A random field whose values change slowly from pixel to pixel.

    White noise under a Gaussian filter, scaled to mean 0 and standard deviation 1. The square root of r times one
    field plus that of 1 - r times another correlates with the first by the square root of r: so errors are shared.

    Args:
        shape: height and width in pixels.
        scale: standard deviation of the filter in pixels; the radius of the field's hills.
        rng: where the white noise comes from.

    Returns:
        ``(h, w)`` float64.
    """
    field: Float[np.ndarray, "h w"] = ndimage.gaussian_filter(
        rng.standard_normal(shape), scale, mode="reflect"
    )
    field -= field.mean()
    field /= field.std() or 1.0  # a field of one value stays 0
    return field


def block_majority(
    codes: Int[np.ndarray, "h w"], *, num_classes: int, block: int
) -> Int16[np.ndarray, "h w"]:
    """A coarser map: each block of pixels takes its most frequent class (ties: the lowest code).

    Args:
        codes: ``(h, w)`` class codes, -1 = NoData.
        num_classes: C, the number of classes.
        block: side of a block in pixels; the blocks at the right and bottom edge may be smaller.

    Returns:
        ``(h, w)`` int16; -1 in blocks without a valid pixel.
    """
    height, width = codes.shape
    rows, cols = np.arange(0, height, block), np.arange(0, width, block)
    votes = np.stack(
        [
            np.add.reduceat(np.add.reduceat(codes == c, rows, axis=0, dtype=np.int64), cols, axis=1)
            for c in range(num_classes)
        ]
    )
    coarse: Int16[np.ndarray, "h w"] = np.where(votes.any(axis=0), votes.argmax(axis=0), NO_VOTE).astype(
        np.int16
    )
    return coarse.repeat(block, axis=0).repeat(block, axis=1)[:height, :width]


def displace(
    codes: Int[np.ndarray, "h w"],
    *,
    shift: tuple[float, float],
    wobble: Float[np.ndarray, "2 h w"] | None = None,
) -> Int16[np.ndarray, "h w"]:
    """Misregistration: every pixel is read from somewhere else (nearest neighbour, edge pixels repeated).

    Args:
        codes: ``(h, w)`` class codes, -1 = NoData.
        shift: rows and columns by which the map moves down and right, in pixels.
        wobble: ``(2, h, w)`` rows and columns of a displacement that differs from pixel to pixel; None for none.

    Returns:
        ``(h, w)`` int16.
    """
    height, width = codes.shape
    rows, cols = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    moved = np.zeros((2, height, width)) if wobble is None else wobble
    rows = np.clip(np.rint(rows - shift[0] - moved[0]).astype(np.intp), 0, height - 1)
    cols = np.clip(np.rint(cols - shift[1] - moved[1]).astype(np.intp), 0, width - 1)
    moved_codes: Int16[np.ndarray, "h w"] = codes[rows, cols].astype(np.int16)
    return moved_codes


def blur_borders(
    codes: Int[np.ndarray, "h w"], *, num_classes: int, sigma: float, gain: Sequence[float] | None = None
) -> Int16[np.ndarray, "h w"]:
    """Smooth class borders: each pixel takes the class with the largest share under a Gaussian window.

    Args:
        codes: ``(h, w)`` class codes, -1 = NoData (has no share, and stays NoData).
        num_classes: C, the number of classes.
        sigma: standard deviation of the window in pixels.
        gain: C factors on the shares; a class with more than 1 grows at its borders. None for all 1.

    Returns:
        ``(h, w)`` int16.
    """
    factors = np.ones(num_classes) if gain is None else np.asarray(gain, dtype=np.float64)
    shares = [
        factors[c] * ndimage.gaussian_filter((codes == c).astype(np.float64), sigma)
        for c in range(num_classes)
    ]
    return np.where(codes >= 0, np.argmax(shares, axis=0), NO_VOTE).astype(np.int16)


def generalise(codes: Int[np.ndarray, "h w"], *, min_patch: int) -> Int16[np.ndarray, "h w"]:
    """A minimum mapping unit: patches (4-connected) of fewer pixels go to the nearest patch that stays.

    Args:
        codes: ``(h, w)`` class codes, -1 = NoData (stays NoData and gives no class away).
        min_patch: smallest number of pixels of a patch that stays; if none is as large, the map stays as it is.

    Returns:
        ``(h, w)`` int16.
    """
    small = np.zeros(codes.shape, dtype=bool)
    for code in np.unique(codes[codes >= 0]):
        patches, _ = ndimage.label(codes == code)
        small |= (patches > 0) & (np.bincount(patches.ravel())[patches] < min_patch)
    stays = (codes >= 0) & ~small
    if not stays.any():
        return codes.astype(np.int16)
    rows, cols = ndimage.distance_transform_edt(~stays, return_distances=False, return_indices=True)
    return np.where(small, codes[rows, cols], codes).astype(np.int16)


def confuse(
    codes: Int[np.ndarray, "h w"],
    *,
    source: int,
    target: int,
    share: float,
    field: Float[np.ndarray, "h w"],
    nearness: float = 0.0,
) -> Int16[np.ndarray, "h w"]:
    """Regional confusion: a share of one class is called another, where a field is high and the other is near.

    Args:
        codes: ``(h, w)`` class codes, -1 = NoData.
        source: the class that is mistaken.
        target: the class it is mistaken for.
        share: share in [0, 1] of the source's pixels that change: those with the highest score.
        field: ``(h, w)`` score of each pixel, about standard normal; see :func:`smooth_field`.
        nearness: how much the score falls for every e-fold of the distance (pixels) to the target class.

    Returns:
        ``(h, w)`` int16.
    """
    result = codes.astype(np.int16)
    pixels = np.flatnonzero(codes == source)
    if nearness > 0 and (codes == target).any():
        field = field - nearness * np.log1p(ndimage.distance_transform_edt(codes != target))
    worst = np.argsort(-field.ravel()[pixels], kind="stable")[: round(share * pixels.size)]
    result.ravel()[pixels[worst]] = target
    return result
