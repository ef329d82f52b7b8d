"""A source's legend as a table: which of its codes is which class."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from pathlib import Path

from coteach.errors import OptionError, TableError
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


def check_legend(column: str, legend: Mapping[int, int], num_classes: int) -> None:
    """Refuse a legend that does not lead from integers to classes.

    Args:
        column: whose legend it is.
        legend: code -> class, or :data:`~coteach.labels.votes.NO_VOTE`.
        num_classes: C.

    Raises:
        OptionError: it is empty, a code or class is no integer, or a class is not one of the C.
    """
    thing = f"the legend of {column!r}"
    if not legend:
        raise OptionError(thing, "is empty", "name each code of the source, or leave the legend out")
    for code, meant in legend.items():
        if not (_is_integer(code) and _is_integer(meant)):
            cause = f"has {code!r}: {meant!r}, which is no pair of integers"
            raise OptionError(thing, cause, "give code: class, both without quotes")
        if not NO_VOTE <= meant < num_classes:
            cause = f"has the class {meant} for code {code}, but classes are 0 to {num_classes - 1}"
            raise OptionError(thing, cause, f"correct it, or give {NO_VOTE} for a code that does not vote")


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
