"""sources.csv -> P_soft, W_conf and a manifest: the tile pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from coteach.errors import RasterError
from coteach.labels.embeddings import patch_agreement
from coteach.labels.fusion import Fusion
from coteach.labels.patterns import PatternCounts
from coteach.labels.reliability import learned_shares
from coteach.rasters.check import check_rows
from coteach.rasters.check_source import RowRules
from coteach.rasters.embeddings import check_embeddings
from coteach.rasters.failures import FAILURES
from coteach.rasters.findings import Finding
from coteach.rasters.manifest import MANIFEST, PATCHES, BuildReport, write_tables
from coteach.rasters.needs import Needs, most_needed
from coteach.rasters.options import BuildOptions, check_workers
from coteach.rasters.patch_embeddings import read_patches
from coteach.rasters.pool import LOCAL, Progress, check_scheduler, run_tasks, silent
from coteach.rasters.sources import Row, Tile, read_rows, unused_columns
from coteach.rasters.tile import COUNTS, TileResult, TileTask, build_tile, count_tile, died, failed
from coteach.rasters.tile_files import P_SOFT, RECORDS, W_CONF, p_soft_path, w_conf_path
from coteach.rasters.write import writable
from coteach.tables import read_table


def build_soft_labels(
    sources_csv: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    num_classes: int,
    *,
    alpha: float = 0.6,
    beta: float = 0.0,
    use_border: bool = True,
    border_source: str = "auto",
    border_radius: float = 10,
    entropy_norm: str = "max_entropy",
    image_key: str = "image_path",
    mask_key: str | None = "mask_path",
    lulc_keys: Sequence[str] = (),
    patch_size: int | None = None,
    stride: int | None = None,
    ignore_codes: Sequence[int] = (),
    source_weights: Mapping[str, float] | None = None,
    weights: str = "equal",
    legends: Mapping[str, Mapping[int, int]] | None = None,
    aef_embeddings_dir: str | os.PathLike[str] | None = None,
    aef_source: str = "gcs",
    aef_resampling: str = "auto",
    dtype: str = "float32",
    votes_band: bool = False,
    cog: bool = False,
    fingerprint: str = "stat",
    scheduler: str = "processes",
    max_workers: int = 4,
    progress: Progress | None = None,
    tell_findings: Callable[[Sequence[Finding]], None] | None = None,
    tell_needs: Callable[[Needs], None] | None = None,
) -> BuildReport:
    """Fuse the label maps of every tile into ``p_soft/{tile_id}.tif`` and ``w_conf/{tile_id}.tif``.

    Both are on the image's grid and carry a mask, False where nobody votes; there P_soft is uniform and W_conf 0.
    Tiles whose files are up to date are not made again. A tile that cannot be made is noted in ``failures.csv``.

    Args:
        sources_csv: one row a tile; an empty cell means that the tile lacks this source. Relative paths are relative
            to its folder, else to the working directory. The ids of tiles are in ``tile_id``, else the images' names.
        output_dir: gets the rasters, the tables, and in ``fingerprints`` what they were made of. Used by one build at
            a time.
        num_classes: C; codes are 0 to C - 1, others do not vote.
        alpha: weight of agreement in W_conf, see :func:`coteach.confidence_weight`.
        beta: weight of embeddings; above 0 with ``aef_embeddings_dir``.
        use_border: whether distance to class borders counts.
        border_source: ``"mask"``, ``"argmax"`` of P_soft, or ``"auto"``: the mask where the tile has one.
        border_radius: distance in pixels from the mask's borders that gives full weight.
        entropy_norm: ``"max_entropy"`` or ``"minmax"``.
        image_key: column of the image, the reference grid.
        mask_key: column of the cartographic mask, which votes like the others; None uses none.
        lulc_keys: columns of the other label maps.
        patch_size: side in pixels; the manifest then lists patches, those at the edge shifted inward. A manifest of the
            other kind, of an earlier build, is removed.
        stride: pixels from one patch to the next; ``patch_size`` if None.
        ignore_codes: codes outside 0 to C - 1 that are known to mean no vote; the report leaves them out.
        source_weights: column -> what its vote counts, 1 if not named. P_soft is then the share of the weight.
        weights: ``"equal"``, or ``"learned"``: P_soft is what the sources' estimated reliability makes of their votes,
            see :mod:`coteach.labels.reliability`.
        legends: column -> value -> class, or -1 for no vote, for sources whose values are no classes. A value that the
            legend lacks fails the tile.
        aef_embeddings_dir: folder of AlphaEarth embeddings (``coteach download-aef-embeddings``).
        aef_source: ``"gcs"``: ``{tile_id}.tif``, a vector a pixel, compared with the mean vector of the pixel's class
            in the tile; ``"hf"``: ``{tile_id}.npy``, one a tile, compared across tiles.
        aef_resampling: ``"auto"``, ``"aggregate"``, ``"nearest"`` or ``"none"``, see
            :class:`~coteach.rasters.embeddings.EmbeddingRaster`.
        dtype: ``"float32"``; or ``"uint8"``, a quarter of the size: P_soft as votes (exact) or shares of 255, W_conf in
            steps of 1/255. The data sets read both.
        votes_band: give W_conf a second band, the number of sources that vote.
        cog: write Cloud Optimised GeoTIFFs, with overviews.
        fingerprint: how a file is told from another: ``"stat"``, size and time of modification, or ``"content"``.
        scheduler: ``"processes"``, ``"threads"``, ``"serial"``, or the address of a Dask cluster (``tcp://…``), whose
            workers see the same files.
        max_workers: processes or threads, for several tiles or for the blocks of few; a script that uses processes
            needs ``if __name__ == "__main__":``.
        progress: called with the number of tiles and a label, a context manager that gives what to call after each.
        tell_findings: called, before anything is written, with what a check of all rows finds, but for the codes,
            which the report counts; None checks nothing beforehand.
        tell_needs: called, before anything is written, with the memory and the disk space that the largest tile takes.

    Returns:
        What was done; paths in the manifest are relative to its folder.

    Raises:
        OptionError: an option is out of range, or the folder cannot be written. Nothing was written then.
        TableError: the table is missing, empty, or lacks a column. Nothing was written then.

    Example:
        >>> report = build_soft_labels("sources.csv", "soft", 4, lulc_keys=["esa", "esri"])  # doctest: +SKIP
        >>> report.failures  # doctest: +SKIP
        ()
    """
    options = BuildOptions(
        num_classes=num_classes,
        alpha=alpha,
        beta=beta,
        use_border=use_border,
        border_source=border_source,
        border_radius=border_radius,
        entropy_norm=entropy_norm,
        image_key=image_key,
        mask_key=mask_key,
        lulc_keys=tuple(lulc_keys),
        source_weights=dict(source_weights or {}),
        weights=weights,
        legends={key: dict(legend) for key, legend in (legends or {}).items()},
        aef_embeddings_dir=None if aef_embeddings_dir is None else Path(aef_embeddings_dir),
        aef_source=aef_source,
        aef_resampling=aef_resampling,
        dtype=dtype,
        votes_band=votes_band,
        cog=cog,
        fingerprint=fingerprint,
        patch_size=patch_size,
        stride=stride,
        ignore_codes=tuple(ignore_codes),
    )
    check_workers(max_workers)
    check_scheduler(scheduler)
    table = read_table(sources_csv)
    rows = read_rows(table, options.image_key, options.source_keys)
    named = [row.tile() for row in rows]
    tiles = [row for row in named if isinstance(row, Tile)]
    if options.aef_embeddings_dir is not None:
        check_embeddings(options.aef_embeddings_dir, [tile.tile_id for tile in tiles], options.aef_source)
    if tell_findings is not None:
        tell_findings(_check(rows, options, max_workers, progress))
    if tell_needs is not None:
        tell_needs(most_needed(tiles, options))
    folder = Path(output_dir)
    with writable(folder):
        _prepare(folder)
    build = _Build(options, folder, max_workers, scheduler, progress or silent)
    results, fusion = build.run(tiles)
    unused = unused_columns(table, options.image_key, options.source_keys)
    with writable(folder):
        return write_tables(folder, named, results, options, unused, fusion)


def _check(
    rows: Sequence[Row], options: BuildOptions, max_workers: int, progress: Progress | None
) -> list[Finding]:
    rules = RowRules(image_key=options.image_key, patch_size=options.patch_size, codes=False)
    return check_rows(rows, rules, max_workers, progress)


class _Build:
    """The passes over all tiles."""

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


def _prepare(folder: Path) -> None:
    """Make the folders, and clear away what a killed run left half-written."""
    for name in (P_SOFT, W_CONF, f"{RECORDS}/{COUNTS}", RECORDS):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for partial_file in (folder / name).glob(".*.part"):
            partial_file.unlink()
    for table in (MANIFEST, PATCHES, FAILURES):
        for partial_file in folder.glob(f".*{table}.*.part"):
            partial_file.unlink()
