"""A table of windows of masks: which of all windows a data set is to show."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from coteach.errors import TableError
from coteach.tables import Table, read_table

_COLUMNS = ("mask_path", "row_off", "col_off")
_SIZES = (("patch_h", "patch_w"), ("height", "width"))  # what the size may be called; it need not be there

Offsets = tuple[tuple[int, int], ...]


def listed_offsets(
    windows_csv: str | os.PathLike[str], masks: Sequence[Path], patch_size: tuple[int, int]
) -> dict[int, Offsets]:
    """The windows of a table, by mask.

    Args:
        windows_csv: ``mask_path,row_off,col_off`` in pixels of the mask, and perhaps ``patch_h,patch_w`` or
            ``height,width``.
        masks: that it may name, by path or, where no two are called alike, by the name of the file.
        patch_size: height and width of each window.

    Returns:
        Place in ``masks`` -> first row and column of each window, in the table's order.

    Raises:
        TableError: the table is missing or empty, lacks a column, names another mask, or has windows of another size.
    """
    table = read_table(windows_csv)
    table.require(*_COLUMNS)
    if not table.rows:
        raise TableError(str(table.path), "has no rows", "add a row for each window")
    sizes = next((names for names in _SIZES if set(names) <= set(table.columns)), ())
    places = {mask.resolve(): place for place, mask in enumerate(masks)}
    names = [mask.name for mask in masks]
    found: dict[int, list[tuple[int, int]]] = {}
    for index in range(len(table.rows)):
        size = tuple(table.integer(index, name, minimum=1) for name in sizes)
        if size and size != patch_size:
            cause = f"a window of {size[0]} x {size[1]}, patch_size is {patch_size[0]} x {patch_size[1]}"
            raise TableError(table.where(index), cause, "make them agree")
        cell = table.text(index, "mask_path")
        place = places.get(table.located(cell).resolve())
        if place is None and names.count(Path(cell).name) == 1:
            place = names.index(Path(cell).name)
        if place is None:
            raise _unknown(table, index, cell)
        offset = table.integer(index, "row_off"), table.integer(index, "col_off")
        found.setdefault(place, []).append(offset)
    return {place: tuple(offsets) for place, offsets in sorted(found.items())}


def _unknown(table: Table, index: int, cell: str) -> TableError:
    remedy = "correct it, or add it to mask_dir or mask_paths"
    return TableError(table.where(index), f"{cell} is none of the masks", remedy)
