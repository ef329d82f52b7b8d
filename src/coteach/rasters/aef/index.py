"""Which AlphaEarth files a tile needs, as a GeoParquet index of them tells.

Two kinds are read: STAC GeoParquet (Source Cooperative) and the flat table that Google puts beside the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
from jaxtyping import Bool, Float64

from coteach.rasters.aef.parquet import ParquetFile, as_floats, as_years
from coteach.rasters.aef.places import Box
from coteach.rasters.aef.requests import gs_to_http
from coteach.rasters.aef.retry import Retry, is_url

INDEX = "tge-labs/aef/v1/annual/aef_index_stac_geoparquet.parquet"  # below Source Cooperative's address
_BUCKET = "s3://us-west-2.opendata.source.coop/"
_STAC_BOX = ("bbox.xmin", "bbox.ymin", "bbox.xmax", "bbox.ymax")
_FLAT_BOX = ("wgs84_west", "wgs84_south", "wgs84_east", "wgs84_north")
_YEARS = ("year", "datetime", "start_datetime")
_HREFS = ("assets.data.href", "path")


class FileIndex:
    """The files that match tiles, found in one pass; an address is read only where its file matches.

    Args:
        place: path or URL of the index.
        retry: how often a request is tried.
        sourcecoop: address below which Source Cooperative's files are.
        gcs: address below which ``gs://`` addresses are.
    """

    def __init__(self, place: str, retry: Retry, *, sourcecoop: str, gcs: str) -> None:
        self._place, self._retry, self._sourcecoop, self._gcs = place, retry, sourcecoop, gcs
        self.years: set[int] = set()

    def find(self, wanted: Mapping[str, tuple[int, Box]]) -> dict[str, list[str]]:
        """The addresses of the files whose boxes meet those of tiles.

        Args:
            wanted: tile_id -> year and box.

        Returns:
            tile_id -> addresses, in the order of the index; empty if there is none. ``years`` are all years that the
            index has.

        Raises:
            TableError: the index lacks a column, or is damaged.
            DataUnavailableError: it cannot be fetched.
        """
        found: dict[str, list[str]] = {tile_id: [] for tile_id in wanted}
        with ParquetFile(self._place, self._retry) as file:
            boxes, years, href = self._columns(file)
            for group in range(file.groups):
                hits = self._hits(file.read(group, [*boxes, *years]), boxes, years, wanted)
                if hits:
                    hrefs = file.read(group, [href])[href]
                    for tile_id, row in hits:
                        found[tile_id].append(self._url(hrefs[row].as_py()))
        return found

    def _columns(self, file: ParquetFile) -> tuple[Sequence[str], list[str], str]:
        """The columns of the box, of the year, and of the address."""
        boxes = _FLAT_BOX if set(_FLAT_BOX) <= set(file.columns) else _STAC_BOX
        years = [name for name in _YEARS if name in file.columns]
        href = next((name for name in _HREFS if name in file.columns), _HREFS[0])
        file.require([*boxes, *(years or ["datetime"]), href], "give an index of the AlphaEarth files")
        return boxes, years[:1] if years[0] == "year" else years, href

    def _hits(
        self,
        columns: Mapping[str, Any],
        boxes: Sequence[str],
        years: Sequence[str],
        wanted: Mapping[str, tuple[int, Box]],
    ) -> list[tuple[str, int]]:
        """Tiles and rows that meet, of one row group."""
        west, south, east, north = (as_floats(columns[name]) for name in boxes)
        year = as_years([columns[name] for name in years])
        self.years.update(int(value) for value in np.unique(year) if value >= 0)
        return [
            (tile_id, int(row))
            for tile_id, (tile_year, box) in wanted.items()
            for row in np.nonzero((year == tile_year) & _meets(box, west, south, east, north))[0]
        ]

    def _url(self, href: str) -> str:
        """Where a file is to be read from: an address, or a path on this computer if the index is on it too."""
        if href.startswith(_BUCKET):
            return f"{self._sourcecoop.rstrip('/')}/{href.removeprefix(_BUCKET)}"
        if href.startswith("gs://"):
            return gs_to_http(href, self._gcs)
        if is_url(href) or is_url(self._place):
            return urljoin(self._place, href) if is_url(self._place) else href
        return str(Path(self._place).parent / href)


def _meets(
    box: Box,
    west: Float64[np.ndarray, " n"],
    south: Float64[np.ndarray, " n"],
    east: Float64[np.ndarray, " n"],
    north: Float64[np.ndarray, " n"],
) -> Bool[np.ndarray, " n"]:
    """Which boxes share an area with one; each may cross the antimeridian."""
    # how far east of the other's west edge each begins, in [0, 360)
    theirs, ours = (east - west) % 360, (box.east - box.west) % 360
    side: Bool[np.ndarray, " n"] = ((west - box.west) % 360 < ours) | ((box.west - west) % 360 < theirs)
    return side & (south < box.north) & (north > box.south)
