"""Per-pixel embeddings: jobs that cut tiles out of GeoTIFFs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import rasterio

from coteach.errors import CoteachError, DataUnavailableError, RasterError, TableError
from coteach.rasters.aef.cogs import OpenCogs, gdal_options
from coteach.rasters.aef.crop import Plan, cut_tile
from coteach.rasters.aef.files import Output
from coteach.rasters.aef.index import FileIndex
from coteach.rasters.aef.jobs import Job, Outcome, failure
from coteach.rasters.aef.places import Box, lon_lat_box
from coteach.rasters.aef.requests import FIRST_YEAR, Request
from coteach.rasters.aef.retry import ReadFailedError, Retry
from coteach.rasters.dataset import GDAL_ERRORS, reason
from coteach.rasters.grid import Grid


@dataclass(frozen=True, slots=True)
class _Task:
    """A tile to be cut.

    Args:
        tile_id: the tile.
        image: whose extent is wanted; None takes the whole file.
        urls: of the files that may be needed.
        output: the file to be made.
    """

    tile_id: str
    image: Grid | None
    urls: tuple[str, ...]
    output: Output


def jobs_by_uri(
    wanted: Mapping[str, tuple[Request, Output]], retry: Retry
) -> tuple[list[Job], list[Outcome]]:
    """Jobs for tiles whose files the table names; tiles that share a file are one job.

    Returns:
        The jobs, and what has failed already.
    """
    tasks, failed = [], []
    for tile_id, (request, output) in wanted.items():
        assert request.url is not None
        try:
            image = None if request.image is None else Grid.of(request.image)
            tasks.append(_Task(tile_id, image, (request.url,), output))
        except CoteachError as error:
            failed.append(failure(tile_id, error))
    return _jobs(tasks, retry), failed


def jobs_by_index(
    wanted: Mapping[str, tuple[Request, Output]], index: FileIndex, place: str, retry: Retry
) -> tuple[list[Job], list[Outcome]]:
    """Jobs for tiles whose files an index tells; tiles that share a file are one job.

    Args:
        wanted: tile_id -> what is asked for, and the file to be made.
        index: of the files.
        place: of the index, for errors.
        retry: how often something is tried.

    Returns:
        The jobs, and what has failed already.

    Raises:
        TableError, DataUnavailableError: the index cannot be read.
    """
    failed: list[Outcome] = []
    there: dict[str, tuple[Grid, int, Box]] = {}
    for tile_id, (request, _) in wanted.items():
        try:
            there[tile_id] = _placed(tile_id, request)
        except CoteachError as error:
            failed.append(failure(tile_id, error))
    urls = index.find({tile_id: (year, box) for tile_id, (_, year, box) in there.items()}) if there else {}
    tasks = []
    # neighbours one after the other: what one has read of a file serves the next
    for tile_id in sorted(there, key=lambda tile_id: (-there[tile_id][2].north, there[tile_id][2].west)):
        image, year, _ = there[tile_id]
        if urls[tile_id]:
            tasks.append(_Task(tile_id, image, tuple(urls[tile_id]), wanted[tile_id][1]))
        else:
            failed.append(failure(tile_id, _no_file(tile_id, year, index.years, place)))
    return _jobs(tasks, retry), failed


def _placed(tile_id: str, request: Request) -> tuple[Grid, int, Box]:
    assert request.image is not None
    if request.year is None:
        cause = f"has no year: there is none in column year, and no number from {FIRST_YEAR} on in image_path"
        raise TableError(tile_id, cause, "give --year, or fill the column")
    image = Grid.of(request.image)
    try:
        return image, request.year, lon_lat_box(image)
    except GDAL_ERRORS as error:
        cause = f"lies nowhere on earth by its CRS and geotransform ({reason(error)})"
        raise RasterError(str(request.image), cause, "correct them") from error


def _no_file(tile_id: str, year: int, years: set[int], place: str) -> DataUnavailableError:
    if year not in years:
        has = ", ".join(map(str, sorted(years))) or "none"
        return DataUnavailableError(
            tile_id, f"no AlphaEarth file is of {year}; {place} has {has}", "give another --year"
        )
    cause = f"no AlphaEarth file of {year} in {place} reaches the image"
    return DataUnavailableError(tile_id, cause, "leave the tile out: AlphaEarth covers land and coasts")


def _jobs(tasks: Sequence[_Task], retry: Retry) -> list[Job]:
    sharing: dict[str, list[_Task]] = {}
    for task in tasks:
        sharing.setdefault(task.urls[0], []).append(task)
    return [partial(_cut_all, group, retry) for group in sharing.values()]


def _cut_all(tasks: Sequence[_Task], retry: Retry) -> Iterator[Outcome]:
    cogs = OpenCogs()
    with rasterio.Env(**gdal_options(retry)):
        try:
            for task in tasks:
                yield _cut(task, cogs, retry)
        finally:
            cogs.close()


def _cut(task: _Task, cogs: OpenCogs, retry: Retry) -> Outcome:
    def attempt() -> tuple[Plan, float]:
        try:
            files = [cogs.get(url) for url in task.urls]
            return cut_tile(task.tile_id, task.image, files, task.output.path, retry.check)
        except ReadFailedError:
            cogs.close()  # lest the next attempt meets what this one has left
            raise

    try:
        plan, share = retry.call(attempt)
        task.output.keep({"files": [cog.url for cog in plan.cogs], "cover": plan.cover, "data": share})
    except (CoteachError, OSError) as error:
        return failure(task.tile_id, error)
    return Outcome(task.tile_id, note=_note(plan, share, len(task.urls)))


def _note(plan: Plan, share: float, candidates: int) -> str:
    """What is special about a tile; empty if nothing is."""
    notes = []
    if len(plan.cogs) > 1:
        notes.append(f"put together from {len(plan.cogs)} files")
    if plan.cover < 1:
        other = "; other files there are of another grid or CRS" if candidates > len(plan.cogs) else ""
        notes.append(f"{plan.cover:.1%} of the image covered{other}")
    if share < 1:
        notes.append(f"{share:.1%} of the pixels have data")
    return ", ".join(notes)
