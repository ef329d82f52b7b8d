"""The rows of a table of tiles whose embeddings are wanted."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from coteach.errors import TableError
from coteach.rasters.aef.retry import is_url
from coteach.rasters.sources import BadRow, check_tile_id, no_rows
from coteach.tables import Table

FIRST_YEAR = 2017  # of the data set

# a year that stands alone, or begins a date as in 20250625 and 20250625T101559
_YEAR = re.compile(r"(?<!\d)(20\d\d)(?=(?:\d{2}|\d{4}|\d{8}|\d{10})?(?!\d))")


@dataclass(frozen=True, slots=True)
class Request:
    """What one row asks for.

    Args:
        tile_id: names the file to be made.
        image: whose extent is wanted; None asks for the whole file.
        url: of the file to cut from; None if an index tells it.
        year: of the data; None if the row does not say.
    """

    tile_id: str
    image: Path | None
    url: str | None = None
    year: int | None = None


def read_requests(
    table: Table, *, by_uri: bool, endpoint: str = "", year: int | None = None
) -> list[Request | BadRow]:
    """Every row, in order; its files are not looked at.

    Args:
        table: has ``tile_id`` and ``gcs_uri`` and maybe ``image_path``; or ``image_path`` and maybe ``tile_id`` (else
            the image's name) and ``year``.
        by_uri: the first kind.
        endpoint: where ``gs://`` addresses are to be found.
        year: of all tiles; None takes the column, else the first number from 2017 to this year in ``image_path``.

    Raises:
        TableError: a column is missing, or there are no rows.
    """
    table.require(*(("tile_id", "gcs_uri") if by_uri else ("image_path",)))
    if not table.rows:
        raise no_rows(table)
    used: dict[str, int] = {}
    rows: list[Request | BadRow] = []
    for index in range(len(table.rows)):
        try:
            tile_id = _tile_id(table, index, used)
            rows.append(
                _by_uri(table, index, tile_id, endpoint) if by_uri else _by_image(table, index, tile_id, year)
            )
        except TableError as error:
            rows.append(BadRow(table.rows[index].get("tile_id", "").strip(), str(error)))
    return rows


def year_in(text: str, this_year: int | None = None) -> int | None:
    """The first year from 2017 to this one in a text; None if there is none.

    Example:
        >>> year_in("scenes/2048/tile_20240625.tif")
        2024
    """
    last = dt.datetime.now(tz=dt.UTC).year if this_year is None else this_year
    years = (int(found[1]) for found in _YEAR.finditer(text))
    return next((year for year in years if FIRST_YEAR <= year <= last), None)


def gs_to_http(uri: str, endpoint: str) -> str:
    """``gs://bucket/key`` below a server's address."""
    return f"{endpoint.rstrip('/')}/{quote(uri.removeprefix('gs://'))}"


def _tile_id(table: Table, index: int, used: dict[str, int]) -> str:
    if "tile_id" in table.columns:
        tile_id = table.text(index, "tile_id")
    else:
        tile_id = Path(table.text(index, "image_path")).stem
    check_tile_id(tile_id, table.where(index))
    earlier = used.setdefault(tile_id.casefold(), index + 1)
    if earlier != index + 1:
        cause = f"tile_id {tile_id!r} is that of row {earlier} already"
        raise TableError(table.where(index), cause, "give every tile an id of its own")
    return tile_id


def _by_uri(table: Table, index: int, tile_id: str, endpoint: str) -> Request:
    uri = table.text(index, "gcs_uri")
    if not (is_url(uri) or re.fullmatch(r"gs://[^/]+/.*[^/]", uri)):
        remedy = "give gs://bucket/key, or the file's https:// address"
        raise TableError(table.where(index), f"gcs_uri is {uri!r}", remedy)
    image = table.rows[index].get("image_path", "").strip()
    url = uri if is_url(uri) else gs_to_http(uri, endpoint)
    return Request(tile_id, table.located(image) if image else None, url)


def _by_image(table: Table, index: int, tile_id: str, year: int | None) -> Request:
    cell = table.text(index, "image_path")
    if year is None and table.rows[index].get("year", "").strip():
        year = table.integer(index, "year", FIRST_YEAR)
    return Request(tile_id, table.located(cell), year=year_in(cell) if year is None else year)
