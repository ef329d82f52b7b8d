"""What a build takes of memory and disk, told from the sizes of its images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from coteach.errors import CoteachError
from coteach.labels.fusion import Fusion
from coteach.rasters.grid import Grid
from coteach.rasters.options import BuildOptions
from coteach.rasters.scratch import needs_file
from coteach.rasters.sources import Tile
from coteach.rasters.tile import job_of

_PROGRAM = 320 << 20  # bytes: Python, its libraries, and GDAL's cache of blocks


class Needs(NamedTuple):
    """What the tile that takes most takes, in bytes.

    Args:
        tile_id: its id; empty if no image can be read.
        memory: of the process that works on it, with one thread.
        disk: beside its outputs, while it is worked on.
    """

    tile_id: str = ""
    memory: int = 0
    disk: int = 0


def most_needed(tiles: Sequence[Tile], options: BuildOptions) -> Needs:
    """The greatest needs of a tile; one whose image cannot be read is passed over.

    Args:
        tiles: all of them; of their images the headers are read.
        options: of the build.
    """
    return max((_needs(tile, options) for tile in tiles), key=lambda needs: needs[1:], default=Needs())


def _needs(tile: Tile, options: BuildOptions) -> Needs:
    try:
        job = job_of(tile, options, Fusion(options.num_classes))
        grid = Grid.anywhere(tile.image)
    except CoteachError:
        return Needs()
    scratch = job.scratch_size(grid)
    on_disk = needs_file(scratch)
    memory = _PROGRAM + job.memory(grid) + (0 if on_disk else scratch)
    return Needs(tile.tile_id, memory, scratch if on_disk else 0)
