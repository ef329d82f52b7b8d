"""CSV tables as every data set and split reads and writes them.

Cells stay text. A relative path in a cell is relative to the table's own folder; if nothing lies there, to
the working directory.
"""

from __future__ import annotations

import csv
import difflib
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coteach.errors import TableError
from coteach.files import whole_file, write_text

_PATH_SUFFIX = "_path"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a header.

    Args:
        path: where it was read from.
        columns: the header, in order.
        rows: one dict a row, column -> text.
        lines: for each row the line of the file that it ends in, from 1.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[dict[str, str]]
    lines: tuple[int, ...] = ()

    def require(self, *columns: str) -> None:
        """Check that columns are there.

        Raises:
            TableError: some are missing; the message names them all, and of each the nearest one that is there.
        """
        missing = [column for column in columns if column not in self.columns]
        if missing:
            _refuse_other_separator(self.path, self.columns)
            raise TableError(
                str(self.path),
                f"no column {', no column '.join(map(self._guessed, missing))}; "
                f"its columns are {', '.join(self.columns)}",
                "add the column, or name the one to use",
            )

    def _guessed(self, column: str) -> str:
        """A missing column, and which one may be meant."""
        near = difflib.get_close_matches(column, self.columns, n=1)
        return f"{column!r} (is it {near[0]!r}?)" if near else repr(column)

    def where(self, index: int) -> str:
        """How an error message names row ``index`` (from 0): file, row number from 1, tile."""
        tile = self.rows[index].get("tile_id", "")
        return f"{self.path}, row {index + 1}" + (f" ({tile})" if tile else "")

    def text(self, index: int, column: str) -> str:
        """The cell of a row, never empty.

        Raises:
            TableError: it is empty.
        """
        value = self.rows[index][column].strip()
        if not value:
            raise TableError(self.where(index), f"{column} is empty", "fill the cell or drop the row")
        return value

    def integer(self, index: int, column: str, minimum: int = 0) -> int:
        """The cell of a row as an integer of at least ``minimum``.

        Raises:
            TableError: it is none, or smaller.
        """
        value = self.text(index, column)
        try:
            number = int(value)
        except ValueError:
            number = minimum - 1
        if number < minimum:
            remedy = f"give an integer of at least {minimum}"
            raise TableError(self.where(index), f"{column} is {value!r}", remedy)
        return number

    def located(self, cell: str) -> Path:
        """Where the file that a cell names lies: beside the table, else in the working directory."""
        beside = self.path.parent / cell
        return Path(cell) if not _exists(beside) and _exists(Path(cell)) else beside

    def row_for(self, index: int, folder: Path) -> dict[str, str]:
        """A copy of a row for a table in another folder: relative ``*_path`` cells still lead to their files."""
        row = dict(self.rows[index])
        for column, cell in row.items():
            if column.endswith(_PATH_SUFFIX) and cell and not Path(cell).is_absolute():
                row[column] = path_from(folder, self.located(cell))
        return row


def _refuse_other_separator(file: Path, columns: Sequence[str]) -> None:
    """Refuse a table whose only column looks like several.

    Raises:
        TableError: its name holds a semicolon or a tab.
    """
    for separator, shown in ((";", "';'"), ("\t", "tabs")):
        if len(columns) == 1 and separator in columns[0]:
            raise TableError(str(file), f"its columns are separated by {shown}", "separate them by commas")


def _exists(file: Path) -> bool:
    """Whether a file is there; a name that no file can have is none."""
    try:
        return file.exists()
    except OSError:
        return False


def path_from(folder: Path, file: Path) -> str:
    """How a table in ``folder`` writes the path of ``file``: relative, with forward slashes.

    Folders are resolved first: ``..`` behind a symbolic link leads elsewhere than it reads.
    """
    target = file.parent.resolve() / file.name
    try:
        return Path(os.path.relpath(target, folder.resolve())).as_posix()
    except ValueError:  # another drive
        return str(target)


def read_table(path: str | os.PathLike[str], bad_rows: dict[int, str] | None = None) -> Table:
    """Read a CSV file with a header, in UTF-8.

    Args:
        path: the file.
        bad_rows: gets line -> what is wrong with it, for rows with too many or too few cells, which are then left out;
            None makes the first of them an error.

    Raises:
        TableError: the file is missing, empty, no text, has a column twice, or a row with too many or too few cells.
    """
    file = Path(path)
    lines = _parsed(file)
    if not lines or not any(lines[0][0]):
        raise TableError(str(file), "is empty", "give a CSV file with a header and at least one row")
    columns = tuple(name.strip() for name in lines[0][0])
    if len(set(columns)) < len(columns):
        twice = Counter(columns).most_common(1)[0][0]
        raise TableError(str(file), f"has the column {twice!r} twice", "rename one of them")
    cells = [(line, ends) for line, ends in lines[1:] if line]
    for number, (line, ends) in enumerate(cells, start=1):
        if len(line) != len(columns):
            cause = f"has {len(line)} cells where the header has {len(columns)} columns"
            if bad_rows is None:
                _refuse_other_separator(file, columns)
                remedy = "quote cells that hold commas, or fill the row"
                raise TableError(f"{file}, row {number}", cause, remedy)
            bad_rows[ends] = cause
    whole = [(line, ends) for line, ends in cells if len(line) == len(columns)]
    rows = [dict(zip(columns, line, strict=True)) for line, _ in whole]
    return Table(file, columns, rows, tuple(ends for _, ends in whole))


def _parsed(file: Path) -> list[tuple[list[str], int]]:
    """The cells of each row, and the line that it ends in.

    Raises:
        TableError: the file is missing or no text, its columns are separated by another mark, or a quote is not closed;
            the message names the line.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise TableError(str(file), "does not exist", "give the path of a CSV file") from None
    except OSError as error:
        raise TableError(str(file), f"cannot be read ({error})", "give a CSV file in UTF-8") from error
    lines: list[tuple[list[str], int]] = []
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        lines.extend((line, reader.line_num) for line in reader)
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        cause = f"line {number} cannot be read ({error.reason})"
        raise TableError(str(file), cause, "give a CSV file in UTF-8") from error
    except csv.Error as error:
        header = content.decode("utf-8-sig").partition("\n")[0]
        if "," not in header:  # quotes that end before a semicolon are no error of their own
            _refuse_other_separator(file, (header,))
        begins = lines[-1][1] + 1 if lines else 1
        cause = f"the row that begins in line {begins} cannot be read ({error})"
        raise TableError(str(file), cause, "close its quotes") from error
    return lines


@contextmanager
def table_writer(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Sequence[str]], object]]:
    """A CSV file to be written row by row; it gets its name when the block ends without an error.

    Args:
        path: the file; its folder exists. An old one is there until the new one is complete.
        columns: the header.

    Yields:
        What to call with the cells of a row.
    """
    with (
        whole_file(path) as partial,
        # names of files need be no text: one such cell is no reason to lose the others
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        yield writer.writerow


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """Write a CSV file whole or not at all."""
    write_text(path, table_text(columns, rows))


def table_text(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    """What :func:`write_table` writes."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
