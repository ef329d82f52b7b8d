"""The passes over one tile's pixels, block by block: what they count, keep and write.

Some of W_conf belongs to the tile and not to the block: the range of the entropy (min-max), the largest distance from
a border of argmax P_soft, the centroids of embeddings. Where one of them is asked for, a first pass finds it, and leaves
the patterns of the votes in a scratch place, so that the second pass reads no label map again.

Shape legend: ``s`` sources, ``c`` classes, ``b`` bands of embeddings, ``h`` rows, ``w`` columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int16, Shaped

from coteach.labels.borders import border_pixels, halo_of, mask_border_weight, share_of_furthest
from coteach.labels.confidence import entropy_range, weighted_mean
from coteach.labels.distance import MarkedRaster, root
from coteach.labels.embeddings import ClassSums, agreement
from coteach.labels.fusion import Fusion, PatternTables
from coteach.labels.patterns import PatternCode, PatternCounts, count_numbers
from coteach.rasters.blocks import COLS, ROWS, blocks, in_order, padded
from coteach.rasters.grid import Grid, Window
from coteach.rasters.options import BuildOptions
from coteach.rasters.scratch import Scratch
from coteach.rasters.sources import Tile
from coteach.rasters.tile_sources import TileSources

_EMBEDDED = (256, 512)  # pixels whose embeddings are held at once


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


class TilePasses:
    """Works through a tile.

    Args:
        job: what is to be made.
        grid: the image's.
        sources: of the tile, open.
        scratch: for what the first pass leaves.
        told: called with the share of all passes that has been done since.
    """

    def __init__(
        self,
        job: TileJob,
        grid: Grid,
        sources: TileSources,
        scratch: Scratch,
        told: Callable[[float], None] | None = None,
    ) -> None:
        self._job = job
        self._grid = grid
        self._sources = sources
        self._scratch = scratch
        self._told = told or (lambda _: None)
        self._blocks = blocks(grid.height, grid.width)
        keys = list(job.tile.sources)
        columns = tuple(keys.index(key) if key in keys else None for key in job.options.source_keys)
        self._tables = PatternTables(job.code, columns, job.fusion, job.options.entropy_norm)
        self._counts: dict[int, int] = {}
        self._look_up = self._tables.lookup()
        self._marks: MarkedRaster | None = None
        self._furthest = 0.0
        self._centroids: Shaped[np.ndarray, "c b"] | None = None

    def count(self) -> None:
        """Read all label maps and count their patterns, for a job that needs no more."""
        read = in_order(lambda window: self._numbers(window)[0], self._blocks, self._job.threads)
        for window, numbers in read:
            self._add(numbers)
            self._told(window.height * window.width / (self._grid.height * self._grid.width))

    def first(self) -> None:
        """Find what belongs to the whole tile."""
        job = self._job
        if job.of_argmax:
            self._marks = MarkedRaster(self._grid.height, self._grid.width)
        sums = None
        for window, (numbers, part) in in_order(self._survey, self._blocks, job.threads):
            self._add(numbers)
            if sums is None:
                sums = part
            elif part is not None:
                sums += part
            self._tell(window)
        self._centroids = None if sums is None else sums.centroids()
        if job.options.entropy_norm == "minmax":
            self._look_up = self._ranged().lookup()
        if self._marks is not None:
            self._find_distances(self._marks)

    def second(self) -> Iterator[tuple[Window, WrittenBlock]]:
        """Make P_soft and W_conf, in the order of the blocks."""
        for window, (numbers, block) in in_order(self._make, self._blocks, self._job.threads):
            if not self._job.two_passes:
                self._add(numbers)
            yield window, block
            self._tell(window)

    def _tell(self, window: Window) -> None:
        passes = 2 if self._job.two_passes else 1
        self._told(window.height * window.width / (passes * self._grid.height * self._grid.width))

    def patterns(self) -> PatternCounts:
        """How often which patterns occurred; columns are all sources of the build."""
        numbers = np.array(sorted(self._counts), np.int64)
        counts = np.array([self._counts[int(number)] for number in numbers], np.int64)
        return PatternCounts.merged([PatternCounts(self._tables.all_codes(numbers), counts)])

    def no_vote_and_ties(self) -> tuple[int, int]:
        """Pixels without a vote, and those where several classes have the largest share."""
        numbers = np.array(sorted(self._counts), np.int64)
        counts = np.array([self._counts[int(number)] for number in numbers], np.int64)
        table = self._tables.table(numbers)
        return int(counts[table.votes == 0].sum()), int(counts[table.tied].sum())

    def _add(self, numbers: Shaped[np.ndarray, "h w"]) -> None:
        for number, count in zip(*count_numbers(numbers, self._job.code.size), strict=True):
            self._counts[int(number)] = self._counts.get(int(number), 0) + int(count)

    def _numbers(
        self, window: Window, halo: int = 0
    ) -> tuple[Shaped[np.ndarray, "h w"], Int16[np.ndarray, "y x"] | None]:
        """The number of the pattern of each pixel of a window and ``halo`` pixels around; and the mask's codes.

        The latter with as many pixels around as its border counts, None if it does not count.
        """
        code = self._job.code
        around, _ = padded(window, halo, self._grid.height, self._grid.width)
        numbers = np.zeros((around.height, around.width), code.dtype)
        mask = None
        for place, key in enumerate(self._job.tile.sources):
            if key == self._job.border and not self._job.two_passes:
                mask, inner = self._mask(window, counted=window)
                votes = inner.cut(mask)
            else:
                votes = self._sources.votes(key, around, counted=window)
            step = code.dtype.type(code.digit(place))
            numbers += (votes + 1).astype(code.dtype) * step
        return numbers, mask

    def _mask(self, window: Window, counted: Window | None = None) -> tuple[Int16[np.ndarray, "y x"], Window]:
        """The codes of the map whose borders count, around a window, and where the window lies in that."""
        assert self._job.border is not None
        halo = halo_of(self._job.options.border_radius)
        around, inner = padded(window, halo, self._grid.height, self._grid.width)
        return self._sources.votes(self._job.border, around, counted), inner

    def _survey(self, window: Window) -> tuple[Shaped[np.ndarray, "h w"], ClassSums | None]:
        """The first pass over a block."""
        _, inner = padded(window, 1, self._grid.height, self._grid.width)
        with_halo, _ = self._numbers(window, halo=1 if self._marks else 0)
        numbers = inner.cut(with_halo) if self._marks else with_halo
        self._scratch.put(("numbers", window), numbers)
        if self._marks is not None:
            table, places = self._look_up(with_halo)
            self._marks.mark(
                window.row_off, window.col_off, inner.cut(border_pixels(table.best.take(places)))
            )
        raster = self._sources.embeddings
        if raster is None:
            return numbers, None
        table, places = self._look_up(numbers)
        best = table.best.take(places)
        sums = ClassSums(self._job.options.num_classes, raster.bands)
        for part, inside in _parts(window):
            sums.add(raster.read(part), inside.cut(best))
        return numbers, sums

    def _ranged(self) -> PatternTables:
        """The tables, with the range of the entropies that occur."""
        tables = self._tables
        table = tables.table(np.array(sorted(self._counts), np.int64))
        lowest_and_highest = entropy_range(table.p_soft, table.votes > 0)
        return PatternTables(
            tables.code, tables.columns, tables.fusion, tables.entropy_norm, lowest_and_highest
        )

    def _find_distances(self, marks: MarkedRaster) -> None:
        """Keep the distance of each pixel from a border, and find the largest where there is a vote."""
        if not marks.any():
            told = self._tables.table(np.array(sorted(self._counts), np.int64)).votes > 0
            self._furthest = np.inf if told.any() else 0.0
            return
        strips = {strip.start: strip for strip in marks.cut(ROWS)}

        def strip_of(window: Window) -> Float32[np.ndarray, "h w"]:
            return root(marks.squared_distance(strips[window.row_off]))

        starts = [window for window in self._blocks if window.col_off == 0]
        for first, distance in in_order(strip_of, starts, self._job.threads):
            for window in (block for block in self._blocks if block.row_off == first.row_off):
                part = Window(0, window.col_off, window.height, window.width).cut(distance)
                self._scratch.put(("distance", window), part)
                table, places = self._look_up(self._scratch.get(("numbers", window)))
                voted = (table.votes > 0).take(places)
                self._furthest = max(self._furthest, float(part[voted].max(initial=0)))

    def _make(self, window: Window) -> tuple[Shaped[np.ndarray, "h w"], WrittenBlock]:
        """The second pass over a block."""
        mask = None
        if self._job.two_passes:
            numbers = self._scratch.get(("numbers", window))
            if self._job.border is not None:
                mask = self._mask(window)[0]
        else:
            numbers, mask = self._numbers(window)
        table, places = self._look_up(numbers)
        votes = table.votes.take(places)
        voted = votes > 0
        shares = self._job.options.shares
        by_embedding = self._by_embedding(window, table.best, places) if shares.embedding > 0 else None
        w_conf = weighted_mean(
            shares, voted, table.by_entropy.take(places), self._by_border(window, mask), by_embedding
        )
        missing = 0 if by_embedding is None else int(np.count_nonzero(voted & np.isnan(by_embedding)))
        small = self._job.options.dtype == "uint8"
        source = table.parts if small else table.p_soft
        p_soft = np.empty((len(source), *places.shape), source.dtype)
        for band, values in zip(p_soft, source, strict=True):
            np.take(values, places, out=band, mode="clip")  # all are inside; other modes copy
        return numbers, WrittenBlock(
            p_soft=p_soft,
            w_conf=np.rint(w_conf * 255).astype(np.uint8) if small else w_conf,
            votes=votes,
            no_embedding=missing,
        )

    def _by_border(
        self, window: Window, mask: Int16[np.ndarray, "y x"] | None
    ) -> Float32[np.ndarray, "h w"] | None:
        if self._job.of_argmax:
            if self._marks is None or not self._marks.any():
                return np.full((window.height, window.width), self._furthest > 0, np.float32)
            return share_of_furthest(self._scratch.get(("distance", window)), self._furthest)
        if mask is None:
            return None
        radius = self._job.options.border_radius
        _, inner = padded(window, halo_of(radius), self._grid.height, self._grid.width)
        return inner.cut(mask_border_weight(mask, radius))

    def _by_embedding(
        self, window: Window, best: Int16[np.ndarray, " k"], places: Shaped[np.ndarray, "h w"]
    ) -> Float32[np.ndarray, "h w"]:
        """Agreement of each pixel's embedding with its class; NaN without an embedding."""
        if self._job.options.patch_embeddings is not None:
            scalar = np.nan if self._job.by_patch is None else self._job.by_patch
            return np.full(places.shape, scalar, np.float32)
        found = np.full(places.shape, np.nan, np.float32)
        raster = self._sources.embeddings
        if raster is not None and self._centroids is not None:
            codes = best.take(places)
            for part, inside in _parts(window):
                inside.cut(found)[:] = agreement(raster.read(part), inside.cut(codes), self._centroids)
        return found


def _parts(window: Window) -> Iterator[tuple[Window, Window]]:
    """Smaller windows that cover a window; and where they lie in it."""
    rows, cols = _EMBEDDED
    for row in range(0, window.height, rows):
        for col in range(0, window.width, cols):
            inside = Window(row, col, min(rows, window.height - row), min(cols, window.width - col))
            yield Window(window.row_off + row, window.col_off + col, *inside[2:]), inside
