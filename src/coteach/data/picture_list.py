"""Which pictures are meant: files, folders of pictures, or tables that name pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from coteach.data.image_files import ENDINGS
from coteach.data.image_folder import pictures_in
from coteach.errors import OptionError, TableError
from coteach.tables import read_table

_ARRAYS = (".npy", ".npz")


def find_pictures(sources: Sequence[Path], path_key: str = "path") -> list[Path]:
    """The pictures that are meant; whether they can be read is seen later.

    Args:
        sources: a picture; a folder, for all pictures in it and below it, sorted by name; or a ``.csv``, for those of
            its rows.
        path_key: column of tables with the picture's path.

    Returns:
        At least one of each, in the order of ``sources``. A picture that is meant twice is there twice.

    Raises:
        OptionError: a source does not exist or is an array, or a folder holds no picture.
        TableError: a table is missing the column, a path or all rows.
    """
    return [picture for source in sources for picture in _pictures_of(source, path_key)]


def _pictures_of(source: Path, path_key: str) -> Iterator[Path]:
    if source.is_dir():
        found = pictures_in(source)
        if not found:
            cause = f"holds no picture ({' '.join(ENDINGS)}), its folders neither"
            raise OptionError(str(source), cause, "give a folder of pictures, or the pictures")
        yield from found
    elif source.suffix.lower() == ".csv":
        yield from _pictures_of_table(source, path_key)
    elif source.suffix.lower() in _ARRAYS:
        cause = "holds arrays, which have no files of their own to be named"
        raise OptionError(str(source), cause, "give pictures; coteach evaluate takes a data set of arrays")
    elif source.is_file():
        yield source
    else:
        raise OptionError(str(source), "does not exist", "give a picture, a folder of pictures or a CSV")


def _pictures_of_table(source: Path, path_key: str) -> Iterator[Path]:
    table = read_table(source)
    table.require(path_key)
    if not table.rows:
        raise TableError(str(source), "has no rows", "add a row for each picture")
    for index in range(len(table.rows)):
        yield table.located(table.text(index, path_key))
