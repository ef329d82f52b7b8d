"""``coteach check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from coteach.cli import shared_options as shared
from coteach.cli.output import Verbosity, say, verbosity
from coteach.errors import OptionError

if TYPE_CHECKING:
    from coteach.rasters.check import CheckReport
    from coteach.rasters.findings import Severity

_EXIT_CODES: dict[Severity, int] = {"error": 1, "warning": 3, "note": 0}
_EPILOG = """\b
Example:
  coteach check sources.csv --num-classes 4 --lulc-key esa_path --lulc-key esri_path
"""


@click.command(epilog=_EPILOG)
@click.argument("sources", metavar="SOURCES_CSV", type=click.Path(path_type=Path))
@click.option(
    "--num-classes", type=int, help="C. A sample of the codes is then held against the classes, 0 to C-1."
)
@shared.image_key("Column of the image.")
@click.option("--mask-key", help="Column of the cartographic mask.  [default: mask_path, if it is there]")
@click.option("--no-mask", is_flag=True, help="Leave the mask out.")
@shared.lulc_keys("Column of a land-cover map. Repeat it for each map.  [default: all other columns …_path]")
@shared.ignore_codes("A code that means no vote, to be found without a warning. Repeat it for each.")
@shared.legends("Table code,class for a map whose codes are not the classes, as build-soft-labels takes it.")
@click.option("--patch-size", type=int, help="Side of the patches for which every image needs room.")
@shared.max_workers("Processes, if there are many rows.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write all findings to this CSV, one row each."
)
@click.pass_context
def check(
    context: click.Context,
    sources: Path,
    num_classes: int | None,
    image_key: str,
    mask_key: str | None,
    lulc_keys: tuple[str, ...],
    ignore_codes: tuple[int, ...],
    legends: tuple[str, ...],
    patch_size: int | None,
    max_workers: int,
    output: Path | None,
    *,
    no_mask: bool,
) -> None:
    """Look for all that is wrong with SOURCES_CSV and its files before soft labels are built from it.

    Every row is looked at: its cells, whether its files are whole, where on earth they lie, whether the label maps
    cover the image, and what codes they hold. Of large files a few parts are read; nothing is changed.

    Exit code: 0 if nothing is wrong (there may be notes), 3 if there are warnings, 1 if there are errors: a build
    of this table would not do all that was asked for. 2 means that the options of the command are wrong.
    """
    from coteach.cli.build_words import read_legends
    from coteach.cli.findings import print_findings
    from coteach.cli.progress import track
    from coteach.rasters.check import check_sources

    if legends and num_classes is None:
        raise OptionError("--legend", "has no meaning without classes", "add --num-classes")
    report = check_sources(
        sources,
        num_classes=num_classes,
        image_key=image_key,
        mask_key=mask_key,
        use_mask=not no_mask,
        lulc_keys=lulc_keys,
        ignore_codes=ignore_codes,
        legends=read_legends(legends, num_classes or 0),
        patch_size=patch_size,
        max_workers=max_workers,
        progress=track,
    )
    print_findings(report.findings, notes=verbosity() > Verbosity.QUIET)
    if output is not None:
        _write(output, report)
    say(_summary(sources, report))
    found = {finding.severity for finding in report.findings}
    context.exit(next((code for severity, code in _EXIT_CODES.items() if severity in found), 0))


def _summary(sources: Path, report: CheckReport) -> str:
    from coteach.rasters.findings import count_severities

    counted = [_count(n, severity) for severity, n in count_severities(report.findings).items() if n]
    looked = f"{_count(report.rows, 'row')}, {_count(len(report.source_keys), 'label map')} each"
    return f"{sources}: {looked}: {', '.join(counted) or 'nothing found'}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _write(output: Path, report: CheckReport) -> None:
    from coteach.rasters.findings import write_findings

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_findings(output, report.findings)
    except OSError as error:
        remedy = "choose a file in a folder that can be written"
        raise OptionError(f"--output {output}", f"cannot be written ({error})", remedy) from error
