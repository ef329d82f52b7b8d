"""Embeddings of whole tiles: one vector a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from coteach.errors import RasterError
from coteach.rasters.embedding_values import check_dtypes, vectors_of
from coteach.rasters.embeddings import embedding_path


def read_patches(
    folder: Path, tile_ids: Sequence[str]
) -> tuple[dict[str, Float32[np.ndarray, " b"]], dict[str, RasterError]]:
    """The vectors of tiles, and what is wrong with those that cannot be used.

    Args:
        folder: of ``{tile_id}.npy``.
        tile_ids: whose vectors; a tile without a file has neither a vector nor an error.

    Returns:
        Tile -> ``(b,)``, as :func:`read_patch` gives it. And tile -> error: the file is damaged, or has another number
        of components than most of them (of equally many, the longer ones count).
    """
    vectors: dict[str, Float32[np.ndarray, " b"]] = {}
    errors = {}
    for tile in tile_ids:
        file = embedding_path(folder, tile, "hf")
        if not file.is_file():
            continue
        try:
            vectors[tile] = read_patch(file)
        except RasterError as error:
            cause = f"embeddings ({error.thing}) {error.cause}"
            errors[tile] = RasterError(tile, cause, error.remedy)
    lengths = Counter(len(vector) for vector in vectors.values())
    usual = max(lengths, key=lambda length: (lengths[length], length), default=0)
    for tile in [tile for tile, vector in vectors.items() if len(vector) != usual]:
        length = len(vectors.pop(tile))
        cause = (
            f"embeddings ({embedding_path(folder, tile, 'hf')}) have {length} components, most have {usual}"
        )
        errors[tile] = RasterError(tile, cause, "give vectors of one model for all tiles")
    return vectors, errors


def read_patch(path: Path) -> Float32[np.ndarray, " b"]:
    """The vector of a tile.

    Args:
        path: a ``.npy`` file of one vector, ``(b,)`` or ``(1, b)``: int8 as AlphaEarth has it, or floats.

    Returns:
        ``(b,)`` of any length.

    Raises:
        RasterError: the file is missing or damaged, or holds no vector, or one of NaN or zeros.
    """
    thing, remedy = str(path), "download it again, or leave the file out for this tile"
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise RasterError(thing, "does not exist", remedy) from error
    except (OSError, ValueError, EOFError) as error:
        raise RasterError(thing, f"cannot be read ({error})", remedy) from error
    if not isinstance(values, np.ndarray) or values.ndim not in (1, 2) or not values.size:
        raise RasterError(thing, "holds no vector", remedy)
    if values.ndim == 2 and len(values) != 1:
        raise RasterError(thing, f"holds {len(values)} x {values.shape[1]} numbers, not one vector", remedy)
    check_dtypes(thing, [values.dtype.name])
    vector = vectors_of(thing, values.reshape(-1, 1))[:, 0]
    if not np.isfinite(vector).all() or not vector.any():
        raise RasterError(thing, "holds NoData, NaN or nothing but zeros", remedy)
    return vector
