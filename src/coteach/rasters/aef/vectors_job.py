"""Patch-level embeddings: jobs that take the vectors of the nearest grid cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from coteach.errors import CoteachError, DataUnavailableError, RasterError, TableError
from coteach.rasters.aef.cells import Cell, Cells, Spot
from coteach.rasters.aef.files import Output, write_vector
from coteach.rasters.aef.jobs import Job, Outcome, failure
from coteach.rasters.aef.places import lon_lat_centre
from coteach.rasters.aef.requests import Request
from coteach.rasters.aef.retry import Retry
from coteach.rasters.dataset import GDAL_ERRORS, reason
from coteach.rasters.grid import Grid


def jobs_by_cell(
    wanted: Mapping[str, tuple[Request, Output]],
    places: list[str],
    column: str | None,
    max_distance: float,
    retry: Retry,
) -> tuple[list[Job], list[Outcome]]:
    """Jobs for tiles that take the vector of a grid cell; those of one file are one job.

    Args:
        wanted: tile_id -> what is asked for, and the file to be made.
        places: Parquet files, paths or URLs.
        column: of the vectors; None takes ``embedding`` or ``embeddings``.
        max_distance: km; a cell farther away is none.
        retry: how often something is tried.

    Returns:
        The jobs, and what has failed already.

    Raises:
        TableError, DataUnavailableError: the data set cannot be read.
    """
    failed: list[Outcome] = []
    by_file: dict[str, dict[str, Cell]] = {}
    with Cells(places, column, retry) as cells:
        spots: dict[str, Spot] = {}
        for tile_id, (request, _) in wanted.items():
            try:
                spots[tile_id] = _spot(tile_id, request, needs_year=cells.has_years)
            except CoteachError as error:
                failed.append(failure(tile_id, error))
        for tile_id, cell in cells.nearest(spots).items():
            if cell.distance > max_distance:
                failed.append(failure(tile_id, _too_far(tile_id, cell, max_distance)))
            else:
                place = cells.place(cell)
                by_file.setdefault(place, {})[tile_id] = Cell(cell.distance, 0, cell.group, cell.row)
    jobs: list[Job] = [
        partial(_take_all, place, column, found, {tile_id: wanted[tile_id][1] for tile_id in found}, retry)
        for place, found in by_file.items()
    ]
    return jobs, failed


def _spot(tile_id: str, request: Request, *, needs_year: bool) -> Spot:
    assert request.image is not None
    if needs_year and request.year is None:
        cause = "has no year, and the data set has several rows a cell, one a year"
        raise TableError(tile_id, cause, "give --year, or a column year")
    try:
        return Spot(*lon_lat_centre(Grid.of(request.image)), request.year)
    except GDAL_ERRORS as error:
        cause = f"lies nowhere on earth by its CRS and geotransform ({reason(error)})"
        raise RasterError(str(request.image), cause, "correct them") from error


def _too_far(tile_id: str, cell: Cell, max_distance: float) -> DataUnavailableError:
    near = (
        f"the nearest one is {cell.distance:.1f} km away" if cell.group >= 0 else "it has none of that year"
    )
    cause = f"the data set has no cell within {max_distance:g} km of the image's centre; {near}"
    return DataUnavailableError(tile_id, cause, "leave the tile out, or raise --max-distance")


def _take_all(
    place: str, column: str | None, found: Mapping[str, Cell], outputs: Mapping[str, Output], retry: Retry
) -> Iterator[Outcome]:
    """The vectors of all tiles whose cells are in one file, row group by row group."""
    groups: dict[int, dict[str, Cell]] = {}
    for tile_id, cell in found.items():
        groups.setdefault(cell.group, {})[tile_id] = cell
    try:
        with Cells([place], column, retry) as cells:
            for members in groups.values():
                retry.check()
                yield from _take(cells, members, outputs)
    except CoteachError as error:  # the file could not be opened
        yield from (failure(tile_id, error) for tile_id in found)


def _take(cells: Cells, members: Mapping[str, Cell], outputs: Mapping[str, Output]) -> Iterator[Outcome]:
    """The vectors of all tiles whose cells are in one row group."""
    try:
        vectors = cells.vectors(members)
    except CoteachError as error:
        yield from (failure(tile_id, error) for tile_id in members)
        return
    for tile_id, vector in vectors.items():
        cell = members[tile_id]
        try:
            if vector is None:
                cause = "the vector of the nearest cell is empty, zero, or not finite"
                raise DataUnavailableError(tile_id, cause, "leave the tile out")
            write_vector(outputs[tile_id].path, vector)
            outputs[tile_id].keep({"file": cells.place(cell), "distance_km": cell.distance})
        except (CoteachError, OSError) as error:
            yield failure(tile_id, error)
            continue
        years = "" if cells.has_years else "; the data set has no years to choose from"
        yield Outcome(tile_id, note=f"cell {cell.distance:.2f} km away{years}")
