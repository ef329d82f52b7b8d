"""Options of the form ``COLUMN=VALUE``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coteach.errors import OptionError


def numbers_of(option: str, words: Sequence[str]) -> dict[str, float]:
    """Column -> number.

    Raises:
        OptionError: a word is of another form, a column is named twice, or its value is no number.
    """
    numbers = {}
    for column, value in _split(option, words, "2").items():
        try:
            numbers[column] = float(value)
        except ValueError:
            cause = f"{value!r}, the value of {column}, is no number"
            raise OptionError(option, cause, f"write {option} {column}=2") from None
    return numbers


def read_legends(words: Sequence[str], num_classes: int) -> dict[str, dict[int, int]]:
    """Column -> code -> class, of ``--legend COLUMN=CSV``.

    Raises:
        OptionError: a word is of another form, or a column is named twice.
        TableError: a legend is none.
    """
    from coteach.rasters.code_legend import read_code_legend

    tables = _split("--legend", words, "table.csv")
    return {column: read_code_legend(Path(path), num_classes) for column, path in tables.items()}


def _split(option: str, words: Sequence[str], example: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for word in words:
        column, equals, value = word.partition("=")
        if not (column and equals and value):
            raise OptionError(option, f"{word!r} is not COLUMN=VALUE", f"write {option} esa_path={example}")
        if column in values:
            raise OptionError(option, f"{column} is named twice", "name every column once")
        values[column] = value
    return values
