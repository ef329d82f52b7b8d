"""Cut a tile into square patches."""

from __future__ import annotations

from itertools import product


def patch_offsets(height: int, width: int, patch_size: int, stride: int) -> list[tuple[int, int]]:
    """Upper left corners of the patches that cover a tile; those at the lower and right edge are shifted inward.

    Args:
        height: of the tile in pixels, at least ``patch_size``.
        width: of the tile in pixels, at least ``patch_size``.
        patch_size: side of a patch in pixels.
        stride: pixels from one patch to the next; more than ``patch_size`` leaves gaps.

    Returns:
        (row, column) of each, by rows.

    Example:
        >>> patch_offsets(4, 10, patch_size=4, stride=4)
        [(0, 0), (0, 4), (0, 6)]
    """
    return list(product(window_starts(height, patch_size, stride), window_starts(width, patch_size, stride)))


def window_starts(extent: int, size: int, stride: int) -> list[int]:
    """Where the windows that cover ``extent`` pixels of one axis begin; the last is shifted inward.

    Args:
        extent: pixels to cover, at least ``size``.
        size: of a window.
        stride: pixels from one window to the next.
    """
    last = extent - size
    starts = list(range(0, last + 1, stride))
    return starts if starts[-1] == last else [*starts, last]
