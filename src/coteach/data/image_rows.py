"""Rows of a table of images: what is wrong with them, and the classes that their labels name."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping

from coteach.data.image_labels import NO_LABEL
from coteach.data.image_set import OnError
from coteach.errors import CoteachWarning, TableError
from coteach.tables import Table

_MOST_CLASSES = 2**31
_DECIMALS = re.compile(r"(-?\d+)\.0+")  # pandas writes 1.0 where another cell is empty
_SHOWN = 5  # lines that a message names
_LISTED = 20  # classes that a message names


def refuse_names(table: Table, label_key: str) -> None:
    """Refuse labels that are names where no names are known: once, with a list to copy, not row by row.

    Raises:
        TableError: all labels are texts that are no numbers.
    """
    names = sorted({row[label_key].strip() for row in table.rows} - {""})
    if not names or any(_is_number(name) for name in names):
        return
    listed = ", ".join(names[:_LISTED]) + (
        f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    )
    cause = f"the labels in {label_key!r} are names"
    raise TableError(str(table.path), cause, f"give the same class_names to each data set: [{listed}]")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def row_fault(
    row: Mapping[str, str],
    path_key: str,
    label_key: str,
    weight_key: str | None,
    codes: Mapping[str, int],
) -> str:
    """What is wrong with a row; empty if nothing is."""
    if not row[path_key].strip():
        return f"{path_key} is empty"
    if fault := label_fault(label_key, row[label_key], codes):
        return fault
    if weight_key is not None:
        try:
            weight = float(row[weight_key])
        except ValueError:
            weight = -1.0
        if not 0 <= weight <= 1:
            return f"{weight_key} {row[weight_key]!r} is not in [0, 1]"
    return ""


def label_fault(key: str, cell: str, codes: Mapping[str, int]) -> str:
    """What is wrong with a label; empty if nothing is."""
    try:
        code = label_code(cell, codes)
    except ValueError:
        if codes:
            return f"{key} {cell!r} is none of {', '.join(codes)}"
        return f"{key} {cell!r} is no integer (names need class_names of this data set)"
    if not NO_LABEL <= code < (len(codes) or _MOST_CLASSES):
        return f"{key} {code} is not one of 0 to {len(codes) - 1}" if codes else f"{key} is {code}"
    return ""


def label_code(cell: str, codes: Mapping[str, int]) -> int:
    """The class that a cell names.

    Raises:
        ValueError: it names none.
    """
    text = cell.strip()
    if not text:
        return NO_LABEL
    found = _DECIMALS.fullmatch(text)  # of names that are numbers, too
    whole = found[1] if found else text
    known = codes.get(text, codes.get(whole))
    return int(whole) if known is None else known


def tell_of_rows(
    table: Table,
    bad: Mapping[int, str],
    on_error: OnError,
    remedy: str = "correct them, or set on_error: skip",
) -> None:
    """Say which rows cannot be read, if there are any.

    Args:
        table: whose rows they are.
        bad: line -> what is wrong with it.
        on_error: ``raise``, or ``skip``: warn.
        remedy: what to do, of an error.

    Raises:
        TableError: there are some, and ``on_error`` is ``raise``; the first five are named.
    """
    if not bad:
        return
    lines = [f"line {line}: {bad[line]}" for line in sorted(bad)[:_SHOWN]]
    more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    cause = f"{len(bad)} of {len(table.rows) + _too_short(table, bad)} rows cannot be read ({'; '.join(lines)}{more})"
    if on_error == "raise":
        raise TableError(str(table.path), cause, remedy)
    warnings.warn(f"{table.path}: {cause}; they are left out", CoteachWarning, stacklevel=4)


def _too_short(table: Table, bad: Mapping[int, str]) -> int:
    """How many of the bad rows the table leaves out: those of too many or too few cells."""
    return len(set(bad) - set(table.lines))
