"""``summary.html`` at the end of ``coteach build-soft-labels``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coteach.labels.fusion import Fusion
from coteach.legend import Legend
from coteach.rasters.legend import find_legend
from coteach.rasters.manifest import BuildReport, BuiltTile
from coteach.report.soft_label_page import SummaryTile
from coteach.report.soft_label_summary import write_summary


def write_page(report: BuildReport, sources: Sequence[str], num_classes: int, command: str) -> Path:
    """Write ``summary.html`` and its pictures beside the manifest.

    Args:
        report: of the build.
        sources: the columns that vote.
        num_classes: C.
        command: how it was asked for.

    Returns:
        The page.
    """
    names, colors = find_legend((tile.p_soft for tile in report.tiles[:1]), num_classes)
    return write_summary(
        report.manifest.parent,
        [_summary_tile(tile) for tile in report.tiles],
        sources,
        Legend.of(num_classes, names, colors),
        failures=report.failures,
        command=command,
        reliability=_by_source(report.fusion, sources),
        fusion=report.fusion,
    )


def _summary_tile(tile: BuiltTile) -> SummaryTile:
    figures = tile.figures
    voted = figures.height * figures.width - figures.no_vote
    share = None if figures.no_embedding is None else figures.no_embedding / max(1, voted)
    return SummaryTile(tile.tile_id, tile.image, tile.p_soft, tile.w_conf, figures.patterns, share)


def _by_source(fusion: Fusion, sources: Sequence[str]) -> Mapping[str, Any] | None:
    """What was learned of each source; None if nothing was."""
    if fusion.learned is None:
        return None
    summary = fusion.learned.summary()
    return {
        name: dict(zip(sources, summary[name], strict=True)) for name in ("weights", "accuracy", "confusion")
    }
