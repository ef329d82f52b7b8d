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
from coteach.labels.distance import root, squared_distance
from coteach.labels.votes import argmax_codes


def border_pixels(codes: Int[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Pixels with another class among their 8 neighbours; NoData and the image's edge are no border.

    Args:
        codes: ``(h, w)`` class codes; negative is NoData.

    Returns:
        ``(h, w)``; False at NoData.
    """
    height, width = codes.shape
    top, bottom, left, right = slice(height - 1), slice(1, height), slice(width - 1), slice(1, width)
    every = slice(None)
    known = codes >= 0
    border = np.zeros(codes.shape, np.bool_)
    for one, other in (  # every pair of neighbours once
        ((every, left), (every, right)),
        ((top, every), (bottom, every)),
        ((top, left), (bottom, right)),
        ((top, right), (bottom, left)),
    ):
        differ = codes[one] != codes[other]
        differ &= known[one]
        differ &= known[other]
        border[one] |= differ
        border[other] |= differ
    return border


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

    A block gives the tile's weights if it is read with a halo of :func:`halo_of` pixels.

    Args:
        mask_codes: ``(h, w)`` class codes of the mask; negative is NoData.
        radius: R in pixels, above 0.

    Returns:
        ``(h, w)`` in [0, 1].

    Raises:
        OptionError: ``radius`` is out of range.
    """
    check_radius(radius)
    border = border_pixels(mask_codes)
    if not border.any():
        return np.ones(mask_codes.shape, np.float32)
    limit = min(math.floor(radius), max(mask_codes.shape))
    return np.minimum(root(squared_distance(border, limit)) / np.float32(radius), np.float32(1))


def halo_of(radius: float | int) -> int:  # noqa: PYI041
    """How far a border counts for :func:`mask_border_weight`, and one more pixel to see that it is one."""
    return math.floor(radius) + 1


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
    return share_of_furthest(distance, max_distance)


def share_of_furthest(
    distance: Float32[np.ndarray, "*pixels"], max_distance: float
) -> Float32[np.ndarray, "*pixels"]:
    """Distances to a border as weights: divided by the largest of the tile.

    Args:
        distance: in pixels; infinite if there is no border.
        max_distance: of the pixels of the tile that have a vote; 0 if each of them is a border, or none has.

    Returns:
        In [0, 1]; 1 where there is no border in the tile.
    """
    if max_distance == 0:
        return np.zeros(distance.shape, np.float32)
    if math.isinf(max_distance):
        return np.ones(distance.shape, np.float32)
    return np.minimum(distance / np.float32(max_distance), np.float32(1))


def check_radius(radius: float | int) -> None:  # noqa: PYI041
    """Refuse a border radius that no distance can be divided by.

    Raises:
        OptionError: it is no number above 0.
    """
    if not (math.isfinite(radius) and radius > 0):
        raise OptionError("border_radius", f"{radius} is no radius", "give a number of pixels above 0")
