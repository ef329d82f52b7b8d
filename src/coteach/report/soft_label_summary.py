"""``summary.html``, quick-look pictures and a table of figures of a build of soft labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from coteach.errors import CoteachError
from coteach.files import remove_leftovers, write_text
from coteach.labels.fusion import Fusion
from coteach.labels.patterns import PatternCounts
from coteach.legend import Legend
from coteach.rasters.tile_files import RECORDS
from coteach.report.soft_label_figures import Overview, most_disputed, overview
from coteach.report.soft_label_page import Look, SummaryPage, SummaryTile, render_summary
from coteach.report.soft_label_pictures import remove_others, thumbnail_uri, update_quicklook
from coteach.tables import write_table

SUMMARY, TILES, QUICKLOOKS = "summary.html", "summary_tiles.csv", "quicklooks"
_MOST_THUMBNAILS = 12
_THREADS = 2


def write_summary(
    folder: Path,
    tiles: Sequence[SummaryTile],
    sources: Sequence[str],
    legend: Legend,
    *,
    failures: Sequence[tuple[str, str]],
    command: str,
    reliability: Mapping[str, Any] | None = None,
    fusion: Fusion | None = None,
    quicklooks: int = 12,
) -> Path:
    """Write ``summary.html``, ``summary_tiles.csv`` and ``quicklooks/{tile_id}.png`` of the most disputed tiles.

    All figures come from the counts of patterns. A picture that still shows its files is kept; one that cannot be
    made is missing, and the page says why.

    Args:
        folder: gets them.
        tiles: those that are done.
        sources: names of the columns of the patterns.
        legend: of the classes.
        failures: tile_id and error of the others.
        command: how the soft labels were asked for.
        reliability: ``weights`` (source -> number), ``accuracy`` (source -> share) and ``confusion`` (source ->
            C x C shares, true class by vote), as far as they are known; None leaves the section out.
        fusion: how votes became P_soft; None gives each the same weight.
        quicklooks: how many tiles get a picture.

    Returns:
        The path of the page.

    Raises:
        OSError: a file cannot be written.
    """
    names = list(sources)
    fused = fusion or Fusion(len(legend.names))
    figures = [overview(tile.patterns, fused) for tile in tiles]
    ranked = [(tiles[place], figures[place]) for place in most_disputed(figures)]
    looks = _pictures(folder, ranked, legend, quicklooks)
    write_table(
        folder / TILES, _columns(names, legend), [_row(tile, own, names, legend) for tile, own in ranked]
    )
    page = SummaryPage(
        tiles=ranked,
        total=overview(PatternCounts.merged([tile.patterns for tile in tiles]), fused) if tiles else None,
        sources=names,
        legend=legend,
        looks=looks[:_MOST_THUMBNAILS],
        pictures={look.tile_id: look.file for look in looks if not look.trouble},
        failures=failures,
        command=command,
        reliability=reliability,
        table=TILES,
    )
    path = folder / SUMMARY
    write_text(path, render_summary(page))
    return path


def _pictures(
    output_dir: Path, ranked: Sequence[tuple[SummaryTile, Overview]], legend: Legend, most: int
) -> list[Look]:
    """Draw the first tiles."""
    folder, records = output_dir / QUICKLOOKS, output_dir / RECORDS / QUICKLOOKS
    remove_others(folder, records, [tile.tile_id for tile, _ in ranked[most:]])
    if ranked and most:
        folder.mkdir(parents=True, exist_ok=True)
    for made in (folder, records):
        if made.is_dir():
            remove_leftovers(made)

    def look(place: int) -> Look:
        tile, figures = ranked[place]
        path = folder / f"{tile.tile_id}.png"
        uri = trouble = ""
        try:
            files = (tile.image, tile.p_soft, tile.w_conf)
            update_quicklook(path, records / f"{tile.tile_id}.json", files, legend)
            uri = thumbnail_uri(path) if place < _MOST_THUMBNAILS else ""
        except CoteachError as error:
            path.unlink(missing_ok=True)
            trouble = str(error)
        link = quote(f"{QUICKLOOKS}/{path.name}")
        return Look(tile.tile_id, figures.spread.mean_entropy, link, uri, trouble)

    with ThreadPoolExecutor(_THREADS) as pool:  # decoding and encoding leave Python alone
        return list(pool.map(look, range(min(most, len(ranked)))))


def _columns(sources: Sequence[str], legend: Legend) -> list[str]:
    figures = ["pixels", "voted", "ties", "one_class_only", "mean_entropy", "no_embedding"]
    classes = [f"argmax_{code}" for code in range(len(legend.names))]
    return ["tile_id", *figures, *(f"coverage_{source}" for source in sources), *classes]


def _row(tile: SummaryTile, figures: Overview, sources: Sequence[str], legend: Legend) -> dict[str, str]:
    """Pixels as counts, the others as shares or nats; empty where there is nothing to have a share of."""
    spread = figures.spread
    counts = [str(count) for count in (spread.pixels, spread.voted, spread.ties, spread.united)]
    numbers = [
        spread.mean_entropy,
        math.nan if tile.no_embedding is None else tile.no_embedding,
        *figures.coverage.tolist(),
        *figures.by_argmax.tolist(),
    ]
    texts = ["" if math.isnan(number) else f"{number:.6g}" for number in numbers]
    return dict(zip(_columns(sources, legend), [tile.tile_id, *counts, *texts], strict=True))
