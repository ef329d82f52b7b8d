"""Which units are drawn into which split: the arithmetic behind ``generate-training-csv``, without files.

A *unit* is what is drawn as a whole: a row, a tile, or a block of pixels. A row *touches* one unit or several.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

SPLITS = ("train", "val", "test")


class Patch(NamedTuple):
    """A square of pixels of a tile; offsets and size in pixels."""

    tile: str
    row_off: int
    col_off: int
    size: int


def split_sizes(count: int, ratios: Sequence[float]) -> list[int]:
    """Share out ``count`` units by largest remainder; a share with a ratio above 0 gets at least one.

    Args:
        count: how many units, at least as many as there are ratios above 0.
        ratios: in [0, 1], sum 1.

    Returns:
        One size a ratio, sum ``count``. Without the rule of at least one, each is within 1 of ``ratio · count``.

    Example:
        >>> split_sizes(10, (0.7, 0.15, 0.15))
        [7, 2, 1]
        >>> split_sizes(3, (0.7, 0.15, 0.15))
        [1, 1, 1]
    """
    least = [int(ratio > 0) for ratio in ratios]
    # rounded, so that 0.15 · 20 is 3 and remainders that are equal on paper are equal here
    quotas = [round(ratio * count, 9) for ratio in ratios]
    sizes = [max(low, math.floor(quota)) for low, quota in zip(least, quotas, strict=True)]
    places = range(len(sizes))
    while sum(sizes) < count:
        sizes[max(places, key=lambda i: quotas[i] - sizes[i])] += 1
    while sum(sizes) > count:
        sizes[min((i for i in places if sizes[i] > least[i]), key=lambda i: quotas[i] - sizes[i])] -= 1
    return sizes


def draw(units: Iterable[str], ratios: Sequence[float], seed: int) -> dict[str, str]:
    """Draw every unit into one split, without replacement.

    The order is that of a hash of the seed and the unit's name, so that it depends on nothing else: not on the
    order of rows, and adding a unit moves few of the others.

    Args:
        units: their names; one given twice is one unit.
        ratios: of train, val and test; sum 1.
        seed: any integer.

    Returns:
        Unit -> ``"train"``, ``"val"`` or ``"test"``.
    """
    order = sorted(set(units), key=lambda unit: hashlib.sha256(f"{seed}/{unit}".encode()).digest())
    drawn: dict[str, str] = {}
    for split, size in zip(SPLITS, split_sizes(len(order), ratios), strict=True):
        drawn.update(dict.fromkeys(order[len(drawn) : len(drawn) + size], split))
    return drawn


def blocks_touched(patches: Sequence[Patch], block_size: int) -> list[frozenset[str]]:
    """The blocks of pixels that each patch touches.

    Each tile is cut into squares of ``block_size`` pixels from its upper left corner. What remains at the right
    or the bottom joins its neighbour where it is thinner than the tile's patches, as no patch could lie in it.

    Args:
        patches: the patches of all tiles; a tile reaches as far as its patches do.
        block_size: in pixels, at least the size of the largest patch.

    Returns:
        The names of the blocks, for each patch.
    """
    last = _last_blocks(patches, block_size)
    touched = []
    for patch in patches:
        rows, cols = (
            range(min(start // block_size, end), min((start + patch.size - 1) // block_size, end) + 1)
            for start, end in zip((patch.row_off, patch.col_off), last[patch.tile], strict=True)
        )
        touched.append(frozenset(f"{patch.tile}/{row}/{col}" for row in rows for col in cols))
    return touched


def _last_blocks(patches: Sequence[Patch], block_size: int) -> dict[str, tuple[int, int]]:
    """The index of every tile's last block by row and by column."""
    height: dict[str, int] = {}
    width: dict[str, int] = {}
    size: dict[str, int] = {}
    for patch in patches:
        height[patch.tile] = max(height.get(patch.tile, 0), patch.row_off + patch.size)
        width[patch.tile] = max(width.get(patch.tile, 0), patch.col_off + patch.size)
        size[patch.tile] = max(size.get(patch.tile, 0), patch.size)

    def last(extent: int, patch_size: int) -> int:
        whole, rest = divmod(extent, block_size)
        return max(whole - int(rest < patch_size), 0)

    return {tile: (last(height[tile], size[tile]), last(width[tile], size[tile])) for tile in size}


def whole_units(touched: Sequence[frozenset[str]]) -> frozenset[str]:
    """The units that hold a whole row: those that a row touches alone."""
    return frozenset().union(*(units for units in touched if len(units) == 1))


def assign(
    touched: Sequence[frozenset[str]], ratios: Sequence[float], seed: int
) -> tuple[list[str | None], Mapping[str, str]]:
    """The split of every row.

    Drawn are the units that hold a whole row. A block that rows only reach into goes to train.

    Args:
        touched: the units that each row touches.
        ratios: of train, val and test; sum 1.
        seed: any integer.

    Returns:
        For each row its split, or None where its units lie in different ones; and unit -> split of the units drawn.
    """
    drawn = draw(whole_units(touched), ratios, seed)
    rows: list[str | None] = []
    for units in touched:
        splits = {drawn.get(unit, SPLITS[0]) for unit in units}
        rows.append(splits.pop() if len(splits) == 1 else None)
    return rows, drawn
