"""What a build leaves in tables: the manifest of what is done, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coteach.labels.fusion import Fusion
from coteach.rasters.failures import FAILURES, write_failures
from coteach.rasters.options import BuildOptions
from coteach.rasters.patches import patch_offsets
from coteach.rasters.sources import BadRow, Tile
from coteach.rasters.tile import TileFigures, TileResult
from coteach.rasters.tile_files import p_soft_path, w_conf_path
from coteach.tables import path_from, write_table

MANIFEST, PATCHES = "soft_label_manifest.csv", "soft_label_patches.csv"
_COLUMNS = ("tile_id", "image_path", "p_soft_path", "w_conf_path")
_WINDOW_COLUMNS = ("row_off", "col_off", "patch_size")


@dataclass(frozen=True, slots=True)
class BuiltTile:
    """A tile that is done.

    Args:
        tile_id: its id.
        image: the reference grid.
        p_soft: the file of P_soft.
        w_conf: the file of W_conf.
        figures: what is told of it.
    """

    tile_id: str
    image: Path
    p_soft: Path
    w_conf: Path
    figures: TileFigures


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What :func:`coteach.build_soft_labels` did.

    Args:
        manifest: the table of the tiles that are done, or of their patches.
        built: ids of the tiles made now.
        up_to_date: ids of those that were there already.
        failures: tile_id and error of each row that failed.
        pixels: of all tiles that are done.
        no_vote: pixels without a vote.
        ties: pixels where several classes have the largest share.
        unknown: column -> code -> pixels that hold this code, which is no class and did not vote; without the codes
            that are known to mean no vote.
        unused: columns that look like rasters and were not asked for.
        tiles: those that are done, in the order of the rows.
        fusion: how votes became shares.
    """

    manifest: Path
    built: tuple[str, ...]
    up_to_date: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]
    pixels: int
    no_vote: int
    ties: int
    unknown: Mapping[str, Mapping[int, int]]
    unused: tuple[str, ...]
    tiles: tuple[BuiltTile, ...]
    fusion: Fusion

    @property
    def no_embedding(self) -> float | None:
        """Share of the pixels with a vote that have no embedding; None if embeddings do not count."""
        counts = [tile.figures.no_embedding for tile in self.tiles if tile.figures.no_embedding is not None]
        return sum(counts) / max(1, self.pixels - self.no_vote) if counts else None


def write_tables(
    folder: Path,
    rows: Sequence[Tile | BadRow],
    results: Mapping[str, TileResult],
    options: BuildOptions,
    unused: Sequence[str],
    fusion: Fusion,
) -> BuildReport:
    """Write the manifest, and ``failures.csv`` if something failed; remove an old one if nothing did.

    Args:
        folder: gets the tables.
        rows: of the sources table.
        results: tile_id -> what became of the tile.
        options: of the build.
        unused: columns that did not vote.
        fusion: how votes became shares.

    Returns:
        The summary.
    """
    manifest: list[dict[str, str]] = []
    failures: list[tuple[str, str]] = []
    done: list[TileResult] = []
    tiles: list[BuiltTile] = []
    for row in rows:
        if isinstance(row, BadRow):
            failures.append((row.tile_id, row.error))
            continue
        result = results[row.tile_id]
        if result.figures is None:
            failures.append((row.tile_id, result.error))
            continue
        done.append(result)
        p_soft, w_conf = p_soft_path(folder, row.tile_id), w_conf_path(folder, row.tile_id)
        tiles.append(BuiltTile(row.tile_id, row.image, p_soft, w_conf, result.figures))
        manifest += _manifest_rows(folder, tiles[-1], options)
    file = folder / (MANIFEST if options.patch_size is None else PATCHES)
    # that of another build lists what may not be there any more
    (folder / (PATCHES if options.patch_size is None else MANIFEST)).unlink(missing_ok=True)
    write_table(file, _COLUMNS + (() if options.patch_size is None else _WINDOW_COLUMNS), manifest)
    write_failures(folder / FAILURES, failures)
    return _report(file, done, tiles, failures, unused, options, fusion)


def _manifest_rows(folder: Path, tile: BuiltTile, options: BuildOptions) -> list[dict[str, str]]:
    """The row of a tile, or those of its patches."""
    files = (tile.image, tile.p_soft, tile.w_conf)
    row = dict(zip(_COLUMNS, (tile.tile_id, *(path_from(folder, file) for file in files)), strict=True))
    size = options.patch_size
    if size is None:
        return [row]
    corners = patch_offsets(tile.figures.height, tile.figures.width, size, options.stride or size)
    return [
        row | dict(zip(_WINDOW_COLUMNS, (str(top), str(left), str(size)), strict=True))
        for top, left in corners
    ]


def _report(
    manifest: Path,
    done: Sequence[TileResult],
    tiles: Sequence[BuiltTile],
    failures: Sequence[tuple[str, str]],
    unused: Sequence[str],
    options: BuildOptions,
    fusion: Fusion,
) -> BuildReport:
    figures = [tile.figures for tile in tiles]
    unknown: dict[str, Counter[int]] = {}
    for tile in figures:
        for key, codes in tile.unknown.items():
            counts = {
                int(code): count for code, count in codes.items() if int(code) not in options.ignore_codes
            }
            if counts:
                unknown.setdefault(key, Counter()).update(counts)
    return BuildReport(
        manifest=manifest,
        built=tuple(result.tile_id for result in done if result.fresh),
        up_to_date=tuple(result.tile_id for result in done if not result.fresh),
        failures=tuple(failures),
        pixels=sum(tile.height * tile.width for tile in figures),
        no_vote=sum(tile.no_vote for tile in figures),
        ties=sum(tile.ties for tile in figures),
        unknown=unknown,
        unused=tuple(unused),
        tiles=tuple(tiles),
        fusion=fusion,
    )
