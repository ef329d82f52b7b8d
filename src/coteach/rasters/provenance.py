"""Which label maps a soft label was made of, as its build has recorded it."""

from __future__ import annotations

import json
from pathlib import Path

from coteach.rasters.tile_files import RECORDS


def recorded_sources(p_soft: Path) -> dict[str, Path]:
    """The sources of a tile, in the order in which they voted.

    Args:
        p_soft: the P_soft file that ``coteach build-soft-labels`` wrote; its folder may have been moved.

    Returns:
        Column of the sources table -> label map; empty if there is no record of it.
    """
    record = p_soft.parent.parent / RECORDS / f"{p_soft.stem}.json"
    try:
        sources = json.loads(record.read_text(encoding="utf-8"))["made_of"]["sources"]
        return {str(column): Path(path) for column, path in sources.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
