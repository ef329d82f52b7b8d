"""The passes over one tile's pixels, block by block: what they count, keep and write.

Some of W_conf belongs to the tile and not to the block: the range of the entropy (min-max), the largest distance from
a border of argmax P_soft, the centroids of embeddings. Where one of them is asked for, a first pass finds it, and leaves
the patterns of the votes in a scratch place, so that the second pass reads no label map again.

Shape legend: ``s`` sources, ``c`` classes, ``b`` bands of embeddings, ``h`` rows, ``w`` columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Bool, Float32, Int16, Shaped

from coteach.labels.borders import halo_of, mask_border_weight
from coteach.labels.confidence import entropy_range, weighted_mean
from coteach.labels.embeddings import ClassSums, agreement
from coteach.labels.fusion import PatternTables
from coteach.labels.patterns import PatternCounts, count_numbers
from coteach.rasters.argmax_border import HALO, ArgmaxBorder
from coteach.rasters.blocks import blocks, in_order, padded
from coteach.rasters.grid import Grid, Window
from coteach.rasters.scratch import Scratch
from coteach.rasters.tile_job import TileJob, WrittenBlock
from coteach.rasters.tile_sources import TileSources

_EMBEDDED = (256, 512)  # pixels whose embeddings are held at once


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
        self._argmax_border: ArgmaxBorder | None = None
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
            self._argmax_border = ArgmaxBorder(self._grid, self._scratch)
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
        if self._argmax_border is not None:
            self._argmax_border.find(self._voted, job.threads)

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
        if self._argmax_border is None:
            numbers, _ = self._numbers(window)
        else:
            with_halo, _ = self._numbers(window, HALO)
            table, places = self._look_up(with_halo)
            self._argmax_border.mark(window, table.best.take(places))
            _, inner = padded(window, HALO, self._grid.height, self._grid.width)
            numbers = inner.cut(with_halo)
        self._scratch.put(("numbers", window), numbers)
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

    def _voted(self, window: Window) -> Bool[np.ndarray, "h w"]:
        """Where a block that the first pass has read has a vote."""
        table, places = self._look_up(self._scratch.get(("numbers", window)))
        return (table.votes > 0).take(places)

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
        if self._argmax_border is not None:
            return self._argmax_border.share(window)
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
