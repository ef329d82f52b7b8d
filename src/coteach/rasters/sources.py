"""The rows of a sources table: which rasters make up each tile."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from coteach.errors import TableError
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

    def absolute(self) -> Tile:
        """The same for a process with another working directory."""
        sources = {key: path.absolute() for key, path in self.sources.items()}
        return Tile(self.tile_id, self.image.absolute(), sources)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that names no tile.

    Args:
        tile_id: as the table has it; may be empty.
        error: what is wrong with it.
    """

    tile_id: str
    error: str


class Fault(NamedTuple):
    """What is wrong with a row, whatever its files hold.

    Args:
        column: where; empty if it is not one cell.
        error: what is wrong.
    """

    column: str
    error: TableError


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was read, with all that is wrong with it.

    Args:
        number: from 1.
        tile_id: as the table has it, else the image's name; empty if there is neither.
        image: the reference grid; None if the cell is empty.
        sources: as in :class:`Tile`.
        faults: empty if the row names a tile.
    """

    number: int
    tile_id: str
    image: Path | None
    sources: dict[str, Path]
    faults: tuple[Fault, ...]

    def tile(self) -> Tile | BadRow:
        """The tile that the row names, or the first thing that is wrong with it."""
        if self.image is None or self.faults:
            return BadRow(self.tile_id, str(self.faults[0].error))
        return Tile(self.tile_id, self.image, self.sources)


def read_rows(table: Table, image_key: str, source_keys: Sequence[str]) -> list[Row]:
    """Every row, in order; its files are not looked at.

    Args:
        table: has these columns.
        image_key: column of the image.
        source_keys: columns of the label maps.

    Raises:
        TableError: a column is missing, or there are no rows.
    """
    table.require(image_key, *source_keys)
    if not table.rows:
        raise no_rows(table)
    used: dict[str, int] = {}
    return [_read_row(table, index, image_key, source_keys, used) for index in range(len(table.rows))]


def no_rows(table: Table) -> TableError:
    """The error of a table that is nothing but its header."""
    return TableError(str(table.path), "has no rows", "add a row for each tile")


def unused_columns(table: Table, image_key: str, source_keys: Sequence[str]) -> list[str]:
    """Columns that look like rasters and do not vote."""
    known = {image_key, *source_keys}
    return [name for name in table.columns if name.endswith("_path") and name not in known]


def _read_row(
    table: Table, index: int, image_key: str, source_keys: Sequence[str], used: dict[str, int]
) -> Row:
    """A row; notes its id in ``used``, id -> row number."""
    faults = []
    image = None
    try:
        image = table.located(table.text(index, image_key))
    except TableError as error:
        faults.append(Fault(image_key, error))
    try:
        tile_id = _tile_id(table, index, image, used)
    except TableError as error:
        tile_id = table.rows[index].get("tile_id", "").strip()
        faults.append(Fault("tile_id" if "tile_id" in table.columns else image_key, error))
    cells = {key: table.rows[index][key].strip() for key in source_keys}
    sources = {key: table.located(cell) for key, cell in cells.items() if cell}
    if not sources:
        cause = f"all of its sources ({', '.join(source_keys)}) are empty"
        remedy = "fill one of them, or drop the row"
        faults.append(Fault("", TableError(table.where(index), cause, remedy)))
    return Row(index + 1, tile_id, image, sources, tuple(faults))


def _tile_id(table: Table, index: int, image: Path | None, used: dict[str, int]) -> str:
    """An id that can name files and that no earlier row has; empty if it is the image's name and there is none."""
    if "tile_id" in table.columns:
        tile_id = table.text(index, "tile_id")
    elif image is not None:
        tile_id = image.stem
    else:
        return ""
    check_tile_id(tile_id, table.where(index))
    # files of tiles A and a are the same file on many computers
    earlier = used.setdefault(tile_id.casefold(), index + 1)
    if earlier != index + 1:
        cause = f"tile_id {tile_id!r} is that of row {earlier} already"
        raise TableError(table.where(index), cause, "give every tile an id of its own")
    return tile_id


def check_tile_id(tile_id: str, where: str) -> None:
    """Refuse an id that cannot name files.

    Args:
        tile_id: the id.
        where: who has it, for the error.

    Raises:
        TableError: it climbs, hides, holds a character that some file system refuses, or is too long.
    """
    if _BAD_ID.search(tile_id) or len(tile_id.encode()) > _LONGEST_ID:
        cause = f"tile_id {tile_id!r} cannot be the name of a file"
        remedy = "give letters, digits, _, - or . within; no folders (column tile_id, else the image's name)"
        raise TableError(where, cause, remedy)
