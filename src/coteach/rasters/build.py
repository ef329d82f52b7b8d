"""sources.csv -> P_soft, W_conf and a manifest: the tile pipeline."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from coteach.files import remove_leftovers
from coteach.rasters.build_passes import BuildPasses
from coteach.rasters.check import check_rows
from coteach.rasters.check_source import RowRules
from coteach.rasters.claim import claimed
from coteach.rasters.embeddings import check_embeddings
from coteach.rasters.findings import Finding
from coteach.rasters.manifest import BuildReport, write_tables
from coteach.rasters.needs import Needs, most_needed
from coteach.rasters.options import BuildOptions, check_workers
from coteach.rasters.pool import Progress, check_scheduler, silent
from coteach.rasters.sources import BadRow, Row, Tile, read_rows, unused_columns
from coteach.rasters.tile import COUNTS
from coteach.rasters.tile_files import P_SOFT, RECORDS, W_CONF
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
    tell_report: Callable[[BuildReport], None] | None = None,
) -> BuildReport:
    """Fuse the label maps of every tile into ``p_soft/{tile_id}.tif`` and ``w_conf/{tile_id}.tif``.

    Both are on the image's grid and carry a mask, False where nobody votes; there P_soft is uniform and W_conf 0.
    Tiles whose files are up to date are not made again. A tile that cannot be made is noted in ``failures.csv``.

    Args:
        sources_csv: one row a tile; an empty cell means that the tile lacks this source. Relative paths are relative
            to its folder, else to the working directory. The ids of tiles are in ``tile_id``, else the images' names.
        output_dir: gets the rasters, the tables, and in ``fingerprints`` what they were made of. While a build is at
            work there, one with other options or another table is refused.
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
        tell_report: called with what is returned, while other builds are still refused: what it reads there is of this one.

    Returns:
        What was done; paths in the manifest are relative to its folder.

    Raises:
        OptionError: an option is out of range, the folder cannot be written, or another build is at work there.
            Nothing was written then.
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
    with ExitStack() as held:
        with writable(folder):
            for made in _folders(folder):
                made.mkdir(parents=True, exist_ok=True)
            held.enter_context(claimed(folder / RECORDS, f"output_dir {folder}", _work(options, named)))
            for made in _folders(folder):  # half-written by a run that was killed
                remove_leftovers(made)
        passes = BuildPasses(options, folder, max_workers, scheduler, progress or silent)
        results, fusion = passes.run(tiles)
        unused = unused_columns(table, options.image_key, options.source_keys)
        with writable(folder):
            report = write_tables(folder, named, results, options, unused, fusion)
        if tell_report is not None:
            tell_report(report)
        return report


def _check(
    rows: Sequence[Row], options: BuildOptions, max_workers: int, progress: Progress | None
) -> list[Finding]:
    rules = RowRules(image_key=options.image_key, patch_size=options.patch_size, codes=False)
    return check_rows(rows, rules, max_workers, progress)


def _folders(folder: Path) -> list[Path]:
    """All that a build writes into."""
    return [folder / name for name in ("", P_SOFT, W_CONF, f"{RECORDS}/{COUNTS}", RECORDS)]


def _work(options: BuildOptions, rows: Sequence[Tile | BadRow]) -> dict[str, Any]:
    """What two builds have in common that may write into one folder at once."""
    told = [row.absolute() if isinstance(row, Tile) else row for row in rows]
    return asdict(options.absolute()) | {"table": hashlib.sha256(repr(told).encode()).hexdigest()}
