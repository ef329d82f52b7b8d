"""Which part of an image is shown, and the outline of what is counted in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from coteach.rasters.grid import Window


def choose_view(windows: Sequence[Window], most: int) -> Window:
    """The smallest part of an image that holds all windows; cut around its middlemost window if it is too large.

    Args:
        windows: at least one.
        most: largest height and width, in pixels.
    """
    top, left = min(w.row_off for w in windows), min(w.col_off for w in windows)
    bottom = max(w.row_off + w.height for w in windows)
    right = max(w.col_off + w.width for w in windows)

    def from_middle(window: Window) -> float:
        row, col = _middle(window)
        return (row - (top + bottom) / 2) ** 2 + (col - (left + right) / 2) ** 2

    row, col = _middle(min(windows, key=from_middle))
    row_off, height = _cut(top, bottom, row, most)
    col_off, width = _cut(left, right, col, most)
    return Window(row_off, col_off, height, width)


def cover(windows: Sequence[Window], view: Window) -> Bool[np.ndarray, "h w"]:
    """Where the windows lie, as a mask of the view."""
    covered = np.zeros((view.height, view.width), np.bool_)
    for window in windows:
        row, col = window.row_off - view.row_off, window.col_off - view.col_off
        covered[max(row, 0) : max(row + window.height, 0), max(col, 0) : max(col + window.width, 0)] = True
    return covered


def outline(mask: Bool[np.ndarray, "h w"]) -> str:
    """The edges of a mask as an SVG path, in pixels from its upper left corner."""
    padded = np.pad(mask, 1)
    steps = [f"M{left} {row}H{right}" for row, left, right in _edges(padded[1:, 1:-1] != padded[:-1, 1:-1])]
    turned = padded.T
    steps += [f"M{col} {top}V{bottom}" for col, top, bottom in _edges(turned[1:, 1:-1] != turned[:-1, 1:-1])]
    return "".join(steps)


def _edges(changes: Bool[np.ndarray, "lines length"]) -> list[tuple[int, int, int]]:
    """Runs of True in each line: (line, first, one past the last)."""
    bounded = np.pad(changes, ((0, 0), (1, 1))).astype(np.int8)
    steps = np.diff(bounded, axis=1)
    lines, starts = np.nonzero(steps == 1)
    _, stops = np.nonzero(steps == -1)
    return [(int(i), int(a), int(b)) for i, a, b in zip(lines, starts, stops, strict=True)]


def _middle(window: Window) -> tuple[float, float]:
    return window.row_off + window.height / 2, window.col_off + window.width / 2


def _cut(start: int, stop: int, middle: float, most: int) -> tuple[int, int]:
    """Offset and length of at most ``most`` pixels around ``middle`` that stay within start to stop."""
    if stop - start <= most:
        return start, stop - start
    return min(max(round(middle - most / 2), start), stop - most), most
