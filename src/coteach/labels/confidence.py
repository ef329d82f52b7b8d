"""P_soft -> W_conf: how far the label of each pixel is to be believed.

The parts of the weight, after Xiao et al. (JSTARS 2026), each in [0, 1]:

- entropy: the sources agree;
- border: no class border is near, of the cartographic mask or of ``argmax P_soft``;
- embedding: given by the caller.

What belongs to the whole tile (the range of H, the largest distance) can be passed in, so that a block with a halo
gives the same weights as the tile. Shape legend: ``C`` classes, ``h`` rows, ``w`` columns.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int
from scipy import special

from coteach.errors import OptionError
from coteach.labels.borders import argmax_border_weight, check_radius, mask_border_weight

ENTROPY_NORMS = ("max_entropy", "minmax")
_FLAT = 1e-6  # nats; a smaller range is rounding, for equal shares may stand in another order
_ROUNDING = 1e-9


class WeightShares(NamedTuple):
    """How much each part counts in W_conf; sum 1."""

    entropy: float
    border: float
    embedding: float


def weight_shares(
    alpha: float | int,  # noqa: PYI041 -- checked at run time, where an int is no float
    beta: float | int,  # noqa: PYI041
    *,
    use_border: bool,
) -> WeightShares:
    """The share of each part of W_conf.

    With borders ``alpha``, ``1 - alpha - beta`` and ``beta``; without ``alpha / (alpha + beta)``, 0 and
    ``beta / (alpha + beta)``.

    Args:
        alpha: of entropy, at least 0.
        beta: of embeddings, at least 0; with borders ``alpha + beta <= 1``, without ``alpha + beta > 0``.
        use_border: whether borders count.

    Returns:
        The shares.

    Raises:
        OptionError: one is negative or no number, or their sum is out of range.
    """
    for name, value in (("alpha", alpha), ("beta", beta)):
        if not (math.isfinite(value) and value >= 0):
            raise OptionError(name, f"{value} is no weight", "give a number of at least 0")
    total = alpha + beta
    if not use_border:
        if total == 0:
            cause = "both are 0, so that without borders nothing is left of the weight"
            raise OptionError("alpha + beta", cause, "give alpha above 0")
        return WeightShares(alpha / total, 0.0, beta / total)
    if total > 1 + _ROUNDING:
        cause = f"{alpha:g} + {beta:g} is more than 1, the border's share would be negative"
        raise OptionError("alpha + beta", cause, "lower one of them, or leave borders out")
    return WeightShares(float(alpha), max(0.0, 1 - total), float(beta))


def entropy(p_soft: Float[np.ndarray, "c *pixels"]) -> Float64[np.ndarray, "*pixels"]:
    """H = -Σ P log P, with 0 log 0 = 0.

    Args:
        p_soft: ``(C, h, w)`` vote shares.

    Returns:
        ``(h, w)`` in nats, 0 to log C.
    """
    total = np.zeros(p_soft.shape[1:], np.float64)
    for share in p_soft:
        total += special.entr(share.astype(np.float64))
    return total


def entropy_range(
    p_soft: Float[np.ndarray, "c *pixels"], voted: Bool[np.ndarray, "*pixels"]
) -> tuple[float, float]:
    """Least and greatest H over the pixels that have a vote, in nats; (0, 0) if none has."""
    values = entropy(p_soft)[voted]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def entropy_weight(
    p_soft: Float[np.ndarray, "c *pixels"],
    voted: Bool[np.ndarray, "*pixels"],
    *,
    norm: str = "max_entropy",
    tile_range: tuple[float, float] | None = None,
) -> Float32[np.ndarray, "*pixels"]:
    """1 where all sources agree.

    Args:
        p_soft: ``(C, h, w)`` vote shares.
        voted: where at least one source votes.
        norm: ``"max_entropy"``: 1 - H / log C; ``"minmax"``: 1 - (H - min) / (max - min), and 1 if all are equal.
        tile_range: min and max for ``"minmax"``; :func:`entropy_range` of what is given if None.

    Returns:
        ``(h, w)`` in [0, 1]; without meaning where nobody votes.

    Raises:
        OptionError: no such norm.
    """
    check_entropy_norm(norm)
    if norm == "max_entropy":
        low, high = 0.0, math.log(len(p_soft))
    else:
        low, high = entropy_range(p_soft, voted) if tile_range is None else tile_range
    return scaled_entropy(entropy(p_soft), low, high)


def scaled_entropy(
    values: Float64[np.ndarray, "*pixels"], low: float, high: float
) -> Float32[np.ndarray, "*pixels"]:
    """1 - (H - low) / (high - low), and 1 if the two are equal.

    Args:
        values: H in nats.
        low: H of weight 1.
        high: H of weight 0.

    Returns:
        In [0, 1].
    """
    if high - low < _FLAT:
        return np.ones(values.shape, np.float32)
    return np.clip(1 - (values - low) / (high - low), 0, 1).astype(np.float32)


def confidence_weight(
    p_soft: Float[np.ndarray, "c h w"],
    voted: Bool[np.ndarray, "h w"],
    *,
    alpha: float | int = 0.6,  # noqa: PYI041
    beta: float | int = 0.0,  # noqa: PYI041
    use_border: bool = True,
    mask_codes: Int[np.ndarray, "h w"] | None = None,
    border_radius: float | int = 10,  # noqa: PYI041
    entropy_norm: str = "max_entropy",
    w_embed: Float[np.ndarray, "h w"] | None = None,
    tile_range: tuple[float, float] | None = None,
    max_distance: float | None = None,
) -> Float32[np.ndarray, "h w"]:
    """W_conf: the weighted mean of the parts, see :func:`weight_shares`.

    Args:
        p_soft: ``(C, h, w)`` vote shares.
        voted: where at least one source votes.
        alpha: weight of entropy.
        beta: weight of embeddings.
        use_border: whether borders count, with what alpha and beta leave of 1.
        mask_codes: ``(h, w)`` the cartographic mask, negative is NoData: its borders count; if None those of
            ``argmax P_soft``.
        border_radius: R of the mask's borders, in pixels.
        entropy_norm: ``"max_entropy"`` or ``"minmax"``.
        w_embed: ``(h, w)`` in [0, 1], agreement of the embeddings; needed with ``beta > 0``. NaN where there is none: the
            other parts then count, by their shares.
        tile_range: see :func:`entropy_weight`.
        max_distance: see :func:`~coteach.labels.borders.argmax_border_weight`.

    Returns:
        ``(h, w)`` in [0, 1]; 0 where nobody votes.

    Raises:
        OptionError: a parameter is out of range, or ``w_embed`` is missing.

    Example:
        >>> p_soft = np.array([[[1.0, 0.5]], [[0.0, 0.5]]])
        >>> confidence_weight(p_soft, np.array([[True, True]]), use_border=False).tolist()
        [[1.0, 0.0]]
    """
    shares = weight_shares(alpha, beta, use_border=use_border)
    check_entropy_norm(entropy_norm)
    check_radius(border_radius)
    by_entropy = by_border = None
    if shares.entropy > 0:
        by_entropy = entropy_weight(p_soft, voted, norm=entropy_norm, tile_range=tile_range)
    if shares.border > 0 and mask_codes is not None:
        by_border = mask_border_weight(mask_codes, border_radius)
    elif shares.border > 0:
        by_border = argmax_border_weight(p_soft, voted, max_distance=max_distance)
    if shares.embedding > 0 and w_embed is None:
        raise OptionError("beta", f"{beta:g} needs embeddings, and there are none", "leave beta at 0")
    return weighted_mean(shares, voted, by_entropy, by_border, w_embed)


def weighted_mean(
    shares: WeightShares,
    voted: Bool[np.ndarray, "*pixels"],
    by_entropy: Float32[np.ndarray, "*pixels"] | None,
    by_border: Float32[np.ndarray, "*pixels"] | None,
    by_embedding: Float[np.ndarray, "*pixels"] | None,
) -> Float32[np.ndarray, "*pixels"]:
    """W_conf of its parts.

    Args:
        shares: what each part counts; one that counts nothing may be None.
        voted: where at least one source votes.
        by_entropy: in [0, 1].
        by_border: in [0, 1].
        by_embedding: in [0, 1]; NaN where there is no embedding: there the other parts count, by their shares.

    Returns:
        In [0, 1]; 0 where nobody votes, and where all that counts is an embedding that is missing.
    """
    weight = np.zeros(voted.shape, np.float32)
    if by_entropy is not None and shares.entropy > 0:
        weight += np.float32(shares.entropy) * by_entropy
    if by_border is not None and shares.border > 0:
        weight += np.float32(shares.border) * by_border
    if by_embedding is not None and shares.embedding > 0:
        others = shares.entropy + shares.border
        alone = weight / np.float32(others) if others > 0 else weight
        part = (shares.embedding * by_embedding).astype(np.float32)
        weight = np.where(np.isnan(part), alone, weight + part)
    return np.where(voted, np.clip(weight, 0, 1), np.float32(0))


def check_entropy_norm(norm: str) -> None:
    """Refuse an unknown normalisation.

    Raises:
        OptionError: it is none of :data:`ENTROPY_NORMS`.
    """
    if norm not in ENTROPY_NORMS:
        remedy = f"choose {' or '.join(ENTROPY_NORMS)}"
        raise OptionError("entropy_norm", f"there is no {norm!r}", remedy)
