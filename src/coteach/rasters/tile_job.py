"""What is to be made of a tile, and what comes of each of its blocks.

Shape legend: ``c`` classes, ``h`` rows, ``w`` columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from coteach.labels.fusion import Fusion
from coteach.labels.patterns import PatternCode
from coteach.rasters.blocks import COLS, ROWS
from coteach.rasters.grid import Grid
from coteach.rasters.options import BuildOptions
from coteach.rasters.sources import Tile


@dataclass(frozen=True, slots=True)
class TileJob:
    """What is to be made of a tile.

    Args:
        tile: its files.
        options: of the build.
        fusion: makes P_soft.
        border: the column whose borders count; None for those of argmax P_soft, or none.
        by_patch: how well the tile's embedding agrees with its class, in [0, 1]; None without one.
        threads: that work on its blocks.
    """

    tile: Tile
    options: BuildOptions
    fusion: Fusion
    border: str | None
    by_patch: float | None = None
    threads: int = 1

    @property
    def of_argmax(self) -> bool:
        """Whether borders of argmax P_soft count."""
        return self.options.shares.border > 0 and self.border is None

    @property
    def two_passes(self) -> bool:
        """Whether something of the whole tile has to be known before weights are."""
        ranged = self.options.entropy_norm == "minmax" and self.options.shares.entropy > 0
        return ranged or self.of_argmax or self.options.pixel_embeddings is not None

    @property
    def code(self) -> PatternCode:
        """Numbers the patterns of the tile's sources."""
        return PatternCode(len(self.tile.sources), self.options.num_classes)

    def scratch_size(self, grid: Grid) -> int:
        """Bytes that the first pass leaves."""
        pixel = self.code.dtype.itemsize + (4 if self.of_argmax else 0)  # a distance is float32
        return grid.height * grid.width * pixel if self.two_passes else 0

    def memory(self, grid: Grid) -> int:
        """About how many bytes the passes hold at once, beside the scratch."""
        block = min(ROWS, grid.height) * min(COLS, grid.width) * (4 * self.options.num_classes + 48)
        strip = ROWS * grid.width * 24 + grid.height * grid.width // 4 if self.of_argmax else 0
        return max(block * (self.threads + 2), strip * self.threads)


class WrittenBlock(NamedTuple):
    """A block as it goes into the files.

    Args:
        p_soft: ``(c, h, w)`` shares, or their parts in 8 bits.
        w_conf: ``(h, w)`` weights, or the same in 8 bits.
        votes: ``(h, w)`` sources that vote.
        no_embedding: pixels with a vote and without an embedding.
    """

    p_soft: Shaped[np.ndarray, "c h w"]
    w_conf: Shaped[np.ndarray, "h w"]
    votes: Shaped[np.ndarray, "h w"]
    no_embedding: int
