"""Where the windows of a scene lie, how they are blended, and how much of the scene is worked on at once.

Each axis has windows of its own, and their weights are those of both axes multiplied: what a pixel gets from all
windows that show it sums to 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Float64

from coteach.rasters.grid import Window
from coteach.rasters.patches import window_starts

_MEMORY = 64 << 20  # bytes of sums held at once
_FEWEST = 4  # windows, at least, that a band of columns moves on by; more would be predicted twice otherwise
_BLOCK = 256  # pixels; a band ends where a block of the written file does


@dataclass(frozen=True)
class Axis:
    """The windows along one axis of a scene.

    Args:
        extent: pixels of the scene.
        window: pixels of a window; a scene that is smaller has one window, which sticks out at the far end.
        overlap: pixels that two windows share.
    """

    extent: int
    window: int
    overlap: int

    @cached_property
    def starts(self) -> list[int]:
        """Where they begin."""
        return window_starts(max(self.extent, self.window), self.window, self.window - self.overlap)

    @cached_property
    def ramp(self) -> Float64[np.ndarray, " window"]:
        """Weight of a window's pixels: rises linearly over the overlap, is never 0."""
        inward = np.arange(1, self.window + 1)
        return np.minimum(np.minimum(inward, inward[::-1]), self.overlap + 1) / (self.overlap + 1)

    @cached_property
    def _total(self) -> Float64[np.ndarray, " extent"]:
        total = np.zeros(max(self.extent, self.window))
        for start in self.starts:
            total[start : start + self.window] += self.ramp
        return total

    def share(self, start: int) -> Float32[np.ndarray, " window"]:
        """What a window contributes to its pixels; over all windows that show a pixel the sum is 1."""
        share: Float32[np.ndarray, " window"] = self.ramp / self._total[start : start + self.window]
        return share.astype(np.float32)

    def within(self, low: int, high: int) -> list[int]:
        """Where the windows begin that show any of the pixels ``low`` to ``high - 1``."""
        return [start for start in self.starts if start < high and start + self.window > low]


@dataclass(frozen=True)
class SceneLayout:
    """The windows of a scene.

    Args:
        height: of the scene.
        width: of the scene.
        window: side of a window in pixels.
        overlap: pixels that neighbouring windows share.
        planes: numbers that are summed for each pixel.
        part: what is wanted of the scene.
    """

    height: int
    width: int
    window: int
    overlap: int
    planes: int
    part: Window

    @cached_property
    def rows(self) -> Axis:
        """The windows' rows."""
        return Axis(self.height, self.window, self.overlap)

    @cached_property
    def cols(self) -> Axis:
        """The windows' columns."""
        return Axis(self.width, self.window, self.overlap)

    def bands(self) -> Iterator[Window]:
        """Bands of columns, left to right, as high as the part; together they are the part.

        What they sum fits into memory. Windows that reach over the edge of two bands are predicted in both.
        """
        columns = max(_MEMORY // (4 * self.planes * self.window), _FEWEST * (self.window - self.overlap))
        step = max(columns // _BLOCK, 1) * _BLOCK
        top, left, height, width = self.part
        for col in range(left, left + width, step):
            yield Window(top, col, height, min(step, left + width - col))

    def starts(self, band: Window) -> tuple[list[int], list[int]]:
        """Rows and columns where the windows of a band begin."""
        return (
            self.rows.within(band.row_off, band.row_off + band.height),
            self.cols.within(band.col_off, band.col_off + band.width),
        )

    def count(self) -> int:
        """How many windows are predicted."""
        return sum(len(rows) * len(cols) for rows, cols in map(self.starts, self.bands()))
