"""Bring the class codes of any label map onto the image's grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int16, Int64, Shaped
from rasterio.enums import MaskFlags
from rasterio.io import DatasetReader

from coteach.labels.votes import NO_VOTE, check_num_classes
from coteach.rasters.block_sums import BlockSums
from coteach.rasters.code_meaning import UNKNOWN, CodeMeaning, ValueVotes
from coteach.rasters.dataset import opened, read_valid, translated
from coteach.rasters.grid import Grid, Window
from coteach.rasters.overlap import laid_over, no_overlap
from coteach.rasters.rules import checked_grid, label_map_rules

__all__ = ["CodeMeaning", "LabelMap", "read_codes", "sample_codes"]

_STRIP = 1 << 20  # pixels of the image looked up at once
_READ = 1 << 24  # pixels of a source held at once


def read_codes(
    path: Path,
    grid: Grid,
    num_classes: int,
    *,
    legend: Mapping[int, int] | None = None,
    unknown: Counter[int] | None = None,
) -> Int16[np.ndarray, "h w"]:
    """The class codes of a label map, by nearest neighbour: that of the pixel which holds the centre.

    Only what lies under the image is read, a part at a time.

    Args:
        path: a raster with one band of whole numbers, of any dtype, CRS and resolution.
        grid: the image's.
        num_classes: C.
        legend: code -> class, or :data:`~coteach.labels.votes.NO_VOTE`; without one the codes 0 to C - 1 are the
            classes.
        unknown: code -> pixels; the codes that the image's pixels meet and that are no class are added.

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
    codes = np.empty((grid.height, grid.width), np.int16)
    with opened(path) as dataset:
        checked_grid(dataset, label_map_rules())
        label_map = LabelMap(path, dataset, grid, CodeMeaning(num_classes, legend))
        for window in grid.strips(_STRIP):
            window.cut(codes)[:] = label_map.votes(window)
    if not label_map.reached:
        raise no_overlap(path)
    if unknown is not None:
        unknown.update(label_map.unknown)
    return codes


def sample_codes(
    path: Path, dataset: DatasetReader, grid: Grid, meaning: CodeMeaning
) -> tuple[int, Counter[int]]:
    """What a few places of the image meet on a label map; of a large raster little is read.

    Args:
        path: the label map.
        dataset: the same, open; one that keeps :func:`~coteach.rasters.rules.label_map_rules`.
        grid: the image's.
        meaning: of its values.

    Returns:
        How many pixels of the sample vote, and the unknown codes of the others as in :func:`read_codes`.

    Raises:
        RasterError: the sample holds fractions, or the map is damaged there.
    """
    label_map = LabelMap(path, dataset, grid, meaning)
    votes = sum(int(np.count_nonzero(label_map.votes(window) != NO_VOTE)) for window in grid.sample())
    return votes, label_map.unknown


class LabelMap:
    """An open label map, looked at from the image's grid.

    Args:
        path: the file.
        dataset: the same, open; one that keeps :func:`~coteach.rasters.rules.label_map_rules`.
        image: the image's grid.
        meaning: of its values.

    Attributes:
        unknown: value -> pixels met so far that hold this value, which means nothing.
        reached: pixels of the image met so far that lie on the map.
    """

    def __init__(self, path: Path, dataset: DatasetReader, image: Grid, meaning: CodeMeaning) -> None:
        self.unknown: Counter[int] = Counter()
        self.reached = 0
        self._path = path
        self._dataset = dataset
        self._image = image
        self._grid = Grid.of_dataset(dataset)
        self._sums = BlockSums(path, dataset)
        flags = dataset.mask_flag_enums[0]
        dtype = np.dtype(dataset.dtypes[0])
        self._masked = MaskFlags.per_dataset in flags or MaskFlags.alpha in flags or dtype.kind == "f"
        # GDAL forgets NoData where the file has a mask, too
        self._values = ValueVotes(path, dtype, dataset.nodata, meaning)

    def votes(self, window: Window) -> Int16[np.ndarray, "h w"]:
        """The code of each of the image's pixels in a window, as in :func:`read_codes`.

        Raises:
            RasterError: the map is damaged there or holds fractions, or its CRS does not reach there.
        """
        votes = np.full((window.height, window.width), NO_VOTE, np.int16)
        with translated(str(self._path)):
            self._fill(votes, window)
        return votes

    def _fill(self, votes: Int16[np.ndarray, "h w"], window: Window) -> None:
        lines = self._image.lines_on(self._grid, window)
        rows, cols = laid_over(self._path, self._image, self._grid, window) if lines is None else lines
        down = (rows >= 0) & (rows < self._grid.height)
        right = (cols >= 0) & (cols < self._grid.width)
        if lines is None:
            down = right = down & right
        rows, cols = rows[down], cols[right]
        if not (rows.size and cols.size):
            return
        part = Window(int(rows.min()), int(cols.min()), int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1)
        if part.height * part.width > _READ and window.height * window.width > 1:
            for half in window.halves():
                corner = Window(half.row_off - window.row_off, half.col_off - window.col_off, *half[2:])
                self._fill(corner.cut(votes), half)
            return
        rows, cols = rows - part.row_off, cols - part.col_off
        pick = partial(_gathered if lines is None else _crossed, rows=rows, cols=cols)
        picked = self._meant(pick(self._read(part)), pick(self._read_mask(part)) if self._masked else None)
        votes[down if lines is None else np.ix_(down, right)] = picked
        self.reached += picked.size

    def _read(self, part: Window) -> Shaped[np.ndarray, "h w"]:
        self._sums.check(part)
        values: Shaped[np.ndarray, "h w"] = self._dataset.read(1, window=part.for_gdal())
        return values

    def _read_mask(self, part: Window) -> Bool[np.ndarray, "h w"]:
        mask: Bool[np.ndarray, "h w"] = read_valid(self._dataset, part.for_gdal())[0]
        return mask

    def _meant(
        self, values: Shaped[np.ndarray, "*pixels"], mask: Bool[np.ndarray, "*pixels"] | None
    ) -> Int16[np.ndarray, "*pixels"]:
        """What pixels of the map vote for; counts the unknown ones."""
        votes = self._values.of(values, mask)
        if votes.min() == UNKNOWN:
            strange = votes == UNKNOWN
            found, counts = np.unique(values[strange], return_counts=True)
            self.unknown.update({int(code): int(count) for code, count in zip(found, counts, strict=True)})
            votes[strange] = NO_VOTE
        return votes


def _gathered(
    values: Shaped[np.ndarray, "h w"], rows: Int64[np.ndarray, " n"], cols: Int64[np.ndarray, " n"]
) -> Shaped[np.ndarray, " n"]:
    """The values at these places."""
    found: Shaped[np.ndarray, " n"] = values[rows, cols]
    return found


def _crossed(
    values: Shaped[np.ndarray, "h w"], rows: Int64[np.ndarray, " y"], cols: Int64[np.ndarray, " x"]
) -> Shaped[np.ndarray, "y x"]:
    """The values where these rows cross these columns."""
    for axis, places in enumerate((rows, cols)):
        if len(places) != values.shape[axis] or (np.diff(places) != 1).any():
            values = values.take(places, axis)
    return values
