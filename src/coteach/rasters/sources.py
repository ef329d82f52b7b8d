"""The rows of a sources table: which rasters make up each tile."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from coteach.errors import TableError
from coteach.rasters.options import BuildOptions
from coteach.tables import Table

# what some file system refuses in a file's name, or takes for a folder or a hidden file
_BAD_ID = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]|^\.|\.$')
_LONGEST_ID = 200  # bytes; file systems allow 255, endings and temporary names need some


@dataclass(frozen=True, slots=True)
class Tile:
    """What one row says.

    Args:
        tile_id: names the tile's files; unique.
        image: the reference grid.
        sources: column -> label map, in the order of the columns asked for; absent ones are left out.
    """

    tile_id: str
    image: Path
    sources: dict[str, Path]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that names no tile.

    Args:
        tile_id: as the table has it; may be empty.
        error: what is wrong with it.
    """

    tile_id: str
    error: str


def read_tiles(table: Table, options: BuildOptions) -> list[Tile | BadRow]:
    """The tile of every row, in order.

    Raises:
        TableError: a column is missing, or there are no rows.
    """
    table.require(options.image_key, *options.source_keys)
    if not table.rows:
        raise TableError(str(table.path), "has no rows", "add a row for each tile")
    used: dict[str, int] = {}
    rows: list[Tile | BadRow] = []
    for index in range(len(table.rows)):
        try:
            rows.append(_read_tile(table, index, options, used))
        except TableError as error:
            rows.append(BadRow(table.rows[index].get("tile_id", "").strip(), str(error)))
    return rows


def unused_columns(table: Table, options: BuildOptions) -> list[str]:
    """Columns that look like rasters and do not vote."""
    known = {options.image_key, *options.source_keys}
    return [name for name in table.columns if name.endswith("_path") and name not in known]


def _read_tile(table: Table, index: int, options: BuildOptions, used: dict[str, int]) -> Tile:
    """The tile of a row; notes its id in ``used``, id -> row number."""
    image = table.located(table.text(index, options.image_key))
    tile_id = table.text(index, "tile_id") if "tile_id" in table.columns else image.stem
    _check_id(tile_id, table.where(index))
    # files of tiles A and a are the same file on many computers
    earlier = used.setdefault(tile_id.casefold(), index + 1)
    if earlier != index + 1:
        cause = f"tile_id {tile_id!r} is that of row {earlier} already"
        raise TableError(table.where(index), cause, "give every tile an id of its own")
    cells = {key: table.rows[index][key].strip() for key in options.source_keys}
    sources = {key: table.located(cell) for key, cell in cells.items() if cell}
    if not sources:
        cause = f"all of its sources ({', '.join(options.source_keys)}) are empty"
        raise TableError(table.where(index), cause, "fill one of them, or drop the row")
    return Tile(tile_id, image, sources)


def _check_id(tile_id: str, where: str) -> None:
    if _BAD_ID.search(tile_id) or len(tile_id.encode()) > _LONGEST_ID:
        cause = f"tile_id {tile_id!r} cannot be the name of a file"
        remedy = "give letters, digits, _, - or . within; no folders (column tile_id, else the image's name)"
        raise TableError(where, cause, remedy)
