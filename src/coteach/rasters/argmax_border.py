"""How far the pixels of a tile are from the borders of argmax P_soft: marked block by block, shared out afterwards."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float32, Int16

from coteach.labels.borders import border_pixels, share_of_furthest
from coteach.labels.distance import MarkedRaster, root
from coteach.rasters.blocks import ROWS, blocks, in_order, padded
from coteach.rasters.grid import Grid, Window
from coteach.rasters.scratch import Scratch

HALO = 1  # pixels around a block that decide which of its pixels are a border


class ArgmaxBorder:
    """Distances from the borders of argmax P_soft, as shares of the largest of the tile.

    Held at once are a bit a pixel of the tile, and a strip a thread; the distances go to the scratch.

    Args:
        grid: the tile's.
        scratch: keeps the distances of each block.
    """

    def __init__(self, grid: Grid, scratch: Scratch) -> None:
        self._grid = grid
        self._scratch = scratch
        self._marks = MarkedRaster(grid.height, grid.width)
        self._any = False
        self._furthest = 0.0

    def mark(self, window: Window, best: Int16[np.ndarray, "y x"]) -> None:
        """Note the borders of a block; ``best`` are the classes of it and of :data:`HALO` pixels around."""
        _, inner = padded(window, HALO, self._grid.height, self._grid.width)
        self._marks.mark(window.row_off, window.col_off, inner.cut(border_pixels(best)))

    def find(self, voted: Callable[[Window], Bool[np.ndarray, "h w"]], threads: int) -> None:
        """Keep the distance of each pixel, when all blocks are marked, and find the largest where there is a vote.

        Args:
            voted: where a block has a vote.
            threads: that work on strips.
        """
        self._any = self._marks.any()
        if not self._any:
            return
        strips = {strip.start: strip for strip in self._marks.cut(ROWS)}

        def strip_of(window: Window) -> Float32[np.ndarray, "h w"]:
            return root(self._marks.squared_distance(strips[window.row_off]))

        all_blocks = blocks(self._grid.height, self._grid.width)
        starts = [window for window in all_blocks if window.col_off == 0]
        for first, distance in in_order(strip_of, starts, threads):
            for window in (block for block in all_blocks if block.row_off == first.row_off):
                part = Window(0, window.col_off, window.height, window.width).cut(distance)
                self._scratch.put(("distance", window), part)
                self._furthest = max(self._furthest, float(part[voted(window)].max(initial=0)))

    def share(self, window: Window) -> Float32[np.ndarray, "h w"]:
        """Distances of a block's pixels divided by the largest, in [0, 1]; 1 in a tile without borders."""
        if not self._any:
            return np.ones((window.height, window.width), np.float32)
        return share_of_furthest(self._scratch.get(("distance", window)), self._furthest)
