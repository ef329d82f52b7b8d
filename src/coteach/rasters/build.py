"""sources.csv -> P_soft, W_conf and a manifest: the tile pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from coteach.rasters.check import check_rows
from coteach.rasters.check_source import RowRules
from coteach.rasters.findings import Finding
from coteach.rasters.manifest import FAILURES, MANIFEST, PATCHES, BuildReport, write_tables
from coteach.rasters.options import BuildOptions
from coteach.rasters.pool import Progress, run_tasks, silent
from coteach.rasters.sources import Row, Tile, read_rows, unused_columns
from coteach.rasters.tile import P_SOFT, RECORDS, W_CONF, TileResult, build_tile, died
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
    max_workers: int = 4,
    progress: Progress | None = None,
    tell_findings: Callable[[Sequence[Finding]], None] | None = None,
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
        beta: weight of embeddings; must be 0 until they can be read.
        use_border: whether distance to class borders counts.
        border_source: ``"mask"``, ``"argmax"`` of P_soft, or ``"auto"``: the mask where the tile has one.
        border_radius: distance in pixels from the mask's borders that gives full weight.
        entropy_norm: ``"max_entropy"`` or ``"minmax"``.
        image_key: column of the image, the reference grid.
        mask_key: column of the cartographic mask, which votes like the others; None uses none.
        lulc_keys: columns of the other label maps.
        patch_size: side in pixels; the manifest then lists patches, those at the edge shifted inward.
        stride: pixels from one patch to the next; ``patch_size`` if None.
        ignore_codes: codes outside 0 to C - 1 that are known to mean no vote; the report leaves them out.
        max_workers: processes; 1 works in this one. A script that uses more needs ``if __name__ == "__main__":``.
        progress: called with the number of tiles and a label, a context manager that gives what to call after each.
        tell_findings: called, before anything is written, with what a check of all rows finds, but for the codes,
            which the report counts; None checks nothing beforehand.

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
        patch_size=patch_size,
        stride=stride,
        max_workers=max_workers,
        ignore_codes=tuple(ignore_codes),
    )
    table = read_table(sources_csv)
    rows = read_rows(table, options.image_key, options.source_keys)
    if tell_findings is not None:
        tell_findings(_check(rows, options, progress))
    named = [row.tile() for row in rows]
    folder = Path(output_dir)
    with writable(folder):
        _prepare(folder)
    tiles = [row for row in named if isinstance(row, Tile)]
    results = _run(tiles, options, folder, progress or silent)
    unused = unused_columns(table, options.image_key, options.source_keys)
    with writable(folder):
        return write_tables(folder, named, results, options, unused)


def _check(rows: Sequence[Row], options: BuildOptions, progress: Progress | None) -> list[Finding]:
    rules = RowRules(image_key=options.image_key, patch_size=options.patch_size, codes=False)
    return check_rows(rows, rules, options.max_workers, progress)


def _run(tiles: list[Tile], options: BuildOptions, folder: Path, progress: Progress) -> dict[str, TileResult]:
    """Make all tiles; tile_id -> what became of it."""
    results: dict[str, TileResult] = {}
    work = partial(build_tile, options=options, output_dir=folder)
    with progress(len(tiles), "tiles") as advance:
        for result in run_tasks(work, tiles, options.max_workers, died):
            results[result.tile_id] = result
            advance()
    return results


def _prepare(folder: Path) -> None:
    """Make the folders, and clear away what a killed run left half-written."""
    for name in (P_SOFT, W_CONF, RECORDS):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for partial_file in (folder / name).glob(".*.part"):
            partial_file.unlink()
    for table in (MANIFEST, PATCHES, FAILURES):
        for partial_file in folder.glob(f".{table}.*.part"):
            partial_file.unlink()
