"""Parquet files here or on the web, of which only some columns of some row groups are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from coteach.errors import MissingExtraError, TableError
from coteach.rasters.aef.http_file import HttpFile
from coteach.rasters.aef.retry import Retry, is_url

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ImportError:
    raise MissingExtraError("pyarrow", "is not installed", "pip install 'coteach[embeddings]'") from None


class ParquetFile:
    """An open Parquet file; leave it by the end of a ``with`` block.

    Args:
        place: path or URL.
        retry: how often a request is tried.

    Attributes:
        columns: names of all columns; those within a struct as ``bbox.xmin``.
        groups: how many row groups it has.

    Raises:
        TableError: it does not exist, or is no Parquet file.
        DataUnavailableError: the server does not give it.
    """

    def __init__(self, place: str, retry: Retry) -> None:
        self.place = place
        if not is_url(place) and not Path(place).is_file():
            raise TableError(place, "does not exist", "give the path or address of a Parquet file")
        try:
            self._file = pq.ParquetFile(HttpFile(place, retry) if is_url(place) else place)
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error
        schema = self._file.metadata.schema
        leaves = [schema.column(number).path for number in range(len(schema))]
        # a list's path ends with how its items are kept
        self.columns = tuple(dict.fromkeys(leaf.split(".list.")[0] for leaf in leaves))
        self.groups: int = self._file.metadata.num_row_groups

    def __enter__(self) -> ParquetFile:  # noqa: PYI034 -- the shape checks know no Self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def require(self, columns: Sequence[str], remedy: str) -> None:
        """Check that columns are there.

        Raises:
            TableError: some are missing; the message lists those that there are.
        """
        missing = [column for column in columns if column not in self.columns]
        if missing:
            cause = f"no column {', '.join(map(repr, missing))}; its columns are {', '.join(self.columns)}"
            raise TableError(self.place, cause, remedy)

    def read(self, group: int, columns: Sequence[str]) -> dict[str, Any]:
        """Columns of one row group: name -> Arrow array.

        Raises:
            TableError: the file is damaged.
            DataUnavailableError: the server does not give this part.
        """
        try:
            table = self._file.read_row_group(group, columns=list(columns), use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error
        while any(pa.types.is_struct(field.type) for field in table.schema):
            table = table.flatten()
        return {column: table.column(column).combine_chunks() for column in columns}

    def _unreadable(self, error: Exception) -> TableError:
        return TableError(self.place, f"cannot be read ({error})", "give a Parquet file that is whole")


def as_floats(column: Any) -> Float64[np.ndarray, " n"]:
    """An Arrow array of numbers; NaN for nothing."""
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def as_years(columns: Sequence[Any]) -> Int64[np.ndarray, " n"]:
    """The years of Arrow arrays of dates, of text that begins with a year, or of numbers.

    Args:
        columns: where the first has nothing, the second counts, and so on.

    Returns:
        ``(n,)``; -1 where none of them has anything.
    """
    years: Any = None
    for values in columns:
        if pa.types.is_temporal(values.type):
            found = pc.year(values)
        elif pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            found = pc.utf8_slice_codeunits(values, 0, 4)
        else:
            found = values
        found = pc.cast(found, pa.int64())
        years = found if years is None else pc.coalesce(years, found)
    return np.asarray(pc.fill_null(years, -1).to_numpy(zero_copy_only=False), np.int64)
