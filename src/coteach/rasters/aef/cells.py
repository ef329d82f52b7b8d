"""Patch-level embeddings: the vector of the Major TOM grid cell that is nearest to a tile."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
from jaxtyping import Float32, Float64

from coteach.errors import DataUnavailableError, TableError
from coteach.rasters.aef.http_file import fetch
from coteach.rasters.aef.parquet import ParquetFile, as_floats
from coteach.rasters.aef.retry import Retry, is_url

REPOSITORY = "Major-TOM/Core-AlphaEarth-Embeddings"
_LAT, _LON = "centre_lat", "centre_lon"
_VECTORS = ("embedding", "embeddings")
_EARTH = 6371.0088  # km; mean radius
_NO_DATA = -128
_AT_ONCE = 1 << 21  # distances computed at once


@dataclass(frozen=True, slots=True)
class Cell:
    """A row of the data set.

    Args:
        distance: from its centre to the tile's, in km; infinite if there is none.
        file: number of the file.
        group: number of the row group in it.
        row: number of the row in that.
    """

    distance: float = np.inf
    file: int = -1
    group: int = -1
    row: int = -1


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a tile is.

    Args:
        lon: of its centre, degrees.
        lat: of its centre, degrees.
        year: None takes any.
    """

    lon: float
    lat: float
    year: int | None


def parquet_files(place: str | None, endpoint: str, retry: Retry) -> list[str]:
    """The files of the data set.

    Args:
        place: a Parquet file (path or URL) or a folder of them; None asks the endpoint for its list.
        endpoint: address of Hugging Face.
        retry: how often a request is tried.

    Raises:
        TableError: there is none.
        DataUnavailableError: the list cannot be fetched.
    """
    if place is None:
        files = _listed(endpoint.rstrip("/"), retry)
    elif not is_url(place) and Path(place).is_dir():
        files = sorted(str(file) for file in Path(place).rglob("*.parquet"))
    else:
        return [place]
    if not files:
        remedy = "give the path or address of a Parquet file with --index"
        raise TableError(place or f"{endpoint}/datasets/{REPOSITORY}", "has no Parquet file", remedy)
    return files


def _listed(endpoint: str, retry: Retry) -> list[str]:
    url: str | None = f"{endpoint}/api/datasets/{REPOSITORY}/tree/main?recursive=true"
    files: list[str] = []
    while url is not None:
        page = url
        content, headers = retry.call(lambda: fetch(page))  # noqa: B023 -- called before the next round
        try:
            paths = [entry["path"] for entry in json.loads(content) if entry.get("type", "file") == "file"]
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            cause = f"is no list of files ({error!r})"
            raise DataUnavailableError(page, cause, "check the endpoint, or give --index") from error
        files += [
            f"{endpoint}/datasets/{REPOSITORY}/resolve/main/{quote(path)}"
            for path in sorted(paths)
            if path.endswith(".parquet")
        ]
        following = re.search(r'<([^>]+)>; ?rel="next"', headers.get("Link", ""))
        url = following[1] if following else None
    return files


class Cells:
    """The open files of the data set; leave it by the end of a ``with`` block.

    Args:
        places: paths or URLs.
        column: of the vectors; None takes ``embedding`` or ``embeddings``.
        retry: how often a request is tried.

    Raises:
        TableError: one is no Parquet file, or lacks a column.
        DataUnavailableError: one cannot be fetched.
    """

    def __init__(self, places: Sequence[str], column: str | None, retry: Retry) -> None:
        self._stack = ExitStack()
        with ExitStack() as stack:
            self._files = [stack.enter_context(ParquetFile(place, retry)) for place in places]
            names = _VECTORS if column is None else (column,)
            self._columns = [
                next((name for name in names if name in file.columns), names[0]) for file in self._files
            ]
            for file, name in zip(self._files, self._columns, strict=True):
                file.require(
                    [_LAT, _LON, name], "give a table of cells; --embedding-column names the vectors"
                )
            self._stack = stack.pop_all()
        self.has_years = all("year" in file.columns for file in self._files)

    def __enter__(self) -> Cells:  # noqa: PYI034 -- the shape checks know no Self
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def place(self, cell: Cell) -> str:
        """The file that a cell is in."""
        return self._files[cell.file].place

    def nearest(self, spots: Mapping[str, Spot]) -> dict[str, Cell]:
        """The cell nearest to each tile by great-circle distance; of equally near ones the first.

        Only the columns of the places, and that of the years if there is one, are read.

        Raises:
            TableError: a file is damaged.
            DataUnavailableError: a part of it cannot be fetched.
        """
        best = dict.fromkeys(spots, Cell())
        names = [_LAT, _LON, *(["year"] if self.has_years else [])]
        for number, file in enumerate(self._files):
            for group in range(file.groups):
                columns = {name: as_floats(values) for name, values in file.read(group, names).items()}
                for tile_id, spot in spots.items():
                    near = _nearest_row(spot, columns)
                    if near.distance < best[tile_id].distance:
                        best[tile_id] = replace(near, file=number, group=group)
        return best

    def vectors(self, cells: Mapping[str, Cell]) -> dict[str, Float32[np.ndarray, " b"] | None]:
        """The vectors of cells of one row group; None for one that has none.

        Raises:
            TableError: the file is damaged, or holds no numbers there.
            DataUnavailableError: the part cannot be fetched.
        """
        [(number, group)] = {(cell.file, cell.group) for cell in cells.values()}
        name = self._columns[number]
        values = self._files[number].read(group, [name])[name]
        return {
            tile_id: _vector(values[cell.row].as_py(), self.place(cell), name)
            for tile_id, cell in cells.items()
        }


def great_circle(
    lon: float, lat: float, lons: Float64[np.ndarray, " n"], lats: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Distances in km on a sphere of the earth's mean radius, by the haversine formula; degrees in."""
    phi, phis = np.radians(lat), np.radians(lats)
    half = (
        np.sin((phis - phi) / 2) ** 2 + np.cos(phi) * np.cos(phis) * np.sin(np.radians(lons - lon) / 2) ** 2
    )
    distance: Float64[np.ndarray, " n"] = 2 * _EARTH * np.arcsin(np.sqrt(np.clip(half, 0, 1)))
    return distance


def _nearest_row(spot: Spot, columns: Mapping[str, Float64[np.ndarray, " n"]]) -> Cell:
    best = Cell()
    for start in range(0, len(columns[_LAT]), _AT_ONCE):
        part = {name: values[start : start + _AT_ONCE] for name, values in columns.items()}
        distances = great_circle(spot.lon, spot.lat, part[_LON], part[_LAT])
        distances[np.isnan(distances)] = np.inf
        if "year" in part and spot.year is not None:
            distances[part["year"] != spot.year] = np.inf
        row = int(distances.argmin())
        if distances[row] < best.distance:
            best = Cell(distance=float(distances[row]), row=start + row)
    return best


def _vector(value: object, place: str, column: str) -> Float32[np.ndarray, " b"] | None:
    """A vector as it is to be kept; None if it is missing, zero or not finite."""
    if value is None:
        return None
    try:
        numbers = np.asarray(value).ravel()
        vector: Float32[np.ndarray, " b"] = numbers.astype(np.float32)
    except (TypeError, ValueError) as error:
        remedy = "name the column of the vectors with --embedding-column"
        raise TableError(place, f"column {column!r} holds no vectors of numbers", remedy) from error
    if numbers.dtype.kind == "i":  # quantised as the pixels are
        vector = np.where(vector == _NO_DATA, np.nan, np.sign(vector) * (vector / 127.5) ** 2).astype(
            np.float32
        )
    return vector if vector.size and np.isfinite(vector).all() and vector.any() else None
