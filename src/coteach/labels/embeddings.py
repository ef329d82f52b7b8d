"""AlphaEarth embeddings -> how well a pixel's vector agrees with those of its class.

A vector says what a place is like; only its direction counts. It is compared with the centroid of the pixel's class:
the sum of all unit vectors of the class, of unit length again.

Sums do not depend on the order of the pixels, bit for bit, and so not on blocks, strips or processes: components are
rounded to multiples of 2^-24, whose sums a float64 holds exactly.

Shape legend: ``b`` bands (components of a vector), ``c`` classes, ``h`` rows, ``w`` columns, ``k`` groups.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Int8

from coteach.errors import OptionError

NO_DATA = -128  # of int8 values
RESAMPLINGS = ("auto", "aggregate", "nearest", "none")

_SCALE = 127.5
_STEPS = 2.0**24  # to 1; 2^29 pixels of unit vectors have an exact sum
_INTERPOLATIONS = (
    "bilinear",
    "cubic",
    "cubic_spline",
    "cubicspline",
    "lanczos",
    "average",
    "gauss",
    "rms",
    "sum",
    "med",
    "median",
    "mode",
    "min",
    "max",
    "q1",
    "q3",
)


def _table() -> Float32[np.ndarray, " 256"]:
    """What the 256 bytes of int8 values mean."""
    values = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.float64)
    meant = np.sign(values) * (np.abs(values) / _SCALE) ** 2
    meant[values == NO_DATA] = np.nan
    return meant.astype(np.float32)


_MEANT = _table()


def dequantise(values: Int8[np.ndarray, "b *pixels"]) -> Float32[np.ndarray, "b *pixels"]:
    """``sign(v) (|v| / 127.5)^2``.

    Args:
        values: ``(b, ...)`` as AlphaEarth files have them; -128 is NoData.

    Returns:
        ``(b, ...)`` in (-1, 1); NaN in all bands where one has NoData.

    Example:
        >>> dequantise(np.array([[127, -51, 3], [0, 51, -128]], np.int8)).astype(float).round(4).tolist()
        [[0.9922, -0.16, nan], [0.0, 0.16, nan]]
    """
    vectors = _MEANT[values.view(np.uint8)]
    vectors[:, (values == NO_DATA).any(axis=0)] = np.nan
    return vectors


def unit(vectors: Float[np.ndarray, "b *pixels"]) -> Float32[np.ndarray, "b *pixels"]:
    """Vectors of length 1 (L2 norm) of the same direction.

    Args:
        vectors: ``(b, ...)`` of any length.

    Returns:
        ``(b, ...)``; NaN in all bands where a vector is zero or a component is NaN or infinite.
    """
    squares = np.zeros(vectors.shape[1:], np.float64)
    with np.errstate(over="ignore"):
        for band in vectors:  # one by one: the order of a sum over an axis depends on the window's shape
            squares += np.square(band, dtype=np.float64)
    length = np.sqrt(squares)
    length[~np.isfinite(length) | (length == 0)] = np.nan
    units = np.empty(vectors.shape, np.float32)
    for band, out in zip(vectors, units, strict=True):
        out[...] = band / length
    return units


def group_sums(
    vectors: Float[np.ndarray, "b *pixels"], groups: Int[np.ndarray, "*pixels"], num_groups: int
) -> Float64[np.ndarray, "b k"]:
    """Sums of unit vectors by group, the same for any order of the pixels.

    Args:
        vectors: ``(b, ...)`` of unit length; those of NaN do not count.
        groups: ``(...)`` number of a pixel's group, 0 to ``num_groups - 1``; pixels of negative number do not count.
        num_groups: k.

    Returns:
        ``(b, k)`` sums; add them with ``+`` in any order.
    """
    counted = (groups >= 0) & np.isfinite(vectors[0])
    places = None if counted.all() else np.flatnonzero(counted)
    picked = groups.ravel() if places is None else groups.ravel()[places]
    sums = np.empty((len(vectors), num_groups), np.float64)
    for band, out in zip(vectors, sums, strict=True):
        components = band.ravel() if places is None else band.ravel()[places]
        out[:] = np.bincount(picked, weights=np.rint(components * np.float64(_STEPS)), minlength=num_groups)
    return sums / _STEPS


class ClassSums:
    """Adds up the vectors of each class, part by part.

    Args:
        num_classes: c.
        bands: b.

    Example:
        >>> sums = ClassSums(num_classes=2, bands=2)
        >>> sums.add(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), np.array([0, 0, -1]))
        >>> sums.centroids().round(3).tolist()
        [[0.707, 0.707], [nan, nan]]
    """

    def __init__(self, num_classes: int, bands: int) -> None:
        self._sums = np.zeros((num_classes, bands), np.float64)

    def add(self, vectors: Float[np.ndarray, "b *pixels"], codes: Int[np.ndarray, "*pixels"]) -> None:
        """Count pixels.

        Args:
            vectors: ``(b, ...)`` of unit length; those of NaN do not count.
            codes: ``(...)`` class codes; pixels of -1 do not count.
        """
        self._sums += group_sums(vectors, codes, len(self._sums)).T

    def __iadd__(self, other: ClassSums) -> ClassSums:  # noqa: PYI034 -- the shape checks know no Self
        self._sums += other._sums
        return self

    def centroids(self) -> Float64[np.ndarray, "c b"]:
        """The direction of each class, of unit length; NaN for a class without vectors, or whose vectors cancel."""
        lengths = np.linalg.norm(self._sums, axis=1, keepdims=True)
        directions = np.full_like(self._sums, np.nan)
        np.divide(self._sums, lengths, out=directions, where=lengths > 0)
        return directions


def agreement(
    vectors: Float[np.ndarray, "b *pixels"],
    codes: Int[np.ndarray, "*pixels"],
    centroids: Float64[np.ndarray, "c b"],
) -> Float32[np.ndarray, "*pixels"]:
    """``w_embed = (cos(vector, centroid of the pixel's class) + 1) / 2``.

    Args:
        vectors: ``(b, ...)`` of unit length, or NaN.
        codes: ``(...)`` class codes, or -1.
        centroids: ``(c, b)`` of unit length, or NaN.

    Returns:
        ``(...)`` in [0, 1]; NaN where the pixel has no vector or no class.
    """
    none = np.full((1, centroids.shape[1]), np.nan)
    by_code = np.concatenate([centroids, none])  # -1 is the last one
    cosine = np.zeros(codes.shape, np.float64)
    for band, components in zip(vectors, by_code.T, strict=True):
        cosine += band * components[codes]
    return np.clip((cosine + 1) / 2, 0, 1).astype(np.float32)


def patch_agreement(
    vectors: Mapping[str, Float[np.ndarray, " _"]], dominant: Mapping[str, int]
) -> dict[str, float]:
    """One agreement a tile, of tiles that have one vector each: centroids are those of the tiles of a class.

    Args:
        vectors: tile -> ``(b,)``, of any length.
        dominant: tile -> the class of most of its pixels, or -1.

    Returns:
        Tile -> agreement in [0, 1]; tiles without a class or a vector (zero and NaN are none) are left out.

    Raises:
        OptionError: vectors have different numbers of components.

    Example:
        >>> patch_agreement({"a": np.array([2.0, 0.0]), "b": np.array([0.0, 0.5]), "c": np.ones(2)}, {"a": 0, "b": 1})
        {'a': 1.0, 'b': 1.0}
    """
    tiles = sorted(tile for tile in vectors if dominant.get(tile, -1) >= 0)
    if not tiles:
        return {}
    _check_lengths({tile: len(vectors[tile]) for tile in tiles})
    units = unit(np.stack([vectors[tile] for tile in tiles], axis=1))
    codes = np.array([dominant[tile] for tile in tiles])
    sums = ClassSums(int(codes.max()) + 1, len(units))
    sums.add(units, codes)
    agreements = agreement(units, codes, sums.centroids())
    return {tile: float(value) for tile, value in zip(tiles, agreements, strict=True) if np.isfinite(value)}


def _check_lengths(lengths: Mapping[str, int]) -> None:
    first = next(iter(lengths))
    other = next((tile for tile, length in lengths.items() if length != lengths[first]), None)
    if other is not None:
        cause = f"has {lengths[other]} components, that of {first} has {lengths[first]}"
        raise OptionError(f"the embedding of {other}", cause, "give vectors of one model for all tiles")


def check_resampling(name: str) -> None:
    """Refuse what is no way to bring embeddings onto an image's grid.

    Raises:
        OptionError: it is none of :data:`RESAMPLINGS`.
    """
    if name in RESAMPLINGS:
        return
    thing, choices = "--aef-resampling", f"choose {', '.join(RESAMPLINGS[:-1])} or {RESAMPLINGS[-1]}"
    if name.lower() in _INTERPOLATIONS:
        cause = (
            f"{name!r} mixes the components one by one, which gives vectors that belong to no place; "
            "embeddings are only summed as whole unit vectors and normalised again"
        )
        raise OptionError(thing, cause, choices)
    raise OptionError(thing, f"there is no {name!r}", choices)
