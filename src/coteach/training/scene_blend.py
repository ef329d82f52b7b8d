"""The sums of one row of windows, within a band of columns."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32

from coteach.rasters.grid import Window
from coteach.training.scene_layout import SceneLayout


class SceneBlend:
    """Sums weighted probabilities window by window; holds as many rows as a window has, and moves down.

    Args:
        layout: of the scene.
        band: the columns, and the rows that are wanted.
        top: row of the scene where the first windows begin.
    """

    def __init__(self, layout: SceneLayout, band: Window, top: int) -> None:
        self._layout = layout
        self._band = band
        self._top = top
        rows = layout.window
        self._sums = np.zeros((layout.planes, rows, band.width), np.float32)
        self._valid = np.zeros((rows, band.width), bool)

    def add(
        self,
        top: int,
        left: int,
        probs: Float32[np.ndarray, "planes side side"] | None,
        valid: Bool[np.ndarray, "h w"],
    ) -> None:
        """Add a window.

        Args:
            top: its first row in the scene, where the sums begin now.
            left: its first column.
            probs: ``(planes, window, window)``; None if the window is without data.
            valid: ``(h, w)``, without what sticks out of the scene.
        """
        height, width = valid.shape
        low, high = max(left, self._band.col_off), min(left + width, self._band.col_off + self._band.width)
        own, there = (
            slice(low - left, high - left),
            slice(low - self._band.col_off, high - self._band.col_off),
        )
        self._valid[:height, there] = valid[:, own]
        if probs is None:
            return
        weights = np.outer(self._layout.rows.share(top)[:height], self._layout.cols.share(left)[own])
        for total, plane in zip(self._sums, probs, strict=True):
            total[:height, there] += plane[:height, own] * weights

    def rows(self, end: int) -> tuple[Window, Float32[np.ndarray, "planes h w"], Bool[np.ndarray, "h w"]]:
        """The rows above ``end`` that are wanted, where no further window will add anything; views."""
        top = max(self._top, self._band.row_off)
        done = slice(top - self._top, end - self._top)
        window = Window(top, self._band.col_off, end - top, self._band.width)
        return window, self._sums[:, done], self._valid[done].copy()

    def move(self, top: int) -> None:
        """Let the sums begin at row ``top`` of the scene, at most one window further down."""
        gone = top - self._top
        for plane in (*self._sums, self._valid):  # plane by plane: a copy of one, not of all
            plane[: len(plane) - gone] = plane[gone:]
            plane[len(plane) - gone :] = 0
        self._top = top
