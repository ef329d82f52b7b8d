"""``coteach audit --sources``: where the sources of a segmentation run are probably wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coteach.cli.output import SHOWN, detail, print_failures, say, warn
from coteach.cli.progress import track
from coteach.errors import IncompleteError, OptionError

if TYPE_CHECKING:
    from coteach.rasters.options import BuildOptions
    from coteach.tables import Table
    from coteach.training.scene_job import SceneJob
    from coteach.training.source_audit import SourceAudit

_SUFFIX = "_path"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceChoice:
    """What ``--sources`` and the options that belong to it say.

    Args:
        table: one row a tile.
        image_key: column of the image.
        lulc_keys: columns of the sources; empty for all that end with ``_path``.
        legends: words ``COLUMN=CSV``.
    """

    table: Table
    image_key: str
    lulc_keys: tuple[str, ...]
    legends: tuple[str, ...]


def audit_run_sources(choice: SourceChoice, scene: SceneJob) -> None:
    """Write the maps and tables, and say what was found.

    Args:
        choice: the sources.
        scene: the trained model, and where to write.

    Raises:
        CoteachError: nothing can be done.
        IncompleteError: some of the tiles failed.
    """
    from coteach.rasters.sources import Tile, read_rows
    from coteach.rasters.write import writable
    from coteach.training.source_audit import audit_sources
    from coteach.training.source_job import SourceAuditJob
    from coteach.training.source_tables import write_source_tables

    options = _build_options(choice, scene.num_classes)
    rows = [row.tile() for row in read_rows(choice.table, choice.image_key, options.source_keys)]
    found = audit_sources(rows, SourceAuditJob(scene=scene, sources=options), track, detail)
    with writable(scene.output_dir):
        whole = [tile for tile in rows if isinstance(tile, Tile)]
        write_source_tables(scene.output_dir, whole, found, options.source_keys, scene.legend.names)
    _print(found, options, scene.output_dir)
    if found.failures:
        raise IncompleteError(
            str(scene.output_dir),
            f"{len(found.failures)} of {len(rows)} tiles failed",
            "correct what failures.csv lists there and run it again; what is up to date is kept",
        )


def _build_options(choice: SourceChoice, num_classes: int) -> BuildOptions:
    """The sources as ``coteach build-soft-labels`` takes them."""
    from coteach.cli.build_words import read_legends
    from coteach.rasters.options import BuildOptions

    keys = choice.lulc_keys or tuple(
        name for name in choice.table.columns if name.endswith(_SUFFIX) and name != choice.image_key
    )
    if not keys:
        cause = f"{choice.table.path} has no column that ends with {_SUFFIX} beside {choice.image_key}"
        raise OptionError("--lulc-key", cause, "name the columns of the label maps")
    return BuildOptions(
        num_classes=num_classes,
        image_key=choice.image_key,
        mask_key=None,
        lulc_keys=keys,
        legends=read_legends(choice.legends, num_classes),
    )


def _print(found: SourceAudit, options: BuildOptions, folder: Path) -> None:
    from coteach.rasters.error_maps import source_name
    from coteach.training.source_tables import SOURCES, totals

    kept = len(found.counts) - len(found.made)
    say(f"tiles: {len(found.made)} audited, {kept} up to date, {len(found.failures)} failed")
    for key, counts in totals(found, options.source_keys).items():
        name = source_name(key)
        if counts.pixels:
            say(f"{name}: {counts.error_rate:.1%} estimated errors, {counts.judged_wrong:.1%} judged wrong")
        else:
            warn(f"{name} says nothing at any pixel with data")
        if key in found.unknown:
            warn(f"{name} holds codes that are no class: {_listed(found.unknown[key])}")
    say(f"written: {folder / SOURCES}")
    print_failures([error for _, error in found.failures])


def _listed(codes: dict[str, int]) -> str:
    shown: Sequence[str] = [f"{code} ({pixels} pixels)" for code, pixels in codes.items()]
    return ", ".join(shown[:SHOWN]) + (", …" if len(shown) > SHOWN else "")
