"""One tile: its label maps -> its P_soft and W_conf files, unless they are up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from coteach.errors import CoteachError, RasterError
from coteach.labels.fusion import Fusion
from coteach.labels.patterns import PatternCounts
from coteach.rasters.dataset import GDAL_OPTIONS, opened
from coteach.rasters.fingerprint import read_record, write_record
from coteach.rasters.grid import Grid
from coteach.rasters.options import BuildOptions
from coteach.rasters.rules import checked_grid, image_rules
from coteach.rasters.scratch import scratch
from coteach.rasters.sources import Tile
from coteach.rasters.tile_files import RECORDS, p_soft_path, tile_writer, w_conf_path
from coteach.rasters.tile_job import TileJob
from coteach.rasters.tile_passes import TilePasses
from coteach.rasters.tile_recipe import recipe_of, votes_of
from coteach.rasters.tile_sources import TileSources, named

COUNTS = "counts"


@dataclass(frozen=True, slots=True)
class TileFigures:
    """What is told of a tile that is done.

    Args:
        height: rows.
        width: columns.
        codes: what each source of the build votes for in each pattern that occurs; -1 is no vote.
        counts: pixels of each pattern.
        unknown: column -> code as text -> pixels that hold this code, which is no class.
        no_vote: pixels without a vote.
        ties: pixels where several classes have the largest share.
        no_embedding: pixels with a vote and without an embedding, if embeddings count.
    """

    height: int
    width: int
    codes: list[list[int]]
    counts: list[int]
    unknown: dict[str, dict[str, int]]
    no_vote: int = 0
    ties: int = 0
    no_embedding: int | None = None

    @property
    def patterns(self) -> PatternCounts:
        """The patterns that occur."""
        return PatternCounts(np.array(self.codes, np.int16), np.array(self.counts, np.int64))


@dataclass(frozen=True, slots=True)
class TileResult:
    """What became of a tile.

    Args:
        tile_id: its id.
        figures: None if it failed.
        error: why it failed; empty if it did not.
        fresh: whether its files were made now, or were there already.
    """

    tile_id: str
    figures: TileFigures | None
    error: str = ""
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class TileTask:
    """A tile, and what only the other tiles tell of it.

    Args:
        tile: its files.
        by_patch: see :class:`~coteach.rasters.tile_job.TileJob`.
    """

    tile: Tile
    by_patch: float | None = None


def build_tile(
    task: TileTask,
    options: BuildOptions,
    fusion: Fusion,
    output_dir: Path,
    threads: int = 1,
    told: Callable[[float], None] | None = None,
) -> TileResult:
    """Make the files of a tile; what is wrong with the tile is in the result."""

    def work() -> TileResult:
        job = job_of(task.tile, options, fusion, task.by_patch, threads)
        return _build(job, output_dir, told)

    return _result(task.tile, work)


def count_tile(
    task: TileTask,
    options: BuildOptions,
    output_dir: Path,
    threads: int = 1,
    told: Callable[[float], None] | None = None,
) -> TileResult:
    """Count the patterns of a tile, or find the counts of an earlier run; what is wrong is in the result."""

    def work() -> TileResult:
        job = job_of(task.tile, options, Fusion(options.num_classes), threads=threads)
        return _count(job, output_dir, told)

    return _result(task.tile, work)


def failed(tile_id: str, error: CoteachError) -> TileResult:
    """The result of a tile that has failed."""
    return TileResult(tile_id, None, str(error))


def died(task: TileTask) -> TileResult:
    """The result of a tile whose process was killed."""
    cause = "the process that worked on it was killed or crashed, perhaps for want of memory"
    tile_id = task.tile.tile_id
    return failed(tile_id, RasterError(tile_id, cause, "try fewer --max-workers"))


def job_of(
    tile: Tile, options: BuildOptions, fusion: Fusion, by_patch: float | None = None, threads: int = 1
) -> TileJob:
    """What is to be made of a tile.

    Raises:
        RasterError: the mask's borders are asked for, and the tile has no mask.
    """
    border = None
    if options.use_border and options.border_source != "argmax":
        if options.mask_key in tile.sources:
            border = options.mask_key
        elif options.border_source == "mask":
            cause = f"{options.mask_key!r} is empty, and --border-source mask needs a mask"
            raise RasterError(tile.tile_id, cause, "fill the cell, or use --border-source auto")
    return TileJob(tile, options, fusion, border if options.shares.border > 0 else None, by_patch, threads)


def _result(tile: Tile, work: Callable[[], TileResult]) -> TileResult:
    try:
        return work()
    except CoteachError as error:
        failure: CoteachError = error
    except MemoryError:
        remedy = "try fewer --max-workers, or a smaller tile"
        failure = RasterError(tile.tile_id, "does not fit into memory", remedy)
    except OSError as error:
        remedy = "free space there, or choose a folder that can be written"
        failure = RasterError(tile.tile_id, f"cannot be kept ({error})", remedy)
    except Exception as error:  # noqa: BLE001 -- whatever is the matter with one tile, the others are made
        cause = f"failed in a way that was not foreseen ({type(error).__name__}: {error})"
        failure = RasterError(tile.tile_id, cause, "look at its files; if they are sound, report the error")
    return failed(tile.tile_id, failure)


def _build(job: TileJob, output_dir: Path, told: Callable[[float], None] | None) -> TileResult:
    tile, options = job.tile, job.options
    outputs = [p_soft_path(output_dir, tile.tile_id), w_conf_path(output_dir, tile.tile_id)]
    record = output_dir / RECORDS / f"{tile.tile_id}.json"
    grid = _image_grid(tile, options)
    made_of = recipe_of(job)
    kept = read_record(record, made_of, outputs)
    if kept is not None:
        return TileResult(tile.tile_id, TileFigures(**kept))
    missing = 0
    with _passes(job, grid, output_dir, told) as (sources, passes):
        if job.two_passes:
            passes.first()
        with tile_writer(job, grid, output_dir) as files:
            for window, block in passes.second():
                files.write(window, block)
                missing += block.no_embedding
            unknown = sources.unknown()  # a code that no legend explains leaves no file
        figures = _figures(passes, grid, unknown)
    if options.shares.embedding > 0:
        figures["no_embedding"] = missing
    write_record(record, made_of, outputs, figures)
    return TileResult(tile.tile_id, TileFigures(**figures), fresh=True)


def _count(job: TileJob, output_dir: Path, told: Callable[[float], None] | None) -> TileResult:
    tile, options = job.tile, job.options
    record = output_dir / RECORDS / COUNTS / f"{tile.tile_id}.json"
    grid = _image_grid(tile, options)
    made_of = votes_of(tile, options)
    kept = read_record(record, made_of, [])
    if kept is not None:
        return TileResult(tile.tile_id, TileFigures(**kept))
    with _passes(job, grid, output_dir, told) as (sources, passes):
        passes.count()
        figures = _figures(passes, grid, sources.unknown())
    write_record(record, made_of, [], figures)
    return TileResult(tile.tile_id, TileFigures(**figures), fresh=True)


@contextmanager
def _passes(
    job: TileJob, grid: Grid, output_dir: Path, told: Callable[[float], None] | None
) -> Iterator[tuple[TileSources, TilePasses]]:
    with (
        rasterio.Env(**GDAL_OPTIONS),
        closing(TileSources(job.tile, job.options, grid)) as sources,
        scratch(output_dir / RECORDS, job.scratch_size(grid)) as kept,
    ):
        yield sources, TilePasses(job, grid, sources, kept, told)


def _figures(passes: TilePasses, grid: Grid, unknown: dict[str, dict[str, int]]) -> dict[str, Any]:
    """The figures of a tile, as JSON has them."""
    patterns, no_vote, ties = passes.patterns(), *passes.no_vote_and_ties()
    return asdict(
        TileFigures(
            height=grid.height,
            width=grid.width,
            codes=patterns.codes.tolist(),
            counts=patterns.counts.tolist(),
            unknown=unknown,
            no_vote=no_vote,
            ties=ties,
        )
    )


def _image_grid(tile: Tile, options: BuildOptions) -> Grid:
    with named(tile, f"image {options.image_key!r}"), opened(tile.image) as dataset:
        return checked_grid(dataset, image_rules(options.patch_size))
