"""Where the sources of many tiles are probably wrong: a pass that estimates, a pass that writes.

Both passes predict window by window, in constant memory. What the first one draws of a tile, and the maps of the
second, are kept beside a record of what they were made of: what is up to date is not made again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coteach.data.scene import SceneImage
from coteach.files import remove_leftovers
from coteach.labels.quality import LabelQuality
from coteach.rasters.error_maps import check_error_maps
from coteach.rasters.pool import Progress
from coteach.rasters.sources import BadRow, Tile
from coteach.rasters.write import writable
from coteach.training.audited_tile import AuditedTile
from coteach.training.scene_job import noted
from coteach.training.source_errors import ErrorCounts
from coteach.training.source_job import SourceAuditJob
from coteach.training.source_passes import SourcePasses


@dataclass(frozen=True, slots=True, eq=False)
class SourceAudit:
    """What was found.

    Args:
        counts: tile -> column -> figures, of the tiles whose maps are there.
        estimates: column -> how the source errs; sources that say nothing anywhere are left out.
        made: ids of the tiles whose maps were written now.
        failures: id and error of those that failed.
        unknown: column -> code -> pixels, of codes that are no class.
    """

    counts: dict[str, dict[str, ErrorCounts]]
    estimates: dict[str, LabelQuality]
    made: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]
    unknown: dict[str, dict[str, int]]


def audit_sources(
    rows: Sequence[Tile | BadRow], job: SourceAuditJob, progress: Progress, tell: Callable[[str], None]
) -> SourceAudit:
    """Say of each pixel of each source how likely it is wrong.

    Args:
        rows: of the sources table.
        job: with what, and where to.
        progress: called with the number of windows and a label, a context manager that gives what to call after each.
        tell: called with a line about each tile whose maps are written.

    Returns:
        The figures; the maps lie in the job's folder.

    Raises:
        OptionError: the folder cannot be written, or two maps would have the same name.
    """
    tiles = [row for row in rows if isinstance(row, Tile)]
    check_error_maps(job.scene.output_dir, tiles)
    with writable(job.scene.output_dir):
        _prepare(job)
    bad = [(row.tile_id, row.error) for row in rows if isinstance(row, BadRow)]
    failures: dict[str, str] = {}
    audited: list[AuditedTile] = []
    for tile in tiles:
        with noted(tile.tile_id, tile.image, failures):
            audited.append(_opened(tile, job))
    passes = SourcePasses(job, progress, failures)
    passes.draw(audited)
    passes.write([one for one in audited if one.tile.tile_id not in failures], tell)
    return SourceAudit(
        passes.counts, passes.estimates, tuple(passes.made), (*bad, *failures.items()), passes.unknown
    )


def _prepare(job: SourceAuditJob) -> None:
    """Make the folders, and clear away what a killed run left half-written."""
    for folder in (job.scene.output_dir, job.records):
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)


def _opened(tile: Tile, job: SourceAuditJob) -> AuditedTile:
    scene = job.scene
    image = SceneImage(tile.image, image_scale=scene.image_scale, augmentation_list=scene.augmentation_list)
    return AuditedTile(tile, image, job.sources, scene.method, job.options)
