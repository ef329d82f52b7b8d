"""The tables of an audit of sources: figures by source, by map, and all of them as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coteach.files import write_json
from coteach.rasters.error_maps import error_map_paths, source_name
from coteach.rasters.failures import FAILURES, write_failures
from coteach.rasters.sources import Tile
from coteach.tables import path_from, write_table
from coteach.training.source_audit import SourceAudit
from coteach.training.source_errors import ErrorCounts

SOURCES = "source_errors.csv"
MAPS = "source_maps.csv"
SUMMARY = "audit.json"
_FIGURES = ("pixels", "error_rate", "judged_wrong")


def totals(found: SourceAudit, keys: Sequence[str]) -> dict[str, ErrorCounts]:
    """Column -> figures of all tiles together, of the sources that have a map."""
    by_key = {key: [counts[key] for counts in found.counts.values() if key in counts] for key in keys}
    return {key: ErrorCounts.total(own) for key, own in by_key.items() if own}


def write_source_tables(
    folder: Path, tiles: Sequence[Tile], found: SourceAudit, keys: Sequence[str], names: Sequence[str]
) -> None:
    """Write ``source_errors.csv``, ``source_maps.csv``, ``audit.json`` and, if something failed, ``failures.csv``.

    Args:
        folder: of the maps.
        tiles: of the sources table.
        found: the figures.
        keys: columns of the sources.
        names: of the classes.

    Raises:
        OSError: a file cannot be written.
    """
    whole = totals(found, keys)
    rows = [{"source": source_name(key), **_figures(counts)} for key, counts in whole.items()]
    write_table(folder / SOURCES, ("source", *_FIGURES), rows)
    maps = [
        {
            "tile_id": tile.tile_id,
            "source": source_name(key),
            "map_path": path_from(folder, path),
            **_figures(found.counts[tile.tile_id][key]),
        }
        for tile in tiles
        if tile.tile_id in found.counts
        for key, path in error_map_paths(folder, tile).items()
    ]
    write_table(folder / MAPS, ("tile_id", "source", "map_path", *_FIGURES), maps)
    write_json(folder / SUMMARY, _summary(whole, found, names))
    write_failures(folder / FAILURES, found.failures)


def _summary(whole: Mapping[str, ErrorCounts], found: SourceAudit, names: Sequence[str]) -> dict[str, Any]:
    """Plain numbers and lists; null for what is not known of a source that says nothing."""
    sources = {}
    for key, counts in whole.items():
        estimate = found.estimates.get(key)
        sources[source_name(key)] = {
            "pixels": counts.pixels,
            "error_rate": counts.error_rate if counts.pixels else None,
            "judged_wrong": counts.judged_wrong if counts.pixels else None,
            "transition": None if estimate is None else estimate.transition.tolist(),
            "true_by_given": counts.joint.tolist(),
            "unknown_codes": found.unknown.get(key, {}),
        }
    return {"classes": list(names), "tiles": len(found.counts), "sources": sources}


def _figures(counts: ErrorCounts) -> dict[str, str]:
    shares = (counts.error_rate, counts.judged_wrong) if counts.pixels else ()
    texts = [f"{share:.6f}" for share in shares] or ["", ""]
    return dict(zip(_FIGURES, (str(counts.pixels), *texts), strict=True))
