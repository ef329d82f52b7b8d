"""``coteach build-soft-labels``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coteach.cli.output import Verbosity, say, verbosity
from coteach.cli.soft_label_options import soft_label_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coteach.rasters.findings import Finding
    from coteach.rasters.manifest import BuildReport

_EPILOG = """\b
Example:
  coteach build-soft-labels sources.csv --output-dir soft --num-classes 4 \\
      --lulc-key esa_path --lulc-key esri_path --patch-size 256
"""


@click.command(epilog=_EPILOG)
@click.argument("sources", metavar="SOURCES_CSV", type=click.Path(path_type=Path))
@soft_label_options
def build(
    sources: Path,
    output_dir: Path,
    num_classes: int,
    mask_key: str,
    lulc_keys: tuple[str, ...],
    source_weights: tuple[str, ...],
    legends: tuple[str, ...],
    *,
    no_mask: bool,
    no_border: bool,
    no_summary: bool,
    **as_they_are: Any,
) -> None:
    """Fuse the label maps of each tile in SOURCES_CSV into P_soft (vote shares) and W_conf (confidence).

    SOURCES_CSV has one row a tile: tile_id (else the image's name counts), image_path, mask_path and a column for
    each land-cover map. An empty cell means that the tile lacks this map. Maps of any grid and CRS are brought onto
    the image's grid by nearest neighbour; where one has NoData, an unknown code, or does not reach, it does not vote.

    First all rows are checked as `coteach check` does, and what is wrong is listed. If a tile fails, the others are
    still made, and failures.csv says why. Run again, only tiles whose files or options changed are made.

    Exit code: 1 if a tile failed, or if a map holds codes other than 0 to C-1 that no --ignore-code names.
    """
    from coteach.cli.build_summary import check_complete, print_needs, print_report
    from coteach.cli.build_words import numbers_of, read_legends
    from coteach.cli.progress import track
    from coteach.rasters.build import build_soft_labels

    listed: set[str] = set()
    mask = None if no_mask else mask_key
    columns = [*(() if mask is None else (mask,)), *lulc_keys]

    def tell(report: BuildReport) -> None:
        print_report(report, listed)
        if not no_summary:
            from coteach.cli.build_page import write_page

            say(
                f"summary: {write_page(report, columns, num_classes, shlex.join(['coteach', *sys.argv[1:]]))}"
            )

    report = build_soft_labels(
        sources,
        output_dir,
        num_classes,
        use_border=not no_border,
        mask_key=mask,
        lulc_keys=lulc_keys,
        source_weights=numbers_of("--source-weight", source_weights),
        legends=read_legends(legends, num_classes),
        progress=track,
        tell_findings=lambda findings: _list_findings(findings, listed),
        tell_needs=print_needs,
        tell_report=tell,
        **as_they_are,
    )
    check_complete(sources, report, num_classes)


def _list_findings(findings: Sequence[Finding], listed: set[str]) -> None:
    """Print what is wrong with the table, and note the tiles of which an error is printed now."""
    from coteach.cli.findings import print_findings

    print_findings(findings, notes=verbosity() >= Verbosity.VERBOSE, stderr=True)
    listed.update(finding.tile_id for finding in findings if finding.severity == "error")
