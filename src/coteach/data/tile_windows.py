"""Which parts of which tiles a data set shows: all of them, a grid of patches, or the windows of a table."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from coteach.errors import OptionError, TableError
from coteach.rasters.grid import Grid, Window
from coteach.rasters.patches import window_starts
from coteach.rasters.sources import Tile
from coteach.rasters.world_windows import world_window
from coteach.tables import Table, read_table

COORD_TYPES = ("image", "world")
_IMAGE_COLUMNS = ("row_off", "col_off", "patch_h", "patch_w")
_WORLD_COLUMNS = ("minx", "miny", "maxx", "maxy")

Size = tuple[int, int]


class TileWindow(NamedTuple):
    """A part of a tile.

    Args:
        tile: place of the tile among all.
        window: its part in pixels.
        cells: what the table of windows says of it, if there is one.
    """

    tile: int
    window: Window
    cells: Mapping[str, str]


def size_of(name: str, value: int | Sequence[int] | None) -> Size | None:
    """Height and width of what is given as one number or as two.

    Raises:
        OptionError: it is neither, or below 1.
    """
    if value is None:
        return None
    sides = [value, value] if isinstance(value, int) else list(value)
    if len(sides) != 2 or min(sides) < 1:
        remedy = "give height and width in pixels, as [256, 256]"
        raise OptionError(name, f"{value} is no size", remedy)
    return sides[0], sides[1]


def grid_windows(
    tiles: Sequence[Tile], shape_of: Callable[[Tile], Size], patch: Size | None, stride: Size | None
) -> list[TileWindow]:
    """Patches that cover the tiles, by tile and row; those at the lower and right edge are shifted inward.

    Args:
        tiles: in the order of the table.
        shape_of: rows and columns of a tile.
        patch: height and width; None is all of the tile.
        stride: pixels from one patch to the next, down and right; None is the patch's own size.

    Raises:
        OptionError: a tile is smaller than a patch, or there is a stride and no patch.
    """
    if patch is None and stride is not None:
        raise OptionError(
            "patch_stride", "has no meaning without patches", "give patch_size, or leave it out"
        )
    found = []
    for place, tile in enumerate(tiles):
        height, width = shape_of(tile)
        rows, cols = patch or (height, width)
        if rows > height or cols > width:
            cause = (
                f"{rows} x {cols} pixels do not fit into {tile.tile_id} ({tile.image}: {height} x {width})"
            )
            raise OptionError("patch_size", cause, "give a smaller one, or drop the row")
        down, right = stride or (rows, cols)
        corners = product(window_starts(height, rows, down), window_starts(width, cols, right))
        found += [TileWindow(place, Window(row, col, rows, cols), {}) for row, col in corners]
    return found


def listed_windows(
    windows_csv: str | os.PathLike[str],
    coord_type: str,
    tiles: Sequence[Tile],
    shape_of: Callable[[Tile], Size],
) -> list[TileWindow]:
    """The windows of a table, in its order.

    Args:
        windows_csv: ``tile_id,row_off,col_off,patch_h,patch_w`` in pixels, or, in world coordinates,
            ``tile_id,minx,miny,maxx,maxy`` and perhaps ``crs``, the tile's own where that is empty.
        coord_type: ``"image"`` or ``"world"``.
        tiles: those that may be named.
        shape_of: rows and columns of a tile.

    Raises:
        OptionError: there is no such type of coordinates.
        TableError: the table is missing or empty, lacks a column, names another tile, or leaves one.
    """
    if coord_type not in COORD_TYPES:
        remedy = f"choose {' or '.join(COORD_TYPES)}"
        raise OptionError("windows_coord_type", f"there is no {coord_type!r}", remedy)
    table = read_table(windows_csv)
    table.require("tile_id", *(_IMAGE_COLUMNS if coord_type == "image" else _WORLD_COLUMNS))
    if not table.rows:
        raise TableError(str(table.path), "has no rows", "add a row for each window")
    places = {tile.tile_id: place for place, tile in enumerate(tiles)}
    grids: dict[int, Grid] = {}
    found = []
    for index, cells in enumerate(table.rows):
        named = table.text(index, "tile_id")
        if named not in places:
            cause = f"there is no tile {named!r} in the table of sources"
            raise TableError(table.where(index), cause, "correct the tile_id, or drop the row")
        place = places[named]
        if coord_type == "image":
            window = _image_window(table, index, shape_of(tiles[place]))
        else:
            if place not in grids:
                grids[place] = Grid.of(tiles[place].image)
            bounds = tuple(_number(table, index, column) for column in _WORLD_COLUMNS)
            crs = cells.get("crs", "").strip() or None
            window = world_window(grids[place], bounds, crs, table.where(index))  # type: ignore[arg-type]
        found.append(TileWindow(place, window, cells))
    return found


def _image_window(table: Table, index: int, shape: Size) -> Window:
    row_off, col_off = (table.integer(index, column) for column in _IMAGE_COLUMNS[:2])
    height, width = (table.integer(index, column, minimum=1) for column in _IMAGE_COLUMNS[2:])
    if row_off + height > shape[0] or col_off + width > shape[1]:
        part = f"rows {row_off} to {row_off + height} and columns {col_off} to {col_off + width}"
        cause = f"the window of {part} leaves the tile of {shape[0]} x {shape[1]} pixels"
        raise TableError(table.where(index), cause, "correct the window")
    return Window(row_off, col_off, height, width)


def _number(table: Table, index: int, column: str) -> float:
    text = table.text(index, column)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise TableError(table.where(index), f"{column} is {text!r}", "give a number")
    return number
