"""Class borders of label maps, and how far a pixel must be from them to be believed.

Borders use 8 neighbours; NoData and the image's edge are no border. Shape legend: ``C`` classes, ``h`` rows,
``w`` columns.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy import ndimage

from coteach.errors import OptionError
from coteach.labels.votes import argmax_codes


def border_pixels(codes: Int[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Pixels with another class among their 8 neighbours; NoData and the image's edge are no border.

    Args:
        codes: ``(h, w)`` class codes; negative is NoData.

    Returns:
        ``(h, w)``; False at NoData.
    """
    height, width = codes.shape
    around = np.pad(codes, 1, constant_values=-1)
    border = np.zeros(codes.shape, np.bool_)
    for row in range(3):
        for col in range(3):
            neighbour = around[row : row + height, col : col + width]
            border |= (neighbour != codes) & (neighbour >= 0)
    return border & (codes >= 0)


def border_distance(codes: Int[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Distance to the nearest border pixel, see :func:`border_pixels`.

    Args:
        codes: ``(h, w)`` class codes; negative is NoData.

    Returns:
        ``(h, w)`` Euclidean, in pixels, 0 on the border; infinite if there is none.
    """
    border = border_pixels(codes)
    if not border.any():
        return np.full(codes.shape, np.inf, np.float32)
    distance = ndimage.distance_transform_edt(~border)
    assert isinstance(distance, np.ndarray)
    return distance.astype(np.float32)


def mask_border_weight(
    mask_codes: Int[np.ndarray, "h w"],
    radius: float | int = 10,  # noqa: PYI041
) -> Float32[np.ndarray, "h w"]:
    """min(1, d / R), d the distance to the borders of the cartographic mask; 1 if it has none.

    A block gives the tile's weights if it is read with a halo of R + 1 pixels.

    Args:
        mask_codes: ``(h, w)`` class codes of the mask; negative is NoData.
        radius: R in pixels, above 0.

    Returns:
        ``(h, w)`` in [0, 1].

    Raises:
        OptionError: ``radius`` is out of range.
    """
    check_radius(radius)
    return np.minimum(border_distance(mask_codes) / np.float32(radius), np.float32(1))


def argmax_border_weight(
    p_soft: Float[np.ndarray, "c h w"],
    voted: Bool[np.ndarray, "h w"],
    *,
    max_distance: float | None = None,
) -> Float32[np.ndarray, "h w"]:
    """Distance to the borders of ``argmax P_soft``, divided by its maximum; 1 if it has none.

    Args:
        p_soft: ``(C, h, w)`` vote shares.
        voted: where at least one source votes; other pixels are no border, and their distance is no maximum.
        max_distance: of the tile, in pixels; of what is given if None.

    Returns:
        ``(h, w)`` in [0, 1]; without meaning where nobody votes.
    """
    distance = border_distance(argmax_codes(p_soft, voted))
    if max_distance is None:
        max_distance = float(distance[voted].max(initial=0))
    if max_distance == 0:  # every pixel is a border, or nobody votes
        return np.zeros(voted.shape, np.float32)
    if math.isinf(max_distance):
        return np.ones(voted.shape, np.float32)
    return np.minimum(distance / np.float32(max_distance), np.float32(1))


def check_radius(radius: float | int) -> None:  # noqa: PYI041
    """Refuse a border radius that no distance can be divided by.

    Raises:
        OptionError: it is no number above 0.
    """
    if not (math.isfinite(radius) and radius > 0):
        raise OptionError("border_radius", f"{radius} is no radius", "give a number of pixels above 0")
