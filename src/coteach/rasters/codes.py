"""Bring the class codes of any label map onto the image's grid."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int16, Shaped
from rasterio.io import DatasetReader

from coteach.errors import RasterError
from coteach.labels.votes import NO_VOTE, check_num_classes
from coteach.rasters.dataset import opened, read_valid
from coteach.rasters.grid import Grid, Window
from coteach.rasters.overlap import laid_over, no_overlap
from coteach.rasters.rules import checked_grid, label_map_rules

_STRIP = 1 << 20  # pixels of the image looked up at once
_READ = 1 << 24  # pixels of a source held at once


def read_codes(
    path: Path, grid: Grid, num_classes: int, *, unknown: Counter[int] | None = None
) -> Int16[np.ndarray, "h w"]:
    """The class codes of a label map, by nearest neighbour: that of the pixel which holds the centre.

    Only what lies under the image is read, a part at a time.

    Args:
        path: a raster with one band of whole numbers, of any dtype, CRS and resolution.
        grid: the image's.
        num_classes: C.
        unknown: code -> pixels; the codes outside ``0 .. C-1`` that the image's pixels meet are added.

    Returns:
        ``(h, w)`` codes; :data:`~coteach.labels.votes.NO_VOTE` where the map has NoData, NaN, a masked pixel or an
        unknown code, or does not reach.

    Raises:
        RasterError: the map is missing, damaged or no label map, has no CRS, or does not overlap the image.
        OptionError: ``num_classes`` is out of range.

    Example:
        >>> codes = read_codes(Path("worldcover.tif"), Grid.of(Path("image.tif")), 4)  # doctest: +SKIP
    """
    check_num_classes(num_classes)
    codes = np.full((grid.height, grid.width), NO_VOTE, np.int16)
    with opened(path) as dataset:
        checked_grid(dataset, label_map_rules())
        source = _Source(path, dataset, grid, num_classes, Counter() if unknown is None else unknown)
        reached = sum(source.look_up(codes, window) for window in grid.strips(_STRIP))
    if not reached:
        raise no_overlap(path)
    return codes


def sample_codes(
    path: Path, dataset: DatasetReader, grid: Grid, num_classes: int
) -> tuple[int, Counter[int]]:
    """What a few places of the image meet on a label map; of a large raster little is read.

    Args:
        path: the label map.
        dataset: the same, open; one that keeps :func:`~coteach.rasters.rules.label_map_rules`.
        grid: the image's.
        num_classes: C.

    Returns:
        How many pixels of the sample vote, and the unknown codes of the others as in :func:`read_codes`.

    Raises:
        RasterError: the sample holds fractions, or the map is damaged there.
    """
    votes = 0
    unknown: Counter[int] = Counter()
    for window in grid.sample():
        codes = np.full((window.height, window.width), NO_VOTE, np.int16)
        source = _Source(path, dataset, grid.part(window), num_classes, unknown)
        source.look_up(codes, Window(0, 0, window.height, window.width))
        votes += int(np.count_nonzero(codes != NO_VOTE))
    return votes, unknown


class _Source:
    """An open label map, and the grid it is looked at from."""

    def __init__(
        self, path: Path, dataset: DatasetReader, grid: Grid, num_classes: int, unknown: Counter[int]
    ) -> None:
        self._path = path
        self._dataset = dataset
        self._image_grid = grid
        self._grid = Grid.of_dataset(dataset)
        self._num_classes = num_classes
        self._unknown = unknown

    def look_up(self, codes: Int16[np.ndarray, "h w"], window: Window) -> int:
        """Fill the window of ``codes``; returns how many of its pixels the map reaches."""
        rows, cols = laid_over(self._path, self._image_grid, self._grid, window)
        inside = (rows >= 0) & (rows < self._grid.height) & (cols >= 0) & (cols < self._grid.width)
        if not inside.any():
            return 0
        rows, cols = rows[inside], cols[inside]
        part = Window(int(rows.min()), int(cols.min()), int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1)
        if part.height * part.width > _READ and window.height * window.width > 1:
            return sum(self.look_up(codes, half) for half in window.halves())
        picked = (rows - part.row_off, cols - part.col_off)
        window.cut(codes)[inside] = self._votes(self._read(part)[picked], self._read_mask(part)[picked])
        return len(rows)

    def _read(self, part: Window) -> Shaped[np.ndarray, "h w"]:
        values: Shaped[np.ndarray, "h w"] = self._dataset.read(1, window=part.for_gdal())
        return values

    def _read_mask(self, part: Window) -> Bool[np.ndarray, "h w"]:
        mask: Bool[np.ndarray, "h w"] = read_valid(self._dataset, part.for_gdal())[0]
        return mask

    def _votes(
        self, values: Shaped[np.ndarray, " n"], valid: Bool[np.ndarray, " n"]
    ) -> Int16[np.ndarray, " n"]:
        """What pixels of the map vote for."""
        if self._dataset.nodata is not None:  # GDAL forgets it where the file has a mask, too
            valid &= values != self._dataset.nodata
        if values.dtype.kind == "f":
            valid &= np.isfinite(values)
            broken = valid & (values != np.floor(values))
            if broken.any():
                cause = f"holds {values[broken][0]:g}, which is no class code"
                remedy = f"give a raster of whole numbers, 0 to {self._num_classes - 1}"
                raise RasterError(str(self._path), cause, remedy)
        known = valid & (values >= 0) & (values < self._num_classes)
        found, counts = np.unique(values[valid & ~known], return_counts=True)
        self._unknown.update({int(code): int(count) for code, count in zip(found, counts, strict=True)})
        votes = np.full(values.shape, NO_VOTE, np.int16)
        votes[known] = values[known]
        return votes
