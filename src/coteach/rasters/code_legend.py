"""A source's legend as a table: which of its codes is which class."""

from __future__ import annotations

from pathlib import Path

from coteach.errors import TableError
from coteach.labels.votes import NO_VOTE
from coteach.tables import read_table

_CODE, _CLASS, _IGNORE = "code", "class", "ignore"


def read_code_legend(path: Path, num_classes: int) -> dict[int, int]:
    """Code -> class.

    Args:
        path: a CSV with the columns ``code``, an integer, and ``class``, 0 to C - 1, or ``ignore`` for a code that does
            not vote.
        num_classes: C.

    Returns:
        A class, or :data:`~coteach.labels.votes.NO_VOTE`, for each code.

    Raises:
        TableError: the table is missing or empty, a cell is no such number, or a code is there twice.
    """
    table = read_table(path)
    table.require(_CODE, _CLASS)
    if not table.rows:
        raise TableError(
            str(path), "has no rows", f"add a row '{_CODE},{_CLASS}' for each code of the source"
        )
    legend: dict[int, int] = {}
    for index in range(len(table.rows)):
        code = table.integer(index, _CODE, minimum=-(2**31))
        if code in legend:
            raise TableError(table.where(index), f"code {code} is there already", "give every code one class")
        if table.text(index, _CLASS).lower() == _IGNORE:
            legend[code] = NO_VOTE
            continue
        legend[code] = table.integer(index, _CLASS)
        if legend[code] >= num_classes:
            cause = f"class {legend[code]} is none of the {num_classes} classes, 0 to {num_classes - 1}"
            raise TableError(table.where(index), cause, f"correct it, or write {_IGNORE}")
    return legend
