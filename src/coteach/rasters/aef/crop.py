"""Cut what a tile needs out of AlphaEarth's files, and write it as one GeoTIFF."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Shaped

from coteach.errors import DataUnavailableError, RasterError
from coteach.rasters.aef.cogs import Cog
from coteach.rasters.aef.places import around, clipped, laid_on, shift
from coteach.rasters.dataset import opened
from coteach.rasters.grid import Grid, Window
from coteach.rasters.write import BLOCK, RasterLayout, raster_writer

ATTRIBUTION = "The AlphaEarth Foundations Satellite Embedding dataset is produced by Google and Google DeepMind. CC-BY 4.0"
_PART = 2 * BLOCK  # pixels; side of what is read at once: 16 MB of 64 bands in 8 bits
_NEAR = 4 * BLOCK


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the pixels of a new file come from.

    Args:
        cogs: of one lattice of pixels; where several have data the first counts.
        places: where each of them lies on the first one's grid.
        window: on the first one's grid; the new file.
        cover: the share of the image that they cover, at most 1.
    """

    cogs: tuple[Cog, ...]
    places: tuple[Window, ...]
    window: Window
    cover: float

    @property
    def grid(self) -> Grid:
        """Of the new file."""
        return self.cogs[0].grid.part(self.window)

    def read(self, part: Window) -> Shaped[np.ndarray, "b h w"]:
        """A part of the new file.

        Raises:
            ReadFailedError: a file cannot be read.
        """
        first = self.cogs[0]
        values = np.full((first.bands, part.height, part.width), first.fill, first.dtype)
        on_first = part._replace(
            row_off=part.row_off + self.window.row_off, col_off=part.col_off + self.window.col_off
        )
        for cog, place in zip(self.cogs, self.places, strict=True):
            met = clipped(on_first, place)
            if met is not None:
                found = cog.read(
                    met._replace(row_off=met.row_off - place.row_off, col_off=met.col_off - place.col_off)
                )
                target = met._replace(
                    row_off=met.row_off - on_first.row_off, col_off=met.col_off - on_first.col_off
                ).cut(values)
                np.copyto(target, found, where=~has_data(target, first.fill))
        return values


def has_data(values: Shaped[np.ndarray, "b h w"], fill: float) -> Bool[np.ndarray, "h w"]:
    """Pixels of which no band is NoData."""
    missing: Bool[np.ndarray, "b h w"] = np.isnan(values) if np.isnan(fill) else values == fill
    there: Bool[np.ndarray, "h w"] = np.logical_not(missing.any(axis=0))
    return there


def plans(image: Grid | None, cogs: Sequence[Cog]) -> list[Plan]:
    """How a tile may be put together: one way for each lattice of pixels, the one that covers most first.

    Args:
        image: whose extent is wanted; None takes all of the only file.
        cogs: the files that may be needed.

    Returns:
        Nothing if no file reaches the image.
    """
    if image is None:
        whole = Window(0, 0, cogs[0].grid.height, cogs[0].grid.width)
        return [Plan((cogs[0],), (whole,), whole, 1.0)]
    laid = [(cog, found) for cog in cogs if (found := laid_on(image, cog.grid)) is not None]
    laid.sort(key=lambda item: (-item[1][1], item[0].url))
    groups: list[list[tuple[Cog, tuple[Window, float]]]] = []
    for cog, found in laid:
        same = next((group for group in groups if _belongs(cog, group[0][0])), None)
        if same is None:
            groups.append([(cog, found)])
        else:
            same.append((cog, found))
    made = [_plan(group) for group in groups]
    return sorted(made, key=lambda plan: -plan.cover)


def _belongs(cog: Cog, first: Cog) -> bool:
    kinds = (cog.bands, cog.dtype) == (first.bands, first.dtype)
    return kinds and shift(first.grid, cog.grid) is not None


def _plan(group: Sequence[tuple[Cog, tuple[Window, float]]]) -> Plan:
    first, (window, cover) = group[0]
    if cover == 1:  # the others would only repeat it
        group = group[:1]
    places = []
    for cog, _ in group:
        moved = shift(first.grid, cog.grid)
        assert moved is not None  # that is what makes a group
        places.append(Window(*moved, cog.grid.height, cog.grid.width))
    pairs = [
        (cog, place, met)
        for (cog, _), place in zip(group, places, strict=True)
        if (met := clipped(window, place)) is not None
    ]
    return Plan(
        tuple(cog for cog, _, _ in pairs),
        tuple(place for _, place, _ in pairs),
        around([met for _, _, met in pairs]),
        min(1.0, sum(found[1] for _, found in group)),
    )


def write_plan(plan: Plan, path: Path, check: Callable[[], None]) -> float:
    """Write a tile's file, read it back, and compare.

    Args:
        plan: where its pixels come from.
        path: the file; there is none under this name until it is whole.
        check: called before each part; what it raises ends the work.

    Returns:
        The share of the file's pixels that have data; 0 if none has, and then no file is written.

    Raises:
        ReadFailedError: a file cannot be read.
        RasterError: the file cannot be written, or is not what was written.
    """
    first, grid = plan.cogs[0], plan.grid
    layout = RasterLayout(grid, first.bands, first.dtype, float(first.fill))
    checksum = data = 0
    try:
        with raster_writer(
            path, layout, tags={"ATTRIBUTION": ATTRIBUTION}, descriptions=first.descriptions
        ) as file:
            for part in _parts(grid):
                check()
                values = plan.read(part)
                data += int(has_data(values, first.fill).sum())
                checksum = zlib.crc32(values.tobytes(), checksum)
                file.write(values, window=part.for_gdal())
            _check_any(data)
    except _NothingThereError:
        return 0.0
    _verify(path, layout, checksum)
    return data / (grid.height * grid.width)


class _NothingThereError(Exception):
    """Leaves the block that writes, so that nothing is kept."""


def _check_any(data: int) -> None:
    if not data:
        raise _NothingThereError


def _parts(grid: Grid) -> Iterator[Window]:
    """All of a grid, those of a square of ``_NEAR`` one after the other: they share blocks of the files."""
    for near in _tiled(Window(0, 0, grid.height, grid.width), _NEAR):
        yield from _tiled(near, _PART)


def _tiled(window: Window, side: int) -> Iterator[Window]:
    bottom, right = window.row_off + window.height, window.col_off + window.width
    for row in range(window.row_off, bottom, side):
        for col in range(window.col_off, right, side):
            yield Window(row, col, min(side, bottom - row), min(side, right - col))


def _verify(path: Path, layout: RasterLayout, checksum: int) -> None:
    """Read a new file back; remove it if it is not what was written."""
    found = 0
    try:
        with opened(path) as file:
            if (file.count, file.dtypes[0], file.height, file.width) == (
                layout.bands,
                layout.dtype,
                layout.grid.height,
                layout.grid.width,
            ):
                for part in _parts(layout.grid):
                    found = zlib.crc32(file.read(window=part.for_gdal()).tobytes(), found)
    except RasterError:
        path.unlink(missing_ok=True)
        raise
    if found != checksum:
        path.unlink(missing_ok=True)
        raise RasterError(str(path), "was not written as it should be", "check the disk, and run it again")


def cut_tile(
    tile_id: str, image: Grid | None, cogs: Sequence[Cog], path: Path, check: Callable[[], None]
) -> tuple[Plan, float]:
    """Write a tile's file in the way that has most data: a file may reach far beyond what it has data of.

    Args:
        tile_id: for the error.
        image: whose extent is wanted; None takes all of the only file.
        cogs: the files that may be needed.
        path: the file.
        check: called now and then; what it raises ends the work.

    Returns:
        The way, and the share of pixels that have data.

    Raises:
        ReadFailedError: a file cannot be read.
        RasterError: the file cannot be written.
        DataUnavailableError: no file has data there.
    """
    ways = plans(image, cogs)
    best: tuple[Plan, float] | None = None
    for plan in ways:
        share = write_plan(plan, path, check)
        if share and (best is None or share > best[1]):
            best = plan, share
        elif share and best is not None:  # what was there was better
            write_plan(best[0], path, check)
        if share == 1:
            break
    if best is not None:
        return best
    cause = "have no data there" if ways else "do not reach the image"
    names = ", ".join(cog.url for cog in cogs)
    remedy = "leave the tile out; it then takes the other terms of the confidence"
    raise DataUnavailableError(tile_id, f"the AlphaEarth files ({names}) {cause}", remedy)
