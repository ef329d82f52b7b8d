"""The passes over all tiles of a build: what only all of them together tell, and then their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from coteach.errors import RasterError
from coteach.labels.embeddings import patch_agreement
from coteach.labels.fusion import Fusion
from coteach.labels.patterns import PatternCounts
from coteach.labels.reliability import learned_shares
from coteach.rasters.options import BuildOptions
from coteach.rasters.patch_embeddings import read_patches
from coteach.rasters.pool import LOCAL, Progress, run_tasks
from coteach.rasters.sources import Tile
from coteach.rasters.tile import TileResult, TileTask, build_tile, count_tile, died, failed
from coteach.rasters.tile_files import p_soft_path, w_conf_path


class BuildPasses:
    """Makes tiles, several at once.

    Args:
        options: of the build.
        folder: gets the files; its folders are there.
        max_workers: processes or threads.
        scheduler: see :func:`coteach.build_soft_labels`.
        progress: called with the number of tiles and a label.
    """

    def __init__(
        self, options: BuildOptions, folder: Path, max_workers: int, scheduler: str, progress: Progress
    ) -> None:
        # the workers of a cluster have working directories of their own
        self._options = options if scheduler in LOCAL else options.absolute()
        self._folder = folder if scheduler in LOCAL else folder.absolute()
        self._max_workers = max_workers
        self._scheduler = scheduler
        self._progress = progress

    def run(self, tiles: Sequence[Tile]) -> tuple[dict[str, TileResult], Fusion]:
        """Make all tiles; tile_id -> what became of it, and how votes became shares."""
        options = self._options
        if self._scheduler not in LOCAL:
            tiles = [tile.absolute() for tile in tiles]
        fusion = Fusion(options.num_classes, options.vote_weights)
        counted: dict[str, TileResult] = {}
        if options.weights == "learned" or options.patch_embeddings is not None:
            counted = self._over(
                [TileTask(tile) for tile in tiles],
                partial(count_tile, options=options, output_dir=self._folder),
                "votes counted",
            )
        patterns = {
            tile: result.figures.patterns for tile, result in counted.items() if result.figures is not None
        }
        if options.weights == "learned" and patterns:
            learned = learned_shares(PatternCounts.merged(list(patterns.values())), options.num_classes)
            fusion = replace(fusion, learned=learned)
        by_patch, unfit = self._agreement_of_patches(fusion, patterns)
        counted |= unfit
        good = [
            tile for tile in tiles if (tile.tile_id in patterns or not counted) and tile.tile_id not in unfit
        ]
        built = self._over(
            [TileTask(tile, by_patch.get(tile.tile_id)) for tile in good],
            partial(build_tile, options=options, fusion=fusion, output_dir=self._folder),
            "tiles",
        )
        seen = {tile: self._seen(result) for tile, result in built.items()}
        return counted | seen, fusion

    def _seen(self, result: TileResult) -> TileResult:
        """The same; a failure if its files are not on this computer."""
        files = (p_soft_path(self._folder, result.tile_id), w_conf_path(self._folder, result.tile_id))
        lost = next((file for file in files if not file.is_file()), None)
        if result.figures is None or lost is None:
            return result
        cause = f"was made, but {lost} is not there"
        remedy = "give an --output-dir on a disk that all workers and this computer share"
        return failed(result.tile_id, RasterError(result.tile_id, cause, remedy))

    def _over(
        self, tasks: Sequence[TileTask], work: Callable[..., TileResult], label: str
    ) -> dict[str, TileResult]:
        """Do the work for all tiles; few tiles share the workers for their blocks."""
        if len(tasks) == 1 and self._scheduler in LOCAL:
            return self._alone(tasks[0], work, label)
        threads = 1 if self._scheduler == "serial" else max(1, self._max_workers // max(1, len(tasks)))
        results = {}
        with self._progress(len(tasks), label) as advance:
            for result in run_tasks(
                partial(work, threads=threads), tasks, self._max_workers, died, self._scheduler
            ):
                results[result.tile_id] = result
                advance()
        return results

    def _alone(self, task: TileTask, work: Callable[..., TileResult], label: str) -> dict[str, TileResult]:
        """Work on the only tile here, where each of its blocks can be told of."""
        threads = 1 if self._scheduler == "serial" else self._max_workers
        done = 0.0
        with self._progress(100, f"{label}: % of {task.tile.tile_id}") as advance:

            def told(share: float) -> None:
                nonlocal done
                steps = int(100 * (done + share) + 1e-9) - int(100 * done + 1e-9)
                done += share
                advance(steps)

            result = work(task, threads=threads, told=told)
            advance(100 - int(100 * done + 1e-9))
        return {result.tile_id: result}

    def _agreement_of_patches(
        self, fusion: Fusion, patterns: Mapping[str, PatternCounts]
    ) -> tuple[Mapping[str, float], dict[str, TileResult]]:
        """How well each tile's embedding agrees with its class; and the tiles whose embedding cannot be used."""
        folder = self._options.patch_embeddings
        if folder is None:
            return {}, {}
        vectors, unfit = read_patches(folder, list(patterns))
        dominant = {tile: fusion.dominant(counts) for tile, counts in patterns.items()}
        classes = {tile: code for tile, code in dominant.items() if code is not None}
        return patch_agreement(vectors, classes), {tile: failed(tile, error) for tile, error in unfit.items()}
