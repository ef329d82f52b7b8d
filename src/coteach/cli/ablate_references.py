"""What the runs of an ablation are measured against."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from coteach.cli.ablate_sources import Sources
from coteach.cli.reference_codes import check_reference_codes
from coteach.labels.votes import NO_VOTE
from coteach.rasters.codes import read_codes
from coteach.rasters.grid import Grid
from coteach.rasters.sources import Tile, read_rows
from coteach.rasters.write import write_raster
from coteach.tables import Table, read_table

_FOLDER = "references"


def _listed(table: Table, sources: Sources) -> dict[str, Path]:
    """Tile -> the map that it is measured against.

    Raises:
        TableError: the column is missing, or a cell of it is empty.
    """
    table.require(sources.reference_key)
    found = {}
    rows = read_rows(table, sources.image_key, sources.voting)
    for index, row in enumerate(rows):
        found[row.tile_id] = table.located(table.text(index, sources.reference_key))
    return found


def check_references(table: Table, sources: Sources) -> None:
    """Read all references, lest a training of hours is lost for one of them.

    Raises:
        TableError: the column is missing, or a cell of it is empty.
        RasterError: a reference is missing or damaged, does not overlap its image, or holds codes that nobody explains.
    """
    found = _listed(table, sources)
    legend = sources.legends.get(sources.reference_key)
    unknown: Counter[int] = Counter()
    for row in read_rows(table, sources.image_key, sources.voting):
        tile = row.tile()
        if isinstance(tile, Tile):
            grid = Grid.of(tile.image)
            read_codes(found[tile.tile_id], grid, sources.num_classes, legend=legend, unknown=unknown)
    check_reference_codes(
        f"reference {sources.reference_key!r}", unknown, sources.num_classes, sources.ignore_codes
    )


def references(sources: Sources, folder: Path) -> dict[str, Path]:
    """Tile -> the map that it is measured against, in classes: the table's own, or what its legend makes of it.

    Args:
        sources: of the ablation.
        folder: gets the latter, on the images' grids.

    Raises:
        CoteachError: a reference cannot be read, or not be written.
    """
    table = read_table(sources.table)
    found = _listed(table, sources)
    legend = sources.legends.get(sources.reference_key)
    if legend is None:
        return found
    for row in read_rows(table, sources.image_key, sources.voting):
        tile = row.tile()
        if isinstance(tile, Tile):
            grid = Grid.of(tile.image)
            codes = read_codes(found[tile.tile_id], grid, sources.num_classes, legend=legend)
            found[tile.tile_id] = folder / _FOLDER / f"{tile.tile_id}.tif"
            write_raster(found[tile.tile_id], codes, grid, nodata=NO_VOTE)
    return found
